//! Bodies while they arrive: first bytes, slow and fast readers, bounded memory, breaks, trailers.
mod support;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};
use support::{
    KILOBYTE, MEGABYTE, Reply, World, answer, ok, pass, seconds, settle, world, world_of,
};
use tower_cdn::{CachePolicy, ContentError};

const CHUNK: usize = 64 * KILOBYTE;

/// A window of sixteen chunks.
fn policy() -> CachePolicy {
    CachePolicy::default().window(16 * CHUNK)
}

/// Reads so many chunks, which are there.
async fn take(reply: &mut Reply, chunks: usize) {
    for n in 0..chunks {
        settle().await;
        assert_eq!(reply.chunk_now().await.map(|chunk| chunk.len()), Some(CHUNK), "chunk {n}");
    }
}

fn is_too_slow(error: &tower_cdn::BoxError) -> bool {
    error.downcast_ref::<ContentError>().is_some_and(ContentError::is_too_slow)
}

fn is_origin(error: &tower_cdn::BoxError) -> bool {
    error.downcast_ref::<ContentError>().is_some_and(ContentError::is_origin)
}

#[tokio::test(start_paused = true)]
async fn server_sent_events_come_one_by_one() {
    let w = world();
    let (response, feed) = ok("").max_age(60).header("content-type", "text/event-stream").fed();
    w.origin.says("/", response);
    let mut reply = w.get("/").await;
    for n in 0..3 {
        assert!(reply.is_waiting().await);
        feed.chunk(format!("data: {n}\n\n"));
        settle().await;
        assert_eq!(reply.chunk_now().await, Some(format!("data: {n}\n\n")));
        pass(100).await;
    }
    assert!(reply.is_waiting().await, "and it never ends by itself");
    drop(reply);
    settle().await;
    assert!(feed.is_dropped(), "the origin sees that the client has left");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn forwarded_bodies_are_never_buffered() {
    let w = world();
    for method in ["POST", "GET"] {
        let (response, feed) = answer(200).says("no-store").fed();
        w.origin.says("/", response);
        let mut reply = w.client.ask(method, "/").await;
        for n in 0..10 {
            feed.chunk(n.to_string());
        }
        settle().await;
        assert_eq!(feed.pulled(), 0, "{method}: nobody reads ahead of the client");
        assert_eq!(reply.chunk_now().await.as_deref(), Some("0"));
        assert_eq!(feed.pulled(), 1);
        drop(reply);
        settle().await;
        assert!(feed.is_dropped());
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_of_a_miss_comes_at_once() {
    let w = world();
    let (response, feed) = ok("").max_age(60).header("content-length", "6").fed();
    w.origin.says("/", response);
    let mut reply = w.get("/").await;
    assert_eq!(reply.field("content-length"), Some("6"));
    assert!(reply.is_waiting().await);
    feed.chunk("abc");
    settle().await;
    assert_eq!(reply.chunk_now().await.as_deref(), Some("abc"));
    feed.chunk("def");
    settle().await;
    assert_eq!(reply.chunk_now().await.as_deref(), Some("def"));
    feed.end();
    assert_eq!(reply.text().await, "");
}

#[tokio::test(start_paused = true)]
async fn long_content_in_frames_of_all_lengths_is_whole_for_all() {
    let w = world_of(policy());
    let (response, feed) = ok("").max_age(60).fed();
    w.origin.says("/", response);
    let mut reply = w.get("/").await;
    let mut whole = String::new();
    for n in 0..40 {
        // Now and then a small one between those that are large.
        let length = if n % 7 == 3 { n } else { (100 + 10 * n) * KILOBYTE };
        let frame = n.to_string().chars().cycle().take(length).collect::<String>();
        whole.push_str(&frame);
        feed.chunk(frame.clone());
        settle().await;
        assert_eq!(reply.chunk_now().await, Some(frame));
    }
    feed.end();
    assert_eq!(reply.text().await, "");
    settle().await;
    assert!(w.get("/").await.text().await == whole);
    let part = w.get("/").header("range", "bytes=7000000-7999999").await;
    assert!(part.text().await == whole[7_000_000..8_000_000]);
}

#[tokio::test(start_paused = true)]
async fn the_size_is_known_where_the_origin_tells_it() {
    use http_body::Body;
    let w = world();
    w.origin.says("/", ok("hello").max_age(60));
    let first = w.get("/").await;
    assert_eq!(first.body.size_hint().exact(), Some(5));
    drop(first.told().await);
    settle().await;
    let hit = w.get("/").await;
    assert_eq!(hit.body.size_hint().exact(), Some(5));
    let part = w.get("/").header("range", "bytes=1-2").await;
    assert_eq!(part.body.size_hint().exact(), Some(2));
    assert!(w.head("/").await.body.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_alone_paces_the_origin() {
    // Too large to be stored, so that the client is the only reader.
    let w = world_of(policy().max_object(CHUNK as u64));
    let (response, pulled) = ok("").max_age(60).made(1_000, CHUNK);
    w.origin.says("/", response);
    let mut reply = w.get("/").await;
    settle().await;
    let ahead = pulled.load(SeqCst);
    assert!(ahead <= 18, "the window bounds what is read ahead: {ahead}");
    pass(1_000).await;
    assert_eq!(pulled.load(SeqCst), ahead, "also after a long time");
    take(&mut reply, 100).await;
    assert!(pulled.load(SeqCst) <= 118);
    assert_eq!(reply.text().await.len(), 900 * CHUNK, "and nobody cuts it");
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_all_of_what_turns_out_too_large() {
    // Larger than may be stored, but nobody knows before: the store reads along until then.
    let w = world_of(policy().max_object(64 * CHUNK as u64));
    let (response, _) = ok("").max_age(60).made(200, CHUNK);
    w.origin.says("/", response);
    let mut reply = w.get("/").await;
    for _ in 0..20 {
        pass(10).await;
        take(&mut reply, 10).await;
    }
    assert_eq!(reply.text().await, "", "as without a cache");
    settle().await;
    assert!(w.store.is_empty());
}

#[tokio::test(start_paused = true)]
async fn memory_stays_within_the_window_beside_a_slow_reader() {
    let w = world_of(policy());
    let (response, pulled) = ok("").max_age(60).made(500, CHUNK);
    w.origin.says("/", response);
    let mut slow = w.get("/").await;
    let mut fast = w.get("/").await;
    let slow = tokio::spawn(async move { slow_then(&mut slow).await });
    let fast = tokio::spawn(async move { fast.read().await.0.len() });
    settle().await;
    let ahead = pulled.load(SeqCst);
    assert!(ahead <= 18, "the reader that does not read holds up the rest: {ahead}");
    pass(4).await;
    assert_eq!(pulled.load(SeqCst), ahead, "as long as it may");
    pass(1).await;
    assert_eq!(pulled.load(SeqCst), 500, "no longer");
    assert_eq!(fast.await.unwrap(), 500 * CHUNK);
    assert_eq!(slow.await.unwrap(), 500 * CHUNK, "it goes on from the store");
    w.assert_idle().await;
}

/// Does not read for ten seconds, and then all.
async fn slow_then(reply: &mut Reply) -> usize {
    tokio::time::sleep(seconds(10)).await;
    let (text, error) = reply.read().await;
    assert!(error.is_none(), "{error:?}");
    text.len()
}

#[tokio::test(start_paused = true)]
async fn a_fast_reader_is_held_up_no_longer_than_the_stall_limit() {
    let w = world_of(policy().stall_timeout(seconds(2)));
    let (response, _) = ok("").max_age(60).made(300, CHUNK);
    w.origin.says("/", response);
    let mut slow = w.get("/").await;
    let fast = w.get("/").start();
    let fast = tokio::spawn(async move { fast.await.unwrap().text().await.len() });
    settle().await;
    assert!(!fast.is_finished());
    pass(1).await;
    assert!(!fast.is_finished(), "within the limit");
    pass(1).await;
    assert!(fast.is_finished(), "after it");
    assert_eq!(fast.await.unwrap(), 300 * CHUNK);
    let (all, error) = slow.read().await;
    assert_eq!((all.len(), error.is_none()), (300 * CHUNK, true), "left behind, not cut");
}

#[tokio::test(start_paused = true)]
async fn the_stall_limit_is_for_the_whole_body() {
    let w = world_of(policy().stall_timeout(seconds(2)));
    let (response, pulled) = ok("").max_age(60).made(300, CHUNK);
    w.origin.says("/", response);
    let mut slow = w.get("/").await;
    let fast = w.get("/").start();
    let fast = tokio::spawn(async move { fast.await.unwrap().text().await.len() });
    for _ in 0..4 {
        take(&mut slow, 1).await;
        settle().await;
        assert!(pulled.load(SeqCst) < 300 && !fast.is_finished(), "it reads, if slowly");
        tokio::time::advance(std::time::Duration::from_millis(500)).await;
    }
    settle().await;
    assert!(
        pulled.load(SeqCst) == 300 && fast.is_finished(),
        "half a second each time, two in sum"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_left_behind_where_nothing_is_stored_is_cut() {
    let w = world_of(policy().max_object(20 * CHUNK as u64));
    let (response, _) = ok("").max_age(60).made(300, CHUNK);
    w.origin.says("/", response);
    let slow = w.get("/").await;
    let fast = w.get("/").start();
    let fast = tokio::spawn(async move { fast.await.unwrap().text().await.len() });
    pass(6).await;
    pass(6).await;
    assert_eq!(fast.await.unwrap(), 300 * CHUNK, "the fast one gets it all");
    let error = slow.body_error().await;
    assert!(is_too_slow(&error), "{error}");
}

/// One who was left behind in a long body after two seconds, one who has read a window more, and how much of it the origin was asked for.
async fn left_behind(w: &World) -> (Reply, Reply, Arc<AtomicU64>) {
    let (response, pulled) = ok("").max_age(60).made(300, CHUNK);
    w.origin.says("/", response);
    let behind = w.get("/").await;
    let mut ahead = w.get("/").await;
    take(&mut ahead, 17).await;
    pass(2).await;
    (behind, ahead, pulled)
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_does_not_hold_up_who_was_left_behind() {
    let w = world_of(policy().stall_timeout(seconds(2)));
    let (mut victim, mut idler, _) = left_behind(&w).await;
    // The first one is left behind now. The other reads on, and then no more.
    take(&mut idler, 50).await;
    let victim = tokio::spawn(async move { victim.read().await });
    pass(1).await;
    assert!(!victim.is_finished(), "an idle client may hold up others for a while");
    pass(1).await;
    assert!(victim.is_finished(), "but not for longer than the limit");
    let (text, error) = victim.await.unwrap();
    assert_eq!((text.len(), error.is_none()), (300 * CHUNK, true));
    settle().await;
    assert_eq!(w.get("/").await.how(), "hit");
    let (text, error) = idler.read().await;
    assert_eq!((text.len(), error.is_none()), (233 * CHUNK, true), "left behind, not cut");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_left_behind_for_one_who_waits_in_vain() {
    // Too large to be stored, which shows when one client is left behind and another one idles.
    let w = world_of(policy().stall_timeout(seconds(2)).max_object(60 * CHUNK as u64));
    let (victim, mut idler, _) = left_behind(&w).await;
    take(&mut idler, 50).await;
    let error = victim.body_error().await;
    assert!(is_too_slow(&error), "{error}");
    pass(100).await;
    assert_eq!(idler.text().await.len(), 233 * CHUNK, "as without a cache");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_left_behind_for_one_who_does_not_read() {
    let w = world_of(policy().stall_timeout(seconds(2)));
    let (victim, mut idler, pulled) = left_behind(&w).await;
    take(&mut idler, 50).await;
    pass(100).await;
    assert!(pulled.load(SeqCst) < 90, "the one who reads paces the origin");
    drop(victim);
    pass(100).await;
    assert!(pulled.load(SeqCst) < 90);
    assert_eq!(idler.text().await.len(), 233 * CHUNK);
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_left_behind_hears_of_a_body_that_breaks() {
    for panicking in [false, true] {
        let w = world_of(policy().stall_timeout(seconds(2)));
        let (response, feed) = ok("").max_age(60).fed();
        w.origin.says("/", response);
        let slow = w.get("/").await;
        let fast = w.get("/").start_told();
        for _ in 0..40 {
            feed.chunk(vec![b'x'; CHUNK]);
        }
        pass(2).await;
        if panicking {
            feed.panics()
        } else {
            feed.breaks()
        }
        assert!(fast.await.unwrap().contains('#'));
        let error = slow.body_error().await;
        assert!(is_origin(&error), "{error}");
        w.assert_idle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_left_behind_is_not_told_of_a_break_that_the_origin_never_made() {
    let w = world_of(policy().stall_timeout(seconds(2)).max_object(40 * CHUNK as u64));
    let (slow, fast, pulled) = left_behind(&w).await;
    drop(fast);
    settle().await;
    assert!(pulled.load(SeqCst) < 50, "too large to be stored, and nobody else reads");
    let error = slow.body_error().await;
    assert!(is_too_slow(&error), "{error}");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_when_the_start_is_freed_waits_for_the_store() {
    let w = world_of(policy());
    let (response, feed) = ok("").max_age(60).fed();
    w.origin.says("/", response);
    let mut first = w.get("/").await;
    for _ in 0..20 {
        feed.chunk(vec![b'x'; CHUNK]);
        take(&mut first, 1).await;
    }
    let late = w.get("/").start();
    settle().await;
    assert!(!late.is_finished(), "the start has been freed");
    feed.end();
    assert_eq!(late.await.unwrap().text().await.len(), 20 * CHUNK);
    assert_eq!(w.origin.count(), 1);
    drop(first);
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_error_reaches_every_reader() {
    let w = world();
    let (response, feed) = ok("").max_age(60).fed();
    w.origin.says("/", response);
    let leader = w.get("/").await;
    let follower = w.get("/").await;
    feed.chunk("abc");
    settle().await;
    let late = w.get("/").await;
    feed.breaks();
    for reply in [leader, follower, late] {
        let error = reply.body_error().await;
        assert!(is_origin(&error), "{error}");
    }
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_forwarded_body_is_the_origins_own() {
    let w = world();
    let (response, feed) = ok("").says("no-store").fed();
    w.origin.says("/", response);
    let reply = w.get("/").await;
    feed.breaks();
    let error = reply.body_error().await;
    assert!(error.is::<support::OriginError>(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn trailers_are_replayed() {
    let w = world();
    let (response, feed) = ok("").max_age(60).fed();
    w.origin.says("/", response);
    let leader = w.get("/").await;
    let follower = w.get("/").await;
    feed.chunk("abc");
    feed.trailers(&[("x-sum", "1")]);
    feed.end();
    let sum = async |reply: Reply| {
        reply
            .trailers()
            .await
            .and_then(|t| t.get("x-sum").cloned())
            .map(|v| v.to_str().unwrap().to_owned())
    };
    assert_eq!(sum(leader).await.as_deref(), Some("1"));
    assert_eq!(sum(follower).await.as_deref(), Some("1"));
    settle().await;
    for _ in 0..2 {
        let hit = w.get("/").await;
        assert_eq!(hit.how(), "hit");
        assert_eq!(sum(hit).await.as_deref(), Some("1"));
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_that_are_for_one_are_for_nobody_else() {
    let w = world();
    let (response, feed) = ok("").says("max-age=60, private=\"x-user\"").fed();
    w.origin.says("/", response.header("trailer", "x-sum"));
    let leader = w.get("/").await;
    let follower = w.get("/").await;
    feed.chunk("abc");
    feed.trailers(&[("x-sum", "1"), ("x-user", "bob"), ("set-cookie", "secret=1")]);
    feed.end();
    let names = async |reply: Reply| {
        assert_eq!(reply.field("trailer"), Some("x-sum"), "RFC 9110 section 6.6.2: end to end");
        let trailers = reply.trailers().await.expect("a trailer section");
        trailers.keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(leader).await, ["x-sum"]);
    assert_eq!(names(follower).await, ["x-sum"]);
    settle().await;
    let hit = w.get("/").await;
    assert_eq!(hit.how(), "hit");
    assert_eq!(names(hit).await, ["x-sum"]);
}

#[tokio::test(start_paused = true)]
async fn clients_that_leave_disturb_nobody() {
    let w = world();
    let (response, feed) = ok("").max_age(60).fed();
    w.origin.says("/", response);
    let leader = w.get("/").await;
    let follower = w.get("/").await;
    let stays = w.get("/").await;
    feed.chunk("abc");
    settle().await;
    drop(leader);
    drop(follower);
    settle().await;
    assert!(!feed.is_dropped());
    feed.chunk("def");
    feed.end();
    assert_eq!(stays.text().await, "abcdef");
    settle().await;
    assert_eq!(w.get("/").told().await, "200 abcdef (hit)");
}

#[tokio::test(start_paused = true)]
async fn the_store_gets_it_all_when_all_clients_leave() {
    let w = world();
    let (response, feed) = ok("").max_age(60).fed();
    w.origin.says("/", response);
    let leader = w.get("/").await;
    feed.chunk("abc");
    settle().await;
    drop(leader);
    feed.chunk("def");
    feed.end();
    settle().await;
    assert_eq!(w.get("/").told().await, "200 abcdef (hit)");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn the_origin_is_cancelled_when_all_clients_leave_what_cannot_be_stored() {
    let w = world_of(CachePolicy::default().max_object(4));
    let (response, feed) = ok("").max_age(60).fed();
    w.origin.says("/", response);
    let leader = w.get("/").await;
    feed.chunk("too large");
    settle().await;
    assert!(!feed.is_dropped());
    drop(leader);
    settle().await;
    assert!(feed.is_dropped(), "nobody reads it any more");
    w.assert_idle().await;
}

#[tokio::test(start_paused = true)]
async fn empty_bodies_and_empty_chunks() {
    let w = world();
    w.origin.says("/empty", ok("").max_age(60));
    w.origin.says("/chunks", ok("").max_age(60).chunks(&["", "a", "", "b", ""]));
    w.origin.says("/none", answer(204).max_age(60));
    for (target, told) in [("/empty", "200 "), ("/chunks", "200 ab"), ("/none", "204 ")] {
        assert_eq!(w.get(target).told().await, format!("{told} (uri-miss)"));
        assert_eq!(w.get(target).told().await, format!("{told} (hit)"));
    }
}

#[tokio::test(start_paused = true)]
async fn one_chunk_larger_than_the_window_passes() {
    let w = world_of(CachePolicy::default().window(KILOBYTE));
    w.origin.says("/", ok(vec![b'x'; MEGABYTE]).max_age(60));
    assert_eq!(w.get("/").await.text().await.len(), MEGABYTE);
    settle().await;
    let hit = w.get("/").await;
    assert_eq!(hit.how(), "hit");
    assert_eq!(hit.text().await.len(), MEGABYTE);
}

#[tokio::test(start_paused = true)]
async fn what_is_there_together_with_its_head_is_not_taken_for_more_than_it_is() {
    let w = world();
    let announced = |length: &str| answer(200).max_age(60).header("content-length", length);
    for (path, whole) in [
        ("/one", ok("hello").max_age(60)),
        ("/none", ok("").max_age(60)),
        ("/two", announced("5").chunks(&["hel", "lo"])),
        ("/long", ok("x".repeat(LONGEST_AT_ONCE)).max_age(60)),
        ("/longer", ok("x".repeat(LONGEST_AT_ONCE + 1)).max_age(60)),
    ] {
        w.origin.says(path, whole);
        let (text, error) = w.get(path).await.read().await;
        assert!(error.is_none(), "{path}");
        w.assert_idle().await;
        assert_eq!(w.get(path).told().await, format!("200 {text} (hit)"), "{path}");
    }
    let (panicking, panics) = announced("5").fed();
    panics.panics();
    let (breaking, breaks) = announced("5").fed();
    breaks.breaks();
    for (path, broken) in [
        ("/panics", panicking),
        ("/breaks", breaking),
        ("/short", announced("5").chunks(&["hell"])),
        ("/excess", announced("5").chunks(&["hello!"])),
    ] {
        w.origin.says(path, broken);
        let mut reply = w.get(path).await;
        assert_eq!(reply.status, 200, "{path}: the head goes out before");
        let (_, error) = reply.read().await;
        assert!(error.is_some(), "{path}: never a clean end");
        w.assert_idle().await;
        w.origin.says(path, ok("whole").max_age(60));
        assert_eq!(w.get(path).told().await, "200 whole (uri-miss)", "{path}");
        assert_eq!(w.get(path).told().await, "200 whole (hit)", "{path}");
    }
}

/// Content that is there at once, and not longer, is not streamed.
const LONGEST_AT_ONCE: usize = 64 * KILOBYTE;
