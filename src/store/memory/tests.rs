use super::{
    super::conformance::{head, key},
    *,
};
use crate::{
    Content,
    stored::{
        Kind, compact,
        rope::{self, Next, Room, Window},
    },
};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::{HeaderValue, header};
use http_body_util::{BodyExt, Full};
use std::{
    collections::VecDeque,
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
};

const MIB: u64 = 1024 * 1024;

fn response(name: &str, version: u8, length: usize) -> StoredResponse {
    StoredResponse::new(head(name, version), Bytes::from(vec![version; length]).into())
}

fn put(store: &MemoryStore, name: &str, version: u8, length: usize) -> bool {
    store.put(&key(name), response(name, version, length)).now_or_never().unwrap().is_ok()
}

/// The content as it lies in memory.
fn frames(content: &Content) -> Vec<Bytes> {
    let mut body = content.read();
    let frames = std::iter::from_fn(|| body.frame().now_or_never().unwrap());
    frames.map(|frame| frame.unwrap().into_data().unwrap()).collect()
}

fn freshen(store: &MemoryStore, name: &str, field: usize) -> bool {
    let mut head = head(name, 2);
    let Kind::Response(response) = &mut head.kind else { unreachable!() };
    let value = vec![b'x'; field].try_into().unwrap();
    Arc::make_mut(response).headers.insert("x-version", value);
    store.freshen(&key(name), head).now_or_never().unwrap().unwrap()
}

fn sum(store: &MemoryStore) -> u64 {
    store.cache.iter().map(|(key, held)| Held::new(&key, held.response(&key)).weight).sum()
}

#[test]
fn what_does_not_fit_leaves_all_that_is_there() {
    let store = MemoryStore::new(MIB);
    for name in ["a", "b"] {
        assert!(put(&store, name, 1, 1_000));
    }
    assert!(!put(&store, "a", 2, MIB as usize));
    assert!(!put(&store, "a", 2, MIB as usize / 16 * 15));
    assert_eq!(store.peek(&key("a")).unwrap().head, head("a", 1));
    assert_eq!(store.len(), 2);
    assert!(put(&store, "a", 2, MIB as usize / 16 * 15 - 10_000), "all but the overhead");
    assert_eq!(store.peek(&key("a")).unwrap().head, head("a", 2));
}

#[test]
fn trailers_weigh() {
    let trailers = |length| {
        let value = HeaderValue::from_bytes(&vec![b'x'; length]).unwrap();
        Some([(header::ETAG, value)].into_iter().collect())
    };
    let of = |trailers| {
        let content = Content::from(Bytes::from_static(b"a")).with_trailers(trailers);
        Held::new(&key("a"), StoredResponse::new(head("a", 1), content)).weight
    };
    assert!(of(trailers(1)) > of(None));
    assert_eq!(of(trailers(10_001)), of(trailers(1)) + 10_000);
}

#[test]
fn a_head_with_another_key_comes_back_as_it_was() {
    let store = MemoryStore::new(MIB);
    let put = store.put(&key("prefix/a"), response("a", 1, 1)).now_or_never();
    put.unwrap().unwrap();
    assert_eq!(store.peek(&key("prefix/a")).unwrap().head, head("a", 1));
    let freshened = store.freshen(&key("prefix/a"), head("a", 2)).now_or_never();
    assert!(freshened.unwrap().unwrap());
    assert_eq!(store.peek(&key("prefix/a")).unwrap().head, head("a", 2));
}

#[test]
fn small_content_is_kept_behind_the_values_of_its_head() {
    let store = MemoryStore::new(MIB);
    let value = HeaderValue::from_static("\"a\"");
    let (headers, room) = compact([(&header::ETAG, &value)].into_iter(), 5);
    let end = headers[header::ETAG].as_bytes().as_ptr_range().end;
    let window = Window { each: 1 << 20, all: usize::MAX, kept: Arc::default() };
    let (writer, rope) = rope::channel(window, Some(5));
    let content = Content::arriving(rope.clone(), rope.store_reader().unwrap(), room);
    writer.push(Bytes::from_static(b"hello"));
    writer.finish(None);
    let response = StoredResponse::new(head("a", 1), content);
    store.put(&key("a"), response).now_or_never().unwrap().unwrap();
    let stored = store.peek(&key("a")).unwrap().content;
    let stored = stored.as_bytes().unwrap();
    assert_eq!(stored, "hello");
    assert_eq!(stored.as_ptr(), end, "one allocation for both");
}

#[test]
fn what_takes_more_than_before_makes_room() {
    let store = MemoryStore::new(MIB);
    let names: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    for length in [1_000, 2_000, 10_000, 200_000] {
        for name in &names {
            assert!(put(&store, name, 1, length));
            assert!(store.weight() <= MIB && store.weight() == sum(&store));
        }
    }
    for field in [1_000, 100, 30_000, 200_000] {
        let freshened = names.iter().filter(|name| freshen(&store, name, field)).count();
        assert!(freshened > 0, "{field}");
        assert!(store.weight() <= MIB && store.weight() == sum(&store), "{field}");
    }
    for name in &names {
        store.delete(&key(name)).now_or_never().unwrap().unwrap();
    }
    assert!(store.is_empty() && store.weight() == 0);
}

#[test]
fn many_at_once_leave_what_is_weighed_right() {
    let store = MemoryStore::new(MIB);
    let run = |seed: usize| {
        for n in 0..5_000 {
            let name = ((n * seed) % 50).to_string();
            match n % 7 {
                0 | 1 => drop(put(&store, &name, 1, (n * seed) % 40_000)),
                2 | 3 => drop(freshen(&store, &name, (n * seed) % 2_000)),
                4 => drop(store.delete(&key(&name)).now_or_never()),
                _ => {
                    let got = store.peek(&key(&name));
                    assert!(got.is_none_or(|got| got.head.key == key(&name)));
                }
            }
            assert!(store.weight() <= MIB);
        }
    };
    thread::scope(|scope| {
        for seed in [7, 11, 13, 17] {
            scope.spawn(move || run(seed));
        }
    });
    assert_eq!(store.weight(), sum(&store));
}

#[test]
fn parts_are_large() {
    for (gib, parts, largest) in
        [(0, 1, 0), (1, 2, 480), (2, 4, 480), (3, 4, 720), (10, 16, 600), (64, 16, 3_840)]
    {
        let store = MemoryStore::new(gib * 1024 * MIB);
        assert_eq!(store.cache.num_shards(), parts, "{gib} GiB");
        assert_eq!(store.largest(), largest * MIB, "{gib} GiB");
        assert!(store.cache.capacity() <= gib * 1024 * MIB);
    }
    let huge = MemoryStore::new(u64::MAX);
    assert!(put(&huge, "a", 1, 1) && huge.len() == 1);
}

#[test]
fn what_is_long_is_read_into_pieces() {
    const LONG: usize = 5 * MIB as usize / 2;
    let store = MemoryStore::new(16 * MIB);
    let bytes = Bytes::from((0..LONG).map(|at| (at % 251) as u8).collect::<Vec<_>>());
    let source = bytes.clone();
    let content = Content::from_fn(LONG as u64, move |range| {
        Full::new(source.slice(range.start as usize..range.end as usize))
    });
    let response = StoredResponse::new(head("a", 1), content);
    assert!(store.put(&key("a"), response).now_or_never().unwrap().is_ok());
    let stored = store.peek(&key("a")).unwrap().content;
    assert!(stored.is_in_memory() && stored.as_bytes().is_none());
    let frames = frames(&stored);
    let lengths: Vec<_> = frames.iter().map(|frame| frame.len() as u64).collect();
    assert_eq!(lengths, [MIB, MIB - 256, MIB / 2 + 256]);
    assert_eq!(frames.concat(), bytes);
}

#[test]
fn large_frames_that_arrive_are_kept_once_clients_are_done_with_them() {
    const FRAME: usize = 400 * 1024;
    let store = MemoryStore::new(64 * MIB);
    let window = Window { each: 4 << 20, all: usize::MAX, kept: Arc::default() };
    let (writer, rope) = rope::channel(window, None);
    let content = Content::arriving(rope.clone(), rope.store_reader().unwrap(), BytesMut::new());
    let mut client = rope.whole().unwrap();
    let response = StoredResponse::new(head("a", 1), content);
    let key = key("a");
    let mut put = pin!(store.put(&key, response));
    let mut cx = Context::from_waker(Waker::noop());
    let (mut places, mut being_sent) = (Vec::new(), VecDeque::new());
    for number in 0..30 {
        let frame = Bytes::from(vec![number; FRAME]);
        places.push(frame.as_ptr());
        writer.push(frame);
        assert!(put.as_mut().poll(&mut cx).is_pending());
        let Poll::Ready(Next::Chunk(frame)) = client.poll_next(Waker::noop()) else { panic!() };
        being_sent.push_back(frame);
        being_sent.drain(..being_sent.len().saturating_sub(3));
        assert_eq!(writer.room(Waker::noop()), Room::Free);
    }
    writer.finish(None);
    assert!(matches!(put.as_mut().poll(&mut cx), Poll::Ready(Ok(()))));
    let frames = frames(&store.peek(&key).unwrap().content);
    // The last ones are still in the window of the rope when all is there.
    let kept = frames.iter().filter(|frame| places.contains(&frame.as_ptr())).count();
    assert!(kept >= 12, "{kept}");
    let whole: Vec<_> = (0..30).flat_map(|number| vec![number; FRAME]).collect();
    assert!(frames.concat() == whole);
}
