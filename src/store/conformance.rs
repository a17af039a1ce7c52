//! The contract of a [`Store`], as tests for any store.
//!
//! # Example: in the tests of a store
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! use tower_cdn::{MemoryStore, store::conformance};
//!
//! conformance::check(async || MemoryStore::new(64 * 1024 * 1024)).await;
//! # });
//! ```
use super::Store;
use crate::{
    CacheKey, Content, StoredHead, StoredResponse,
    clock::Moment,
    semantics::directives::Directives,
    stored::{
        FoundValid, Kind, Membership, Parts, RareParts, ResponseHead, VariantIndex,
        rope::{self, Rope, Window, Writer},
    },
};
use bytes::{Bytes, BytesMut};
use futures_util::future::{join, poll_immediate};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Checks a store against the whole contract. `make` gives an empty store with room for a few megabytes each time.
///
/// # Panics
/// If the store breaks the contract; the message says where.
pub async fn check<S: Store>(mut make: impl AsyncFnMut() -> S) {
    nothing_is_in_an_empty_store(&make().await).await;
    what_was_put_is_got(&make().await).await;
    the_last_put_wins(&make().await).await;
    heads_come_back_byte_for_byte(&make().await).await;
    content_is_read_often_and_in_part(&make().await).await;
    trailers_are_kept(&make().await).await;
    arriving_content_becomes_visible_when_it_is_complete(&make().await).await;
    content_that_breaks_off_leaves_what_was_there(&make().await).await;
    a_put_that_is_dropped_leaves_what_was_there(&make().await).await;
    freshen_replaces_the_head_only(&make().await).await;
    freshen_leaves_other_content_alone(&make().await).await;
    delete_deletes(&make().await).await;
    keys_do_not_mix(&make().await).await;
    puts_at_once_leave_one_of_them(&make().await).await;
    peek_says_what_get_says(&make().await).await;
}

async fn nothing_is_in_an_empty_store(store: &impl Store) {
    assert!(get(store, &key("a")).await.is_none(), "an empty store gives nothing");
    store.delete(&key("a")).await.expect("deleting what is not there is fine");
    let freshened = store.freshen(&key("a"), head("a", 1)).await.expect("freshen must not fail");
    assert!(!freshened, "freshen says that nothing is there");
    assert!(get(store, &key("a")).await.is_none(), "freshen makes nothing");
}

async fn what_was_put_is_got(store: &impl Store) {
    for size in [0, 1, 1_000, 70_000, 1_000_000] {
        put(store, "a", 1, bytes(size, 1)).await;
        expect(store, "a", 1, &bytes(size, 1)).await;
    }
}

async fn the_last_put_wins(store: &impl Store) {
    put(store, "a", 1, bytes(5_000, 1)).await;
    put(store, "a", 2, bytes(10, 2)).await;
    expect(store, "a", 2, &bytes(10, 2)).await;
}

async fn heads_come_back_byte_for_byte(store: &impl Store) {
    let index = VariantIndex::new(7).added(&vec![header::ACCEPT], (key("v"), Some(key("l"))), 16).0;
    for head in [head("a", 1), StoredHead::variants(key("a"), index)] {
        let response = StoredResponse { head: head.clone(), content: Bytes::new().into() };
        store.put(&key("a"), response).await.expect("put must not fail");
        let got = get(store, &key("a")).await.expect("what was put is there");
        assert_eq!(got.head, head, "the head comes back as it was");
    }
}

async fn content_is_read_often_and_in_part(store: &impl Store) {
    let content = bytes(600_000, 3);
    put(store, "a", 1, content.clone()).await;
    let got = get(store, &key("a")).await.expect("what was put is there");
    assert_eq!(got.content.len(), Some(600_000), "the length is known");
    for range in [0..600_000, 0..0, 0..1, 599_999..600_000, 200_000..400_001, 5..6] {
        let part = got.content.read_range(range.clone()).collect().await;
        let part = part.expect("a part can be read").to_bytes();
        let wanted = content.slice(range.start as usize..range.end as usize);
        assert!(part == wanted, "bytes {range:?} are those that were put");
    }
    let (one, two) = join(read(&got.content), read(&got.content)).await;
    assert!(one.as_ref() == Some(&content) && two == one, "two can read at once");
}

async fn trailers_are_kept(store: &impl Store) {
    let trailers: HeaderMap =
        [(header::ETAG, HeaderValue::from_static("\"t\""))].into_iter().collect();
    let content = Content::from(bytes(10, 1)).with_trailers(Some(trailers.clone()));
    let response = StoredResponse { head: head("a", 1), content };
    store.put(&key("a"), response).await.expect("put must not fail");
    let got = get(store, &key("a")).await.expect("what was put is there");
    let collected = got.content.read().collect().await.expect("content can be read");
    assert_eq!(collected.trailers(), Some(&trailers), "trailers come behind the content");
}

async fn arriving_content_becomes_visible_when_it_is_complete(store: &impl Store) {
    put(store, "a", 1, bytes(10, 1)).await;
    let (writer, rope) = rope();
    let arriving = arriving(&rope, 2);
    let key = key("a");
    let mut putting = pin!(store.put(&key, arriving));
    writer.push(bytes(500, 2));
    for _ in 0..3 {
        assert!(poll_immediate(putting.as_mut()).await.is_none(), "put waits for the end");
        expect(store, "a", 1, &bytes(10, 1)).await;
    }
    writer.push(bytes(700, 2));
    writer.finish(None);
    putting.await.expect("put must not fail");
    let whole: Bytes = [bytes(500, 2), bytes(700, 2)].concat().into();
    expect(store, "a", 2, &whole).await;
}

fn rope() -> (Writer, Rope) {
    rope::channel(Window { each: 1 << 20, all: usize::MAX, kept: Arc::default() }, None)
}

async fn content_that_breaks_off_leaves_what_was_there(store: &impl Store) {
    for before in [false, true] {
        if before {
            put(store, "a", 1, bytes(10, 1)).await;
        }
        let (writer, rope) = rope();
        let arriving = arriving(&rope, 2);
        writer.push(bytes(500, 2));
        drop(writer);
        let failed = store.put(&key("a"), arriving).await;
        assert!(failed.is_err(), "put tells that the content broke off");
        match before {
            true => expect(store, "a", 1, &bytes(10, 1)).await,
            false => assert!(get(store, &key("a")).await.is_none(), "nothing is half stored"),
        }
    }
}

async fn a_put_that_is_dropped_leaves_what_was_there(store: &impl Store) {
    put(store, "a", 1, bytes(10, 1)).await;
    let (writer, rope) = rope();
    let arriving = arriving(&rope, 2);
    writer.push(bytes(500, 2));
    {
        let key = key("a");
        let mut putting = pin!(store.put(&key, arriving));
        assert!(poll_immediate(putting.as_mut()).await.is_none(), "put waits for the end");
    }
    writer.finish(None);
    expect(store, "a", 1, &bytes(10, 1)).await;
}

async fn freshen_replaces_the_head_only(store: &impl Store) {
    put(store, "a", 1, bytes(70_000, 1)).await;
    let freshened = store.freshen(&key("a"), head("a", 2)).await.expect("freshen must not fail");
    assert!(freshened, "freshen says that something was there");
    expect(store, "a", 2, &bytes(70_000, 1)).await;
}

async fn freshen_leaves_other_content_alone(store: &impl Store) {
    put(store, "a", 1, bytes(10, 1)).await;
    let Kind::Response(other) = head("a", 2).kind else { return };
    let other = ResponseHead { content: CONTENT ^ 1, ..(*other).clone() };
    let other = StoredHead::response(key("a"), other);
    let freshened = store.freshen(&key("a"), other).await.expect("freshen must not fail");
    assert!(!freshened, "freshen says that what is there is another response");
    expect(store, "a", 1, &bytes(10, 1)).await;
}

async fn delete_deletes(store: &impl Store) {
    put(store, "a", 1, bytes(70_000, 1)).await;
    put(store, "b", 1, bytes(10, 1)).await;
    store.delete(&key("a")).await.expect("delete must not fail");
    assert!(get(store, &key("a")).await.is_none(), "what was deleted is gone");
    expect(store, "b", 1, &bytes(10, 1)).await;
    put(store, "a", 3, bytes(10, 3)).await;
    expect(store, "a", 3, &bytes(10, 3)).await;
}

async fn keys_do_not_mix(store: &impl Store) {
    let names: Vec<String> = (0..50).map(|n| format!("{}\0{n}/..", "x".repeat(n))).collect();
    for (n, name) in names.iter().enumerate() {
        put(store, name, n as u8, bytes(100 + n, n as u8)).await;
    }
    for (n, name) in names.iter().enumerate() {
        expect(store, name, n as u8, &bytes(100 + n, n as u8)).await;
    }
}

async fn puts_at_once_leave_one_of_them(store: &impl Store) {
    join(put(store, "a", 1, bytes(50_000, 1)), put(store, "a", 2, bytes(50_000, 2))).await;
    let got = get(store, &key("a")).await.expect("one of two is there");
    let content = read(&got.content).await.expect("content can be read");
    let whole = [1, 2].iter().any(|n| got.head == head("a", *n) && content == bytes(50_000, *n));
    assert!(whole, "head and content belong together");
}

async fn peek_says_what_get_says(store: &impl Store) {
    assert!(store.peek(&key("a")).is_none(), "an empty store gives nothing");
    put(store, "a", 1, bytes(10, 1)).await;
    if let Some(peeked) = store.peek(&key("a")) {
        assert_eq!(peeked.head, head("a", 1), "peek gives what was put");
    }
    store.delete(&key("a")).await.expect("delete must not fail");
    assert!(store.peek(&key("a")).is_none(), "what was deleted is gone");
}

pub(super) fn key(name: &str) -> CacheKey {
    CacheKey::from_bytes(name.as_bytes().to_vec())
}

/// A head with everything that is easily lost: repeated fields, bytes that are no text, times with fractions.
pub(super) fn head(name: &str, version: u8) -> StoredHead {
    let mut headers = HeaderMap::new();
    for value in [&b"1"[..], b"2", b"\xff\xfe", b""] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append("x-repeated", value);
        }
    }
    headers.append("x-version", u16::from(version).into());
    let cc = HeaderValue::from_static("max-age=60, no-cache=\"x-a\", stale-if-error=5");
    headers.append(header::CACHE_CONTROL, cc);
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    StoredHead::response(
        key(name),
        ResponseHead {
            status: StatusCode::from_u16(299).unwrap_or_default(),
            directives: Directives::of_response(&headers).into(),
            headers,
            lifetime: Duration::from_secs(60),
            corrected_initial_age: Duration::from_millis(1_500),
            response_time: Moment { wall: time, monotonic: None },
            date: time.into(),
            content: CONTENT,
            fetch: 1 << 50,
            found_valid: FoundValid::default(),
            rare: RareParts {
                variant: Some((u64::MAX, vec![header::ACCEPT, header::ACCEPT_LANGUAGE])),
                by_language: None,
                groups: Membership {
                    named: vec![key("g"), key("h")],
                    any: false,
                    uri: Some(Box::new(key("u"))),
                },
                part: Parts::new(3..9, 11),
            }
            .into(),
        },
    )
}

/// Heads with the same number belong to one content.
const CONTENT: u64 = 1 << 63 | 7;

fn bytes(size: usize, version: u8) -> Bytes {
    (0..size).map(|n| (n % 251) as u8 ^ version).collect()
}

fn arriving(rope: &rope::Rope, version: u8) -> StoredResponse {
    let first = rope.store_reader().expect("a new rope has all its bytes");
    StoredResponse {
        head: head("a", version),
        content: Content::arriving(rope.clone(), first, BytesMut::with_capacity(10)),
    }
}

async fn put(store: &impl Store, name: &str, version: u8, content: Bytes) {
    let response = StoredResponse { head: head(name, version), content: content.into() };
    store.put(&key(name), response).await.expect("put must not fail");
}

async fn get(store: &impl Store, key: &CacheKey) -> Option<StoredResponse> {
    store.get(key).await.expect("get must not fail")
}

async fn read(content: &Content) -> Option<Bytes> {
    content.read().collect().await.ok().map(|collected| collected.to_bytes())
}

async fn expect(store: &impl Store, name: &str, version: u8, content: &Bytes) {
    let got = get(store, &key(name)).await;
    let got = got.unwrap_or_else(|| panic!("{name:?} version {version} is there"));
    assert_eq!(got.head, head(name, version), "the head is that of version {version}");
    let read = read(&got.content).await.expect("content can be read");
    assert!(read == *content, "the content is that of version {version}");
}
