//! The next origin is asked if one does not answer well.
use crate::{
    support::{Origin, answer, fail, hang, ok, pass, seconds, settle},
    told::{attempts, counts, group, group_of, named, origins, start_told, told},
};
use http::StatusCode;
use tower_cdn::origins::{FailoverPolicy, OriginGroup};

#[tokio::test(start_paused = true)]
async fn the_first_one_that_is_well_answers() {
    let o @ [a, b] = &origins();
    a.always("/", |_| ok("first"));
    b.always("/", |_| ok("second"));
    assert_eq!(told(group(o).get("/")).await, "200 first (a=200)");
    assert_eq!(counts(o), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails() {
    let o @ [a, b] = &origins();
    a.always("/", |_| fail());
    b.always("/", |_| ok("second"));
    assert_eq!(told(group(o).get("/")).await, "200 second (a=failed, b=200)");
}

#[tokio::test(start_paused = true)]
async fn a_status_that_says_so() {
    for status in [500, 502, 503, 504] {
        let o @ [a, b] = &origins();
        a.always("/", move |_| answer(status));
        b.always("/", |_| ok("second"));
        assert_eq!(told(group(o).get("/")).await, format!("200 second (a={status}, b=200)"));
    }
    for status in [200, 304, 404, 403, 429, 501] {
        let o @ [a, _] = &origins();
        a.always("/", move |_| answer(status));
        assert_eq!(told(group(o).get("/")).await, format!("{status}  (a={status})"));
    }
}

#[tokio::test(start_paused = true)]
async fn statuses_of_the_operator() {
    let o @ [a, b] = &origins();
    let policy = FailoverPolicy::default().statuses([StatusCode::NOT_FOUND]);
    a.says("/", answer(404));
    a.says("/", answer(503));
    b.always("/", |_| ok("second"));
    let client = group_of(policy, o);
    assert_eq!(told(client.get("/")).await, "200 second (a=404, b=200)");
    assert_eq!(told(client.get("/")).await, "503  (a=503)");
}

#[tokio::test(start_paused = true)]
async fn no_head_in_time() {
    let o @ [a, b] = &origins();
    a.always("/", |_| hang());
    b.always("/", |_| ok("second"));
    let asked = start_told(group(o).get("/"));
    pass(29).await;
    assert_eq!((counts(o), a.under_way()), (vec![1, 0], 1));
    pass(1).await;
    assert_eq!(asked.await.unwrap(), "200 second (a=timeout, b=200)");
    assert_eq!(a.under_way(), 0, "the first request is dropped");
}

#[tokio::test(start_paused = true)]
async fn the_head_is_what_has_to_be_in_time() {
    let o @ [a, b] = &origins();
    let (slow, feed) = answer(200).fed();
    a.says("/", slow);
    let mut reply = group(o).get("/").await;
    feed.chunk("begins");
    assert_eq!(reply.chunk_now().await.as_deref(), Some("begins"));
    pass(1000).await;
    feed.chunk(" and ends");
    feed.end();
    assert_eq!(reply.text().await, " and ends");
    assert_eq!(b.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn not_after_the_head_was_handed_on() {
    let o @ [a, b] = &origins();
    for with_a_byte in [true, false] {
        let (broken, feed) = answer(200).fed();
        a.says("/", broken);
        let mut reply = group(o).get("/").await;
        if with_a_byte {
            feed.chunk("begins");
        }
        feed.breaks();
        let (text, error) = reply.read().await;
        assert_eq!(text, if with_a_byte { "begins" } else { "" });
        assert!(error.is_some(), "the client learns of it");
    }
    assert_eq!(b.count(), 0, "nobody else is asked");
}

#[tokio::test(start_paused = true)]
async fn safe_methods_only() {
    for (method, reached) in [("HEAD", 1), ("OPTIONS", 1), ("GET", 1)] {
        let o @ [a, b] = &origins();
        a.always("/", |_| answer(503));
        b.always("/", |_| ok(""));
        assert_eq!(group(o).ask(method, "/").await.status, 200, "{method}");
        assert_eq!((b.count(), b.last().method.as_str()), (reached, method));
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PURGE"] {
        let o @ [a, b] = &origins();
        a.says("/", answer(503));
        a.says("/", fail());
        let client = group(o);
        assert_eq!(told(client.ask(method, "/")).await, "503  (a=503)", "{method}");
        assert_eq!(told(client.ask(method, "/")).await, "! origin failed (a=failed)", "{method}");
        assert_eq!(b.count(), 0, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn not_with_a_body() {
    let o @ [a, b] = &origins();
    a.always("/", |_| answer(503));
    assert_eq!(told(group(o).get("/").body("question")).await, "503  (a=503)");
    assert_eq!(b.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_once_is_waited_for() {
    let o @ [a, _] = &origins();
    let (slow, hold) = ok("done").held();
    a.says("/", slow);
    let asked = start_told(group(o).ask("POST", "/").body("work"));
    pass(300).await;
    hold.release();
    assert_eq!(asked.await.unwrap(), "200 done (a=200)");
}

#[tokio::test(start_paused = true)]
async fn each_origin_gets_the_same_request() {
    let o @ [a, b] = &origins();
    a.always("/?q=1", |_| answer(502));
    a.always("/", |_| answer(502));
    b.always("/", |_| ok(""));
    let ask = group(o).get("/?q=1").header("range", "bytes=0-1").header("if-match", "\"a\"");
    assert_eq!(ask.await.status, 200);
    assert_eq!(a.last().target(), b.last().target());
    assert_eq!(a.last().headers, b.last().headers);
    assert_eq!(b.last().field("range"), Some("bytes=0-1"));
}

#[tokio::test(start_paused = true)]
async fn the_last_response_if_none_is_well() {
    let o @ [a, b, c] = &origins();
    a.always("/", |_| answer(500).body("one"));
    b.always("/", |_| answer(503).body("two"));
    c.says("/", answer(502).body("three"));
    c.says("/", fail());
    let client = group(o);
    assert_eq!(told(client.get("/")).await, "502 three (a=500, b=503, c=502)");
    assert_eq!(told(client.get("/")).await, "503 two (a=500, b=503, c=failed)");
}

#[tokio::test(start_paused = true)]
async fn the_last_error_if_there_is_no_response() {
    let o @ [a, b] = &origins();
    a.always("/", |_| fail());
    b.always("/", |_| hang());
    let client = group(o);
    let asked = client.get("/").start_outcome();
    pass(30).await;
    let error = asked.await.unwrap().err().unwrap();
    assert!(error.is_timeout());
    assert_eq!((error.status().as_u16(), error.attempts().len()), (504, 2));
    b.says("/", fail());
    let error = client.get("/").outcome().await.err().unwrap();
    assert!(!error.is_timeout() && !error.is_unknown_origin());
    assert_eq!(error.status(), 502);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "origin failed");
}

#[tokio::test(start_paused = true)]
async fn not_more_origins_than_the_policy_says() {
    let o @ [a, b, c, d] = &origins();
    for origin in [a, b, c] {
        origin.always("/", |_| answer(500));
    }
    d.always("/", |_| ok("fourth"));
    assert_eq!(told(group(o).get("/")).await, "500  (a=500, b=500, c=500)");
    let policy = FailoverPolicy::default().attempts(4);
    assert_eq!(told(group_of(policy, o).get("/")).await, "200 fourth (a=500, b=500, c=500, d=200)");
    let policy = FailoverPolicy::default().attempts(0);
    assert_eq!(told(group_of(policy, o).get("/")).await, "500  (a=500)");
}

#[tokio::test(start_paused = true)]
async fn no_origins_at_all() {
    assert_eq!(told(group(&[]).get("/")).await, "! there is no origin ()");
    assert_eq!(told(group(&[]).ask("POST", "/")).await, "! there is no origin ()");
}

#[tokio::test(start_paused = true)]
async fn a_group_within_a_group() {
    let o @ [a, b, c] = &origins();
    a.always("/", |_| answer(503));
    b.always("/", |_| answer(503));
    c.always("/", |_| ok("third"));
    let near = OriginGroup::new(named(&o[..2]));
    let far = OriginGroup::new([("far", c.clone())]);
    let client = crate::support::Client::new(OriginGroup::new([("near", near), ("other", far)]));
    assert_eq!(told(client.get("/")).await, "200 third (near=503, other=200, far=200)");
    c.says("/", fail());
    a.says("/", fail());
    b.says("/", fail());
    assert_eq!(
        told(client.get("/")).await,
        "! origin failed (near=failed, other=failed, far=failed)",
        "the error of the last one"
    );
}

#[tokio::test(start_paused = true)]
async fn who_leaves_takes_the_request_along() {
    let o @ [a, b] = &origins();
    a.always("/", |_| answer(503));
    b.always("/", |_| hang());
    let asked = start_told(group(o).get("/"));
    settle().await;
    assert_eq!((a.under_way(), b.under_way()), (0, 1));
    asked.abort();
    settle().await;
    assert_eq!(b.under_way(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_timeout_covers_waiting_for_readiness() {
    use tower::{ServiceBuilder, limit::ConcurrencyLimitLayer};
    let [a, b]: [Origin; 2] = origins();
    a.says("/", hang());
    b.always("/", |_| ok("second"));
    let busy = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(a.clone());
    let free = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(1)).service(b);
    let policy = FailoverPolicy::default().timeout(seconds(4));
    let client = crate::support::Client::new(OriginGroup::with_policy(
        policy,
        [("busy", busy.clone()), ("free", free)],
    ));
    let first = crate::support::Client::new(busy).get("/").start_outcome();
    settle().await;
    let asked = client.get("/").start();
    pass(4).await;
    assert_eq!(attempts(&asked.await.unwrap()), "busy=timeout, free=200");
    assert_eq!(a.count(), 1);
    first.abort();
}
