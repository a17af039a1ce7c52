mod map;

use super::{
    super::conformance::{head, key},
    *,
};
use crate::{
    Content,
    stored::rope::{self, Window},
};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use map::{Fault, Map};
use std::sync::Arc;

type Maps = Tiered<Map, Map>;

fn maps() -> Maps {
    Tiered::new(Map::default(), Map::default()).near_limit(100)
}

fn response(name: &str, version: u8, len: usize) -> StoredResponse {
    StoredResponse::new(head(name, version), Bytes::from(vec![version; len]).into())
}

async fn put(store: &impl Store, version: u8, len: usize) -> Result<(), StoreError> {
    store.put(&key("a"), response("a", version, len)).await
}

async fn version(store: &impl Store) -> Option<u8> {
    let found = store.get(&key("a")).await.unwrap()?;
    let content = found.content.read().collect().await.unwrap().to_bytes();
    let version = content.first().copied().unwrap_or_default();
    assert!(content.is_empty() || found.head == head("a", version), "they belong together");
    Some(version)
}

#[tokio::test]
async fn what_is_small_lies_in_both_and_what_is_large_in_far() {
    let store = maps();
    put(&store, 1, 100).await.unwrap();
    assert!(store.near().has("a").is_some() && store.far().has("a").is_some());
    put(&store, 2, 101).await.unwrap();
    assert!(store.near().has("a").is_none(), "what it had is old");
    for _ in 0..3 {
        assert_eq!(version(&store).await, Some(2));
        assert!(store.peek(&key("a")).is_none(), "too large to be copied");
    }
    put(&store, 3, 100).await.unwrap();
    assert_eq!(store.peek(&key("a")).unwrap().head, head("a", 3));
    assert!(!store.peek_tells_all());
}

#[tokio::test]
async fn what_is_found_in_far_often_enough_is_copied() {
    for uses in 0..5 {
        let store = maps().promote_after(uses);
        for _ in 0..3 {
            put(&store, 1, 100).await.unwrap();
            store.near().forget("a");
            for found in 1..=uses.max(1) {
                assert!(store.peek(&key("a")).is_none(), "{found} of {uses}");
                assert_eq!(version(&store).await, Some(1));
            }
            assert!(store.peek(&key("a")).unwrap().content.as_bytes().is_some());
            let asked = store.far().gets.load(Ordering::Relaxed);
            assert_eq!(version(&store).await, Some(1));
            assert_eq!(store.far().gets.load(Ordering::Relaxed), asked, "near answers");
        }
    }
}

#[tokio::test]
async fn trailers_come_along() {
    let store = maps();
    let trailers: http::HeaderMap =
        [(http::header::ETAG, http::HeaderValue::from_static("\"t\""))].into_iter().collect();
    for len in [5, 500] {
        let (writer, rope) = arriving(None);
        writer.push(Bytes::from(vec![1; len]));
        writer.finish(Some(trailers.clone()));
        store.put(&key("a"), rope).await.unwrap();
        store.near().forget("a");
        for _ in 0..2 {
            let found = store.get(&key("a")).await.unwrap().unwrap();
            let collected = found.content.read().collect().await.unwrap();
            assert_eq!(collected.trailers(), Some(&trailers), "{len}");
            assert_eq!(collected.to_bytes().len(), len);
        }
    }
}

fn arriving(declared: Option<u64>) -> (rope::Writer, StoredResponse) {
    let window = Window { each: 1 << 20, all: usize::MAX, kept: Arc::default() };
    let (writer, rope) = rope::channel(window, declared);
    let first = rope.store_reader().unwrap();
    (
        writer,
        StoredResponse::new(head("a", 1), Content::arriving(rope, first, bytes::BytesMut::new())),
    )
}

#[tokio::test]
async fn what_is_gathered_is_bounded_in_sum() {
    let store = maps();
    let puts = || {
        let (writer, response) = arriving(None);
        writer.push(Bytes::from(vec![1; 100]));
        (writer, Box::pin(store.put(&A, response)))
    };
    static A: std::sync::LazyLock<CacheKey> = std::sync::LazyLock::new(|| key("a"));
    let mut under_way: Vec<_> = (0..100).map(|_| puts()).collect();
    for (_, put) in &mut under_way {
        assert!(put.now_or_never().is_none());
    }
    assert!(store.gathering.load(Ordering::Relaxed) <= 100 * 64);
    // What came too late for near is stored all the same.
    let (writer, put) = under_way.pop().unwrap();
    writer.finish(None);
    put.await.unwrap();
    assert!(store.near().has("a").is_none());
    assert_eq!(version(&store).await, Some(1));
    drop(under_way);
    assert_eq!(store.gathering.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn near_has_it_before_far_has() {
    let store = maps();
    store.far().fault(Fault::Hang);
    let key = key("a");
    let mut putting = Box::pin(store.put(&key, response("a", 1, 10)));
    assert!((&mut putting).now_or_never().is_none(), "far has not got it");
    assert_eq!(version(&store).await, Some(1));
}

#[tokio::test]
async fn near_goes_on_when_far_fails() {
    for clears in [true, false] {
        let store = maps();
        put(&store, 1, 10).await.unwrap();
        store.far().fault(Fault::Put);
        store.far().fault(Fault::Get);
        if !clears {
            store.far().fault(Fault::Delete);
        }
        put(&store, 2, 10).await.unwrap();
        assert_eq!(version(&store).await, Some(2));
        assert_eq!(store.faults(), if clears { 1 } else { 2 });
        assert!(put(&store, 3, 500).await.is_err(), "nobody has it");
        store.far().heal();
        store.near().forget("a");
        assert_eq!(version(&store).await, None, "the old one does not come back");
        put(&store, 4, 500).await.unwrap();
        // In the table of those that are out of date it is no younger.
        assert_eq!(version(&store).await, clears.then_some(4));
    }
}

#[tokio::test]
async fn far_goes_on_when_near_fails() {
    let store = maps();
    put(&store, 1, 10).await.unwrap();
    store.near().fault(Fault::Put);
    put(&store, 2, 10).await.unwrap();
    store.near().fault(Fault::Get);
    assert_eq!(version(&store).await, Some(2));
    store.near().heal();
    assert_eq!(version(&store).await, Some(2), "near does not have the old one");
    assert_eq!(store.faults(), 2);
}

#[tokio::test]
async fn what_does_not_fit_is_no_fault() {
    for near_refuses in [true, false] {
        let store = maps();
        put(&store, 1, 10).await.unwrap();
        let tier = if near_refuses { store.near() } else { store.far() };
        tier.fault(Fault::TooLarge);
        put(&store, 2, 10).await.unwrap();
        assert_eq!((version(&store).await, store.faults()), (Some(2), 0));
        let has = [store.near(), store.far()].map(|tier| tier.has("a").is_some());
        assert_eq!(has, [!near_refuses, near_refuses]);
    }
}

#[tokio::test]
async fn a_delete_that_fails_is_an_error_and_deletes_where_it_can() {
    for near_fails in [true, false] {
        let store = maps();
        put(&store, 1, 10).await.unwrap();
        let (failing, other) =
            if near_fails { (store.near(), store.far()) } else { (store.far(), store.near()) };
        failing.fault(Fault::Delete);
        assert!(store.delete(&key("a")).await.is_err());
        assert!(other.has("a").is_none() && failing.has("a").is_some());
        if !near_fails {
            assert_eq!(version(&store).await, None, "what is left in far is out of date");
        }
        failing.heal();
        store.delete(&key("a")).await.unwrap();
        assert_eq!(version(&store).await, None);
    }
}

#[tokio::test]
async fn a_put_that_is_dropped_leaves_nothing_that_comes_back() {
    let store = maps();
    put(&store, 1, 10).await.unwrap();
    store.far().fault(Fault::Hang);
    assert!(put(&store, 2, 10).now_or_never().is_none());
    assert_eq!(version(&store).await, Some(2));
    store.near().forget("a");
    assert_eq!(version(&store).await, None);
    // Where nothing was seen of it, what was there stays.
    let store = maps();
    put(&store, 1, 500).await.unwrap();
    store.far().fault(Fault::Hang);
    assert!(put(&store, 2, 500).now_or_never().is_none());
    assert_eq!(version(&store).await, Some(1));
}

#[tokio::test]
async fn a_large_put_that_is_dropped_too_late_leaves_one_response_only() {
    let store = maps();
    put(&store, 1, 10).await.unwrap();
    store.far().fault(Fault::HangAfter);
    assert!(put(&store, 2, 500).now_or_never().is_none());
    let there = version(&store).await;
    store.near().forget("a");
    assert_eq!(version(&store).await, there, "the other one was there as well");
}

#[tokio::test]
async fn what_was_read_before_a_large_put_is_not_copied_after_it() {
    let key = key("a");
    for dropped_first in [true, false] {
        let store = maps();
        put(&store, 1, 10).await.unwrap();
        store.near().forget("a");
        store.far().fault(Fault::HangRead);
        store.far().fault(Fault::HangAfter);
        let mut getting = Box::pin(store.get(&key));
        assert!((&mut getting).now_or_never().is_none());
        let mut putting = Box::pin(store.put(&key, response("a", 2, 500)));
        assert!((&mut putting).now_or_never().is_none());
        store.far().heal();
        assert_eq!(version(&store).await, Some(2), "far has it");
        let mut putting = Some(putting);
        if dropped_first {
            putting = None;
        }
        assert_eq!(getting.await.unwrap().unwrap().head, head("a", 1));
        drop(putting);
        assert_eq!(version(&store).await, Some(2));
    }
}

#[tokio::test]
async fn freshen_leaves_one_response_only() {
    let freshen = async |store: &Maps| store.freshen(&key("a"), head("a", 7)).await.unwrap();
    let store = maps();
    assert!(!freshen(&store).await, "nothing is there");
    put(&store, 1, 0).await.unwrap();
    assert!(freshen(&store).await);
    for tier in [store.near(), store.far()] {
        assert_eq!(tier.has("a"), Some(head("a", 7)));
    }
    for near_forgets in [true, false] {
        put(&store, 1, 0).await.unwrap();
        let tier = if near_forgets { store.near() } else { store.far() };
        tier.forget("a");
        assert!(freshen(&store).await);
        let has = [store.near(), store.far()].map(|tier| tier.has("a"));
        assert_eq!(has.iter().flatten().collect::<Vec<_>>(), [&head("a", 7)]);
    }
}

#[tokio::test]
async fn notes_lie_in_both_and_those_of_far_count() {
    let note = |text: &'static str| Some(Bytes::from(text));
    let store = Tiered::new(Map::default(), maps());
    store.note(1, note("one")).await.unwrap();
    store.note(2, note("two")).await.unwrap();
    store.note(3, note("three")).await.unwrap();
    store.note(2, None).await.unwrap();
    assert_eq!(store.notes(), [(1, "one".into()), (3, "three".into())]);
    for tier in [store.near(), store.far().near(), store.far().far()] {
        assert_eq!(tier.notes(), store.notes());
    }
    store.near().fault(Fault::Note);
    assert!(store.note(1, note("new")).await.is_err());
    assert_eq!(store.notes(), [(1, "new".into()), (3, "three".into())]);
    store.near().heal();
    store.far().far().fault(Fault::Note);
    assert!(store.note(4, note("four")).await.is_err(), "not all have it");
    assert!(store.notes().contains(&(4, "four".into())), "but those who could");
}

#[test]
fn uses_are_counted_in_bounded_memory() {
    let uses = Uses::new(3);
    let keys: Vec<_> = (0..100_000).map(|n| key(&n.to_string())).collect();
    assert_eq!(keys.iter().filter(|key| uses.are_enough(key)).count(), 0);
    let key = key("often");
    assert_eq!([(); 5].map(|()| uses.are_enough(&key)), [false, false, true, true, true]);
    uses.forget(&key);
    assert_eq!([(); 3].map(|()| uses.are_enough(&key)), [false, false, true]);
    let most = Uses::new(u8::MAX);
    assert_eq!((0..1_000).filter(|_| most.are_enough(&key)).count(), 1_000 - 254);
}
