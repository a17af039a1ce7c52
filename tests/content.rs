//! Content that lives elsewhere, read as a store of its own would offer it.
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex},
};
use tower_cdn::Content;

fn sum() -> HeaderMap {
    HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("1"))])
}

/// Byte by byte, from a stream that panics if it is asked again after its end.
fn once_only(error_at: Option<usize>) -> Content {
    let frames = move |at: usize| async move {
        match at {
            3 => None,
            at if Some(at) == error_at => Some((Err(io::Error::other("broken")), 3)),
            at => Some((Ok(Frame::data(Bytes::from_static(&b"abc"[at..=at]))), at + 1)),
        }
    };
    let open = move |range: Range<u64>| {
        assert_eq!(range, 0..3);
        StreamBody::new(Box::pin(stream::unfold(0, frames)))
    };
    Content::from_fn(3, open)
}

#[tokio::test]
async fn content_elsewhere_is_left_at_its_end() {
    for trailers in [None, Some(sum())] {
        let content = once_only(None).with_trailers(trailers.clone());
        let collected = content.collect().await.expect("it is complete");
        assert_eq!(collected.as_bytes().expect("it is small"), "abc");
        assert_eq!(collected.trailers(), trailers.as_ref());
        let mut body = content.read();
        while body.frame().await.is_some() {}
        assert!(body.frame().await.is_none(), "and it stays at its end");
    }
}

#[tokio::test]
async fn err_content_elsewhere_has_no_trailers_behind_an_error() {
    let content = once_only(Some(1)).with_trailers(Some(sum()));
    assert!(content.collect().await.is_err());
    let mut body = content.read();
    assert!(body.frame().await.is_some_and(|frame| frame.is_ok()));
    assert!(body.frame().await.is_some_and(|frame| frame.is_err()));
    assert!(body.frame().await.is_none());
}

#[tokio::test]
#[expect(clippy::reversed_empty_ranges, reason = "a store may be asked for anything")]
async fn content_elsewhere_is_asked_for_what_it_has() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let content = Content::from_fn(6, move |range: Range<u64>| {
        log.lock().unwrap().push(range.clone());
        Full::new(Bytes::from_static(&b"abcdef"[range.start as usize..range.end as usize]))
    });
    let in_memory = content.collect().await.expect("it is complete");
    for (range, text) in [
        (1..3, "bc"),
        (4..9, "ef"),
        (0..u64::MAX, "abcdef"),
        (6..7, ""),
        (7..8, ""),
        (3..3, ""),
        (4..2, ""),
        (700..600, ""),
        (u64::MAX..0, ""),
    ] {
        for content in [&content, &in_memory] {
            let read = content.read_range(range.clone()).collect().await;
            assert_eq!(read.expect("all that is there").to_bytes(), text, "{range:?}");
        }
    }
    for range in asked.lock().unwrap().iter() {
        assert!(range.start <= range.end && range.end <= 6, "{range:?}");
    }
}
