//! What went wrong once: each test tells by its name what must hold, and by its first line what happened instead.
mod support;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::BodyExt;
use std::{
    future::{IntoFuture, pending},
    sync::{Arc, Mutex},
};
use support::{
    Answer, Call, Client, Fault, KILOBYTE, MEGABYTE, Origin, Seen, Troubled, World, answer, ok,
    pass, seconds, settle, world, world_of, world_with,
};
use tokio::{sync::Semaphore, task::JoinHandle, time::Instant};
use tower::Layer;
use tower_cdn::{
    Behaviour, CacheKey, CachePolicy, CdnCache, CdnCacheLayer, Clock, Distribution, DoNotStore,
    Influential, KeyPolicy, MemoryStore, Parameters, RangeFetch, Stats, Store, StoreError,
    StoredHead, StoredResponse,
};

const DIGITS: &str = "0123456789";

/// A layer with a store of the test's own.
struct Edge {
    origin: Origin,
    layer: CdnCacheLayer,
    client: Client<CdnCache<Origin>>,
}

fn edge_of(store: impl Store, policy: CachePolicy) -> Edge {
    let layer = CdnCacheLayer::builder(store).clock(Clock::tokio()).policy(policy).build();
    let origin = Origin::new();
    let client = Client::new(layer.layer(origin.clone()));
    Edge { origin, layer, client }
}

fn edge(store: impl Store) -> Edge {
    edge_of(store, CachePolicy::default())
}

impl Edge {
    fn stats(&self) -> Stats {
        self.layer.handle().stats()
    }
}

fn as_asked() -> CachePolicy {
    CachePolicy::default().range_fetch(RangeFetch::AsAsked)
}

/// Ten digits, or one half of them, good for ten seconds.
fn halves(seen: &Seen) -> Answer {
    let answer = match seen.field("range") {
        Some("bytes=0-4") => answer(206).header("content-range", "bytes 0-4/10").body("01234"),
        Some("bytes=5-9") => answer(206).header("content-range", "bytes 5-9/10").body("56789"),
        _ => ok(DIGITS),
    };
    answer.max_age(10).etag("\"a\"")
}

/// The first half is stored.
async fn with_half(client: &Client<CdnCache<Origin>>, origin: &Origin) {
    origin.always("/", halves);
    let half = || client.get("/").header("range", "bytes=0-4");
    assert_eq!(half().told().await, "206 01234 (uri-miss)");
    assert_eq!(half().told().await, "206 01234 (hit)");
}

fn crowd(w: &World, count: usize) -> Vec<JoinHandle<String>> {
    (0..count).map(|_| w.get("/").start_told()).collect()
}

/// What they were told, sorted.
async fn told(crowd: Vec<JoinHandle<String>>) -> Vec<String> {
    let mut all = Vec::new();
    for one in crowd {
        all.push(one.await.unwrap());
    }
    all.sort();
    all
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_the_whole_while_a_part_is_validated_gets_the_whole() {
    // The validated part went to the one who waited for the whole, as a 200.
    for is_late in [false, true] {
        let store = Troubled::new();
        let t = edge_of(store.clone(), as_asked());
        with_half(&t.client, &t.origin).await;
        pass(10).await;
        // The fetch is not over before the store has freshened.
        store.trouble(Call::Freshen, Fault::Hang);
        let (validated, hold) = answer(304).etag("\"a\"").max_age(10).held();
        t.origin.says("/", validated);
        let part = t.client.get("/").header("range", "bytes=0-4").start_told();
        settle().await;
        assert_eq!(t.origin.last().field("if-none-match"), Some("\"a\""));
        let ask_whole = || t.client.get("/").start_told();
        let whole = if is_late {
            hold.release();
            settle().await;
            assert_eq!(t.stats().fetches, 1, "it has landed, and is under way");
            ask_whole()
        } else {
            let whole = ask_whole();
            settle().await;
            hold.release();
            whole
        };
        assert_eq!(part.await.unwrap(), "206 01234 (stale)");
        let whole = whole.await.unwrap();
        assert!(whole.starts_with("200 0123456789 "), "late {is_late}: {whole}");
        assert!(t.origin.count() > 2, "the origin was asked");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_does_not_make_the_whole_of_a_part() {
    // A part whose head was freshened by a HEAD without a length was taken for complete from then on.
    for age in [0, 10] {
        for range in [None, Some("bytes=0-4")] {
            let w = world_of(as_asked());
            with_half(&w.client, &w.origin).await;
            pass(age).await;
            w.origin.says("/", answer(200).max_age(60).etag("\"a\""));
            let head = w.head("/");
            let head = if let Some(range) = range { head.header("range", range) } else { head };
            assert_eq!(head.told().await, "200  (partial)", "{age} {range:?}");
            assert_eq!(w.get("/").told().await, "200 0123456789 (partial)", "{age} {range:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_shared_with_nobody_who_comes_later_and_not_stored() {
    // A body that stalled after its head caught everybody who came, without end.
    for collapse in [true, false] {
        let w = world_of(CachePolicy::default().collapse(collapse));
        let (stalling, feed) = ok("").max_age(3_600).fed();
        w.origin.says("/", stalling);
        w.origin.says("/", ok("new").max_age(60));
        let mut first = w.get("/").await;
        feed.chunk("one ");
        settle().await;
        assert_eq!(first.chunk_now().await.as_deref(), Some("one "));
        pass(30).await;
        let newcomer = w.get("/").start_told();
        settle().await;
        assert!(newcomer.is_finished(), "he does not wait");
        assert_eq!(newcomer.await.unwrap(), "200 new (uri-miss)");

        assert!(first.is_waiting().await, "who reads goes on waiting");
        feed.chunk("two");
        feed.end();
        assert_eq!(first.text().await, "two");
        w.assert_idle().await;
        assert_eq!(w.get("/").told().await, "200 new (hit)");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_has_stalled_is_not_stored_though_nobody_has_come_since() {
    // It was stored when its end came, however late that was.
    for collapse in [true, false] {
        let w = world_of(CachePolicy::default().collapse(collapse));
        let (stalling, feed) = ok("").max_age(3_600).fed();
        w.origin.says("/", stalling);
        let first = w.get("/").start_told();
        settle().await;
        feed.chunk("one ");
        pass(30).await;
        feed.chunk("two");
        feed.end();
        assert_eq!(first.await.unwrap(), "200 one two (uri-miss)");
        w.assert_idle().await;
        assert!(w.store.is_empty(), "collapse {collapse}");
    }
}

#[tokio::test(start_paused = true)]
async fn codings_that_are_malformed_are_other_variants_than_identity() {
    // What stood behind the first token was dropped, so that an origin that reads it otherwise could be made to poison the variant.
    for odd in ["identity gzip", "@gzip"] {
        for (first, second) in [(odd, "identity"), ("identity", odd)] {
            let w = world();
            w.origin.always("/", |seen| {
                let coding = seen.field("accept-encoding").unwrap_or("-").to_owned();
                ok(coding).max_age(60).vary("accept-encoding")
            });
            for coding in [first, second] {
                let told = w.get("/").header("accept-encoding", coding).told().await;
                assert!(told.starts_with(&format!("200 {coding} (")), "{coding}: {told}");
            }
            assert_eq!(w.origin.count(), 2, "{first}, then {second}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn default_ttl_is_not_for_answers_to_requests_with_cookies() {
    // A page that was made for one user and says nothing was stored for all.
    let policy = || CachePolicy::default().default_ttl(seconds(60));
    for (policy, says, is_stored) in [
        (policy(), None, false),
        (policy().ignore_cookies(true), None, true),
        (policy(), Some("public"), true),
    ] {
        let w = world_of(policy);
        w.origin.always("/", move |_| match says {
            Some(says) => ok("page").says(says),
            None => ok("page"),
        });
        assert_eq!(w.get("/").header("cookie", "user=1").told().await, "200 page (uri-miss)");
        let how = if is_stored { "hit" } else { "uri-miss" };
        assert_eq!(w.get("/").told().await, format!("200 page ({how})"), "{says:?}");
        assert_eq!(w.get("/").told().await, "200 page (hit)", "without cookies it is stored");
    }
}

#[tokio::test(start_paused = true)]
async fn many_invalidations_do_not_concern_what_was_fetched_after_most_of_them() {
    // Once there were too many to be remembered, all responses whose keys have more than the URI missed.
    let w = world();
    w.origin.always("/posts", |_| ok("done"));
    w.origin.always("/", |_| ok("a").max_age(3_600));
    let get = || w.get("/").header("x-forwarded-proto", "https");
    for n in 0..40_000 {
        assert_eq!(w.post(&format!("/posts?{n}")).await.status, 200);
        if n % 500 == 0 {
            settle().await;
        }
        if n == 30_000 {
            assert_eq!(get().told().await, "200 a (uri-miss)");
        }
    }
    settle().await;
    assert_eq!(get().told().await, "200 a (hit)");
}

#[tokio::test(start_paused = true)]
async fn authorization_neither_removes_what_is_stored_nor_parts_the_others() {
    // Whoever sent an Authorization for something stale removed it, and for ten seconds nobody waited for anybody.
    let validated = || answer(304).max_age(10).etag("\"a\"");
    let replaced = || ok("a").max_age(10).etag("\"a\"");
    let answers: [fn() -> Answer; 2] = [validated, replaced];
    for own in answers {
        for is_meanwhile in [false, true] {
            let w = world();
            w.origin.says("/", replaced());
            assert_eq!(w.get("/").told().await, "200 a (uri-miss)");
            pass(10).await;

            let (own, hold_own) = own().held();
            w.origin.says("/", own);
            let (shared, hold_shared) = validated().held();
            w.origin.says("/", shared);
            let authorized = w.get("/").header("authorization", "secret").start_told();
            settle().await;
            assert_eq!(w.origin.last().field("authorization"), Some("secret"));
            let mut others = if is_meanwhile { crowd(&w, 5) } else { Vec::new() };
            settle().await;
            hold_own.release();
            assert_eq!(authorized.await.unwrap(), "200 a (stale)");
            settle().await;
            assert_eq!(w.store.len(), 1, "it is still stored");
            if !is_meanwhile {
                others = crowd(&w, 5);
                settle().await;
            }
            assert_eq!(w.origin.count(), 3, "one of the others asks, meanwhile {is_meanwhile}");
            assert_eq!(w.origin.last().field("if-none-match"), Some("\"a\""));
            hold_shared.release();
            let mut expected = vec!["200 a (stale)"];
            expected.resize(5, "200 a (stale+)");
            expected.sort_unstable();
            assert_eq!(told(others).await, expected);
            assert_eq!(w.get("/").told().await, "200 a (hit)");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_503_one_of_those_who_waited_tries_again_and_the_others_share_it() {
    // All of them asked at once an origin that was overloaded.
    let w = world();
    let (busy, hold_busy) = answer(503).held();
    let (good, hold_good) = ok("a").max_age(60).held();
    w.origin.says("/", busy);
    w.origin.says("/", good);
    let leader = w.get("/").start_told();
    settle().await;
    let others = crowd(&w, 5);
    settle().await;
    hold_busy.release();
    assert_eq!(leader.await.unwrap(), "503  (uri-miss)");
    settle().await;
    assert_eq!(w.origin.count(), 2, "one of them, not all");
    let later = w.get("/").start_told();
    settle().await;
    assert_eq!(w.origin.count(), 2, "and who comes now waits as well");
    hold_good.release();
    let mut expected = vec!["200 a (uri-miss)"];
    expected.resize(5, "200 a (uri-miss+)");
    assert_eq!(told(others).await, expected);
    assert_eq!(later.await.unwrap(), "200 a (uri-miss+)");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn what_completes_a_part_and_may_not_be_stored_is_asked_for_as_a_whole() {
    // The rest of it went to the client, who had asked for the whole.
    let w = world_of(as_asked());
    with_half(&w.client, &w.origin).await;
    w.origin.always("/", |seen| halves(seen).extension(DoNotStore));
    assert_eq!(w.get("/").told().await, "200 0123456789 (partial)");
    let log = w.origin.log();
    let ranges: Vec<_> = log.iter().skip(1).map(|seen| seen.field("range")).collect();
    assert_eq!(ranges, [Some("bytes=5-9"), None]);
    w.assert_idle().await;
}

/// A POST to `/edit` makes `/a` and the group of `/b` invalid; both are stored.
async fn with_group(t: &Edge) {
    t.origin.always("/a", |_| ok("a").max_age(3_600));
    t.origin.always("/b", |_| ok("b").max_age(3_600).header("cache-groups", "\"g\""));
    t.origin.always("/edit", |_| {
        answer(201).header("location", "/a").header("cache-group-invalidation", "\"g\"")
    });
    for (target, text) in [("/a", "a"), ("/b", "b")] {
        assert_eq!(t.client.get(target).told().await, format!("200 {text} (uri-miss)"));
        assert_eq!(t.client.get(target).told().await, format!("200 {text} (hit)"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_whose_client_goes_away_invalidates_all_the_same() {
    // The client took with it what was still to be invalidated when it left while the store was deleting.
    let store = Troubled::new();
    let t = edge(store.clone());
    with_group(&t).await;
    store.trouble(Call::Delete, Fault::Hang);
    let post = t.client.ask("POST", "/edit").start();
    settle().await;
    assert_eq!(t.origin.last().target(), "http://example.com/edit");
    post.abort();
    settle().await;
    assert_eq!(t.client.get("/a").told().await, "200 a (uri-miss)");
    assert_eq!(t.client.get("/b").told().await, "200 b (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_delete_delays_no_post_and_nothing_old_is_reused() {
    // The answer of the POST waited for each of the deletes.
    let store = Troubled::new();
    let t = edge(store.clone());
    with_group(&t).await;
    store.trouble(Call::Delete, Fault::Hang);
    let start = Instant::now();
    assert_eq!(t.client.ask("POST", "/edit").await.status, 201);
    assert_eq!(start.elapsed(), seconds(0));
    assert_eq!(t.client.get("/a").told().await, "200 a (uri-miss)");
    assert_eq!(t.client.get("/b").told().await, "200 b (uri-miss)");
    assert_eq!(start.elapsed(), seconds(0));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_deleted_at_first_is_deleted_later() {
    // What a store had not deleted at once stayed in it for good.
    for fault in [Fault::Error, Fault::Hang, Fault::Panic] {
        let store = Troubled::new();
        let t = edge(store.clone());
        with_group(&t).await;
        store.trouble(Call::Delete, fault);
        assert_eq!(t.client.ask("POST", "/edit").await.status, 201);
        pass(2).await;
        assert_eq!(store.len(), 2, "{fault:?}");
        store.heal();
        for _ in 0..20 {
            pass(1).await;
        }
        assert_eq!(store.len(), 1, "{fault:?}: only what is invalid by its group");
        assert_eq!(t.client.get("/a").told().await, "200 a (uri-miss)");
    }
}

/// A store in memory whose `put` needs a permit, and reads no more than one chunk if it is tired.
#[derive(Clone)]
struct Slow {
    inner: MemoryStore,
    permits: Arc<Semaphore>,
    is_tired: bool,
}

impl Slow {
    fn new(permits: usize) -> Self {
        let inner = MemoryStore::new(MEGABYTE as u64);
        Self { inner, permits: Arc::new(Semaphore::new(permits)), is_tired: false }
    }
}

impl Store for Slow {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        self.inner.get(key).await
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        if self.is_tired {
            let mut body = response.content.read();
            _ = body.frame().await;
            return pending().await;
        }
        // Read while it comes, kept when there is a permit.
        let content = response.content.collect().await?;
        self.permits.acquire().await.map_err(StoreError::new)?.forget();
        self.inner.put(key, response.with_content(content)).await
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        self.inner.freshen(key, head).await
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }

    fn notes(&self) -> Vec<(u64, Bytes)> {
        self.inner.notes()
    }

    async fn note(&self, number: u64, note: Option<Bytes>) -> Result<(), StoreError> {
        self.inner.note(number, note).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_only_a_hanging_store_reads_ends() {
    // It waited for room in the window without end, and held its body, and its seat.
    let policy = || CachePolicy::default().window(64 * KILOBYTE);
    let hanging = Troubled::new();
    hanging.trouble(Call::Put, Fault::Hang);
    let tired = Slow { is_tired: true, ..Slow::new(0) };
    for t in [edge_of(hanging, policy()), edge_of(tired, policy())] {
        let (large, _) = ok("").max_age(60).made(1_000, 16 * KILOBYTE);
        t.origin.says("/", large);
        let reply = t.client.get("/").await;
        settle().await;
        drop(reply);
        settle().await;
        assert_eq!(t.stats().fetches, 1, "the store may still read");
        for _ in 0..10 {
            pass(1).await;
        }
        assert_eq!(t.stats().fetches, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn invalidated_variants_do_not_come_back_with_one_that_was_under_way() {
    // The list of variants was written anew after it had been deleted, and with it those came back that were invalid.
    // What is still to be put when the invalidation comes: the variant and the list, or the list only.
    for permits in [2, 3] {
        let store = Slow::new(permits);
        let t = edge(store.clone());
        t.origin.always("/", |seen| {
            let text = if seen.method == "POST" { "done" } else { "new" };
            ok(text).max_age(3_600).vary("x-a")
        });
        t.origin.says("/", ok("old").max_age(3_600).vary("x-a"));
        let variant = |value: &str| t.client.get("/").header("x-a", value);
        assert_eq!(variant("1").told().await, "200 old (uri-miss)");
        assert_eq!(variant("1").told().await, "200 old (hit)");
        let second = variant("2").start_told();
        settle().await;
        assert_eq!(second.await.unwrap(), "200 new (vary-miss)");
        assert_eq!(t.stats().fetches, 1, "the store has not finished");
        assert_eq!(t.client.ask("POST", "/").await.text().await, "done");
        settle().await;
        store.permits.add_permits(10);
        settle().await;
        assert_eq!(t.stats().fetches, 0);
        assert_eq!(variant("1").told().await, "200 new (uri-miss)", "{permits}");
        assert!(variant("2").told().await.starts_with("200 new (vary-miss"), "{permits}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_than_the_store_is_no_fault_of_it() {
    // It was counted as a fault, and warned of.
    let t = edge(MemoryStore::new(10_000));
    for _ in 0..2 {
        let (made, _) = ok("").max_age(60).made(20, 1_000);
        t.origin.says("/", made);
        assert_eq!(t.client.get("/").await.text().await.len(), 20_000);
        settle().await;
        t.origin.says("/known", ok(vec![b'x'; 20_000]).max_age(60));
        assert_eq!(t.client.get("/known").await.text().await.len(), 20_000);
        settle().await;
    }
    assert_eq!(t.origin.count(), 4, "nothing is stored");
    assert_eq!((t.stats().stored, t.stats().store_faults, t.stats().fetches), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_store_reads_in_no_more_at_once_than_it_may_keep() {
    // Each of them fitted, and together they took many times the capacity.
    const SIZE: usize = 300 * KILOBYTE;
    for is_declared in [true, false] {
        let t = edge(MemoryStore::new(MEGABYTE as u64));
        let mut arriving = Vec::new();
        for n in 0..10 {
            let path = format!("/{n}");
            let (response, feed) = ok("").max_age(60).fed();
            let length = SIZE.to_string();
            let response =
                if is_declared { response.header("content-length", length) } else { response };
            t.origin.says(&path, response);
            let reply = t.client.get(&path).await;
            feed.chunk(vec![b'x'; SIZE]);
            arriving.push((feed, reply));
        }
        settle().await;
        for (feed, reply) in arriving {
            feed.end();
            assert_eq!(reply.text().await.len(), SIZE, "clients get all");
        }
        settle().await;
        let stats = t.stats();
        assert!((1..=3).contains(&stats.stored), "{} of 10, {is_declared}", stats.stored);
        assert_eq!((stats.store_faults, stats.fetches), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_answers_gets_only_with_a_200_and_only_as_it_was_keyed() {
    // What a POST had created, or where it led, was taken for the target; and fields that no key has could poison it.
    for (status, field, is_stored) in [
        (200, "x-harmless", true),
        (201, "x-harmless", false),
        (303, "x-harmless", false),
        (200, "x-forwarded-host", false),
    ] {
        let w = world_with(|builder| {
            builder
                .policy(CachePolicy::default().store_post(true))
                .key_policy(KeyPolicy::default().influential(Influential::Strip))
        });
        w.origin.says("/", answer(status).body("post").max_age(60).header("content-location", "/"));
        w.origin.says("/", ok("get").max_age(60));
        let told = w.post("/").header(field, "evil.example").told().await;
        assert_eq!(told, format!("{status} post (method)"));
        let told = w.get("/").told().await;
        let expected = if is_stored { "200 post (hit)" } else { "200 get (uri-miss)" };
        assert_eq!(told, expected, "{status} {field}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_post_is_not_stored_if_it_becomes_invalid_while_the_store_deletes() {
    // What was said while the store deleted what was there before did not count.
    for is_operator in [true, false] {
        let store = Troubled::new();
        let t = edge_of(store.clone(), CachePolicy::default().store_post(true));
        t.origin.says("/", ok("old").max_age(60));
        assert_eq!(t.client.get("/").told().await, "200 old (uri-miss)");
        store.trouble(Call::Delete, Fault::Hang);
        t.origin.says("/", ok("post").max_age(60).header("content-location", "/"));
        let post = t.client.ask("POST", "/").start_told();
        settle().await;
        assert!(!post.is_finished(), "it waits for the store");
        if is_operator {
            let all = t.layer.handle().invalidate_all();
            tokio::spawn(all.into_future());
        } else {
            t.origin.says("/", answer(204));
            assert_eq!(t.client.ask("POST", "/").told().await, "204  (method)");
        }
        settle().await;
        store.heal();
        assert_eq!(post.await.unwrap(), "200 post (method)");
        settle().await;
        t.origin.says("/", ok("new").max_age(60));
        assert_eq!(t.client.get("/").told().await, "200 new (uri-miss)", "{is_operator}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_keyed_cookie_with_space_behind_its_name_is_keyed() {
    // Its name was not recognised, while applications read it: it could poison the answer to those without the cookie.
    for cookie in ["theme =evil", " theme\t= evil", "a=b; theme =evil"] {
        let w = world_with(|builder| builder.key_policy(KeyPolicy::default().cookie("theme")));
        w.origin
            .always("/", |seen| ok(seen.field("cookie").unwrap_or("none").to_owned()).max_age(60));
        assert!(w.get("/").header("cookie", cookie).told().await.ends_with("(uri-miss)"));
        assert_eq!(w.get("/").told().await, "200 none (uri-miss)", "{cookie}");
        assert_eq!(w.get("/").told().await, "200 none (hit)", "{cookie}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_get_whose_connection_lists_a_field_takes_no_part() {
    // The origin behind a proxy did not see the field by which the variant was selected.
    let w = world();
    let answer = || ok("plain").max_age(60).vary("accept-language");
    w.origin.always("/", move |_| answer());
    let german = || w.get("/").header("accept-language", "de");
    let odd = || german().header("connection", "close, Accept-Language");
    assert_eq!(odd().told().await, "200 plain (bypass)");
    assert!(w.store.is_empty());
    assert_eq!(german().told().await, "200 plain (uri-miss)");
    assert_eq!(german().header("connection", "keep-alive").told().await, "200 plain (hit)");
    assert_eq!(odd().told().await, "200 plain (bypass)");
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_an_arriving_body_broke_off_gets_a_new_one() {
    // Until the store had given up, those who came got the broken one.
    let store = Troubled::new();
    let t = edge(store.clone());
    store.trouble(Call::Put, Fault::Hang);
    let (response, feed) = ok("").max_age(60).fed();
    t.origin.says("/", response);
    t.origin.says("/", ok("b").max_age(60));
    let first = t.client.get("/").start_told();
    settle().await;
    feed.chunk("a");
    feed.breaks();
    assert_eq!(first.await.unwrap(), "200 a# (uri-miss)");
    settle().await;
    assert_eq!(t.stats().fetches, 1, "the put has not returned");
    assert_eq!(t.client.get("/").told().await, "200 b (uri-miss)");
    assert_eq!(t.origin.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn parts_of_what_is_too_large_to_be_stored_are_not_stored() {
    // Part by part, it came to be stored all the same.
    for (limit, is_stored) in [(9, false), (10, true)] {
        let w = world_of(as_asked().max_object(limit));
        w.origin.always("/", halves);
        let half = || w.get("/").header("range", "bytes=0-4");
        assert_eq!(half().told().await, "206 01234 (uri-miss)");
        assert_eq!(w.store.is_empty(), !is_stored, "{limit}");
        let how = if is_stored { "hit" } else { "uri-miss" };
        assert_eq!(half().told().await, format!("206 01234 ({how})"), "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unsafe_answers_beside_a_slow_fetch_empties_nobodys_cache() {
    // Above 4,096 URIs everything that was stored became invalid: a client that read slowly kept all of them in memory.
    let w = world();
    w.origin.always("/a", |_| ok("a").max_age(100_000));
    w.get("/a").told().await;
    let (slow, feed) = ok("").max_age(60).fed();
    w.origin.says("/slow", slow);
    let slow = w.get("/slow").start_told();
    w.origin.always("/x", |_| answer(204));
    for number in 0..4_200 {
        w.post(&format!("/x?{number}")).await;
        if number % 100 == 0 {
            settle().await;
        }
    }
    settle().await;
    assert_eq!(w.get("/a").told().await, "200 a (hit)");
    feed.chunk("s");
    feed.end();
    assert_eq!(slow.await.unwrap(), "200 s (uri-miss)");
    settle().await;
    w.origin.says("/slow", ok("new").max_age(60));
    assert_eq!(
        w.get("/slow").told().await,
        "200 new (uri-miss)",
        "nobody knows whether it was named"
    );
}

#[tokio::test(start_paused = true)]
async fn many_invalidations_at_once_empty_nobodys_cache() {
    // The store had not deleted the first ones yet.
    let w = world();
    w.origin.always("/a", |_| ok("a").max_age(100_000));
    w.get("/a").told().await;
    let handle = w.layer.handle();
    let invalidate =
        |number| handle.invalidate(format!("http://example.com/x?{number}")).into_future();
    for receipt in join_all((0..5_000).map(invalidate)).await {
        receipt.unwrap();
    }
    assert_eq!(w.get("/a").told().await, "200 a (hit)");
}

#[tokio::test(start_paused = true)]
async fn variants_that_are_invalid_do_not_come_back_with_their_list() {
    // The list was made anew with the generation of the one that the answer to the POST had deleted.
    let w = world();
    let of = |age: &'static str| {
        move |seen: &Seen| {
            ok(format!("{age} {}", seen.field("accept-language").unwrap()))
                .max_age(100_000)
                .vary("accept-language")
        }
    };
    w.origin.always("/p", of("old"));
    for language in ["de", "en"] {
        w.get("/p").header("accept-language", language).told().await;
    }
    w.origin.says("/p", answer(204));
    w.post("/p").await;
    w.origin.always("/p", of("new"));
    let ask = |language| w.get("/p").header("accept-language", language);
    assert_eq!(ask("en").await.text().await, "new en");
    settle().await;
    // What holds them back beside that is a rule, and rules are forgotten.
    w.origin.always("/x", |_| answer(204));
    for number in 0..17_000 {
        w.post(&format!("/x?{number}")).await;
        if number % 100 == 0 {
            settle().await;
        }
    }
    assert_eq!(ask("de").await.text().await, "new de");
}

#[tokio::test(start_paused = true)]
async fn a_head_request_for_one_user_takes_nothing_from_the_others() {
    // The answer to a HEAD with Authorization may not be stored, and what was stored was deleted.
    let w = world_of(CachePolicy::default().stale_if_error(seconds(1_000)));
    w.origin.always("/", |_| ok("a").max_age(10).etag("\"1\""));
    w.get("/").told().await;
    pass(20).await;
    w.head("/").header("authorization", "x").await;
    w.origin.always("/", |_| answer(503));
    assert_eq!(w.get("/").told().await, "200 a (stale)");
}

#[tokio::test(start_paused = true)]
async fn a_304_with_one_of_two_tag_fields_loses_no_tags() {
    // What the other field had said was forgotten.
    let fields = ["surrogate-key", "cache-tag"].map(http::HeaderName::from_static);
    let w = world_of(CachePolicy::default().tag_fields(fields));
    let tagged = |answer: Answer| answer.etag("\"1\"").header("surrogate-key", "x");
    w.origin.says("/", tagged(ok("old")).max_age(10).header("cache-tag", "b"));
    w.get("/").told().await;
    pass(20).await;
    w.origin.says("/", tagged(answer(304)).max_age(1_000));
    assert_eq!(w.get("/").told().await, "200 old (stale)");
    w.layer.handle().invalidate_tags(["b"]).await.unwrap();
    w.origin.says("/", ok("new").max_age(10));
    assert_eq!(w.get("/").told().await, "200 new (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn the_target_of_an_unsafe_request_goes_under_every_key_that_it_has() {
    // Another behaviour had stored it under a key without the query.
    let none = KeyPolicy::default().query(Parameters::None);
    let w = world_with(|builder| builder.key_policy(none));
    w.origin.always("/p", |_| ok("old").max_age(1_000));
    w.get("/p?v=1").told().await;
    let dynamic = Distribution::builder(Behaviour::dynamic()).build().unwrap();
    let dynamic = Client::new(w.layer.with_distribution(dynamic).layer(w.origin.clone()));
    w.origin.says("/p", answer(204));
    dynamic.ask("POST", "/p?v=1").told().await;
    w.origin.always("/p", |_| ok("new").max_age(1_000));
    assert_eq!(w.get("/p?v=2").told().await, "200 new (uri-miss)");
}

#[tokio::test(start_paused = true)]
async fn an_older_response_does_not_take_the_place_of_a_newer_one() {
    // Whose body ended last was what was stored.
    let w = world_of(CachePolicy::default().collapse(false));
    let (slow, feed) = ok("").max_age(1_000).fed();
    w.origin.says("/", slow);
    let first = w.get("/").start_told();
    settle().await;
    pass(5).await;
    w.origin.says("/", ok("newer").max_age(1_000));
    assert_eq!(w.get("/").told().await, "200 newer (uri-miss)");
    feed.chunk("older");
    feed.end();
    assert_eq!(first.await.unwrap(), "200 older (uri-miss)");
    settle().await;
    assert_eq!(w.get("/").told().await, "200 newer (hit)");
}

#[tokio::test(start_paused = true)]
async fn a_late_variant_does_not_take_the_place_of_a_newer_response() {
    // Its list was put over what was for every request.
    let w = world();
    w.origin.says("/", ok("first").max_age(10).vary("accept-language"));
    w.get("/").header("accept-language", "de").told().await;
    pass(20).await;
    let (slow, feed) = ok("").max_age(1_000).vary("accept-language").fed();
    w.origin.says("/", slow);
    let late = w.get("/").header("accept-language", "de").start_told();
    settle().await;
    pass(5).await;
    w.origin.says("/", ok("newer").max_age(1_000));
    w.get("/").header("accept-language", "en").told().await;
    feed.chunk("older");
    feed.end();
    late.await.unwrap();
    settle().await;
    for language in ["de", "fr"] {
        let ask = w.get("/").header("accept-language", language);
        assert_eq!(ask.told().await, "200 newer (hit)", "{language}");
    }
}

/// Tells of each content whether it was there already when it was put.
#[derive(Clone)]
struct Early {
    inner: MemoryStore,
    was_there: Arc<Mutex<Vec<bool>>>,
}

impl Store for Early {
    async fn get(&self, key: &CacheKey) -> Result<Option<StoredResponse>, StoreError> {
        self.inner.get(key).await
    }

    async fn put(&self, key: &CacheKey, response: StoredResponse) -> Result<(), StoreError> {
        self.was_there.lock().unwrap().push(response.content.as_bytes().is_some());
        self.inner.put(key, response).await
    }

    async fn freshen(&self, key: &CacheKey, head: StoredHead) -> Result<bool, StoreError> {
        self.inner.freshen(key, head).await
    }

    async fn delete(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }
}

#[tokio::test(start_paused = true)]
async fn parts_are_stored_while_they_arrive() {
    // They were collected first, each in memory of its own, whatever the windows and the store had room for.
    let store = Early { inner: MemoryStore::new(1 << 20), was_there: Arc::default() };
    let t = edge_of(store.clone(), as_asked());
    for range in ["bytes=0-4", "bytes=5-9"] {
        t.origin.always("/", halves);
        let ask = t.client.get("/").header("range", range);
        assert!(ask.told().await.starts_with("206"));
    }
    assert_eq!(*store.was_there.lock().unwrap(), [false, false]);
    assert_eq!(t.client.get("/").told().await, "200 0123456789 (hit)");
}

#[test]
fn a_record_of_more_fields_than_a_map_has_room_for_is_damaged() {
    // Its map was made for all of them, which panics.
    let mut record: Vec<u8> = vec![2];
    record.extend(1_u32.to_be_bytes());
    record.extend(b"kr");
    record.extend(200_u16.to_be_bytes());
    record.extend(40_000_u32.to_be_bytes());
    for _ in 0..40_000 {
        record.extend(1_u32.to_be_bytes());
        record.push(b'a');
        record.extend(0_u32.to_be_bytes());
    }
    StoredHead::from_bytes(record).unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn rfc9112_s3_2_an_unsafe_request_with_two_hosts_goes_nowhere() {
    // The origin acted on it, and nothing was made invalid: nobody knew of which host.
    let w = world();
    let post = w.post("/").origin_form("/").header("host", "a.example").header("host", "b.example");
    assert_eq!(post.await.status, 400);
    assert_eq!(w.origin.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_trailers_of_a_part_are_not_those_of_the_whole() {
    // They came to stand behind the combined response.
    let w = world_of(as_asked());
    w.origin.always("/", halves);
    w.get("/").header("range", "bytes=0-4").told().await;
    let (second, feed) = answer(206).max_age(10).etag("\"a\"").fed();
    w.origin.says("/", second.header("content-range", "bytes 5-9/10"));
    let asked = w.get("/").header("range", "bytes=5-9").start_told();
    settle().await;
    feed.chunk("56789");
    feed.trailers(&[("x-sum", "1")]);
    feed.end();
    assert_eq!(asked.await.unwrap(), "206 56789 (partial)");
    settle().await;
    let whole = w.get("/").await;
    assert_eq!(whole.how(), "hit");
    assert!(whole.trailers().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn rfc9211_s2_an_empty_cache_status_never_goes_out() {
    // A stored head has an empty place for it, and removing `Age` put the last field in front of that.
    for name in [Some("edge"), None] {
        let w = world_of(CachePolicy::default().cache_status(name));
        let stored = answer(200).header("date", w.date(0)).max_age(10).etag("\"a\"");
        w.origin.says("/", stored.header("link", "<1>").header("link", "<2>").body("x"));
        w.origin.says("/", answer(304).etag("\"a\""));
        w.get("/").await.text().await;
        pass(10).await;
        let reply = w.get("/").await;
        assert_eq!(reply.status, 200);
        let lines = reply.fields("cache-status");
        assert_eq!(lines.len(), usize::from(name.is_some()), "{lines:?}");
        assert!(lines.iter().all(|line| !line.is_empty()), "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rfc9111_s5_1_one_age_is_enough_also_with_a_range() {
    // Both lines of the origin came to one who asked for a part, and the first was changed.
    let w = world();
    let two = answer(200).header("age", "5").header("age", "6").max_age(60).body("content");
    w.origin.says("/", two);
    let reply = w.get("/").header("range", "bytes=0-1").await;
    assert_eq!((reply.status, reply.fields("age")), (206, vec!["5"]));
}

#[tokio::test(start_paused = true)]
async fn rfc9111_s5_1_an_age_that_others_may_not_have_is_for_the_one_who_asked() {
    // It was taken away, as if the response were new.
    let w = world();
    w.origin.says("/", ok("x").header("age", "5").says("max-age=60, no-cache=\"age\""));
    assert_eq!(w.get("/").await.age(), Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_over_does_not_wait_for_the_store() {
    // It was kept, with all that it held, until the store had done.
    let store = Troubled::new();
    store.trouble(Call::Put, Fault::Hang);
    let edge = edge(store);
    let (answer, feed) = answer(200).max_age(60).header("content-length", "1").fed();
    edge.origin.says("/", answer);
    let asked = edge.client.get("/").start();
    settle().await;
    feed.chunk("longer than that");
    asked.await.unwrap().body_error().await;
    settle().await;
    assert!(feed.is_dropped());
}
