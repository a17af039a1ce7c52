//! Active checks.
use crate::{
    support::{Client, Origin, RequestBody, answer, fail, hang, ok, pass, seconds, settle},
    told::{Group, counts, named, origins, told},
};
use http::Request;
use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tower::ServiceExt;
use tower_cdn::origins::OriginGroup;

async fn check(origin: Origin) -> bool {
    let request = Request::get("http://example.com/health").body(RequestBody::default()).unwrap();
    origin.oneshot(request).await.is_ok_and(|response| response.status().is_success())
}

fn checked(origins: &[Origin]) -> Group {
    OriginGroup::new(named(origins)).check(seconds(2), check)
}

fn are_well(origins: &[Origin]) {
    for origin in origins {
        origin.always("/health", |_| ok(""));
        origin.always("/", |_| ok("page"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_goes_before_a_request_finds_out() {
    let o @ [a, _] = &origins();
    are_well(o);
    let client = Client::new(checked(o));
    settle().await;
    assert_eq!(told(client.get("/")).await, "200 page (a=200)");
    a.always("/health", |_| answer(503));
    pass(2).await;
    pass(2).await;
    assert_eq!(told(client.get("/")).await, "200 page (a=200)", "two failures and a success");
    for _ in 0..3 {
        pass(2).await;
    }
    assert_eq!(told(client.get("/")).await, "200 page (a=skipped, b=200)");
    a.always("/health", |_| ok(""));
    pass(2).await;
    assert_eq!(told(client.get("/")).await, "200 page (a=200)", "back before the pause is over");
}

#[tokio::test(start_paused = true)]
async fn while_checks_fail_no_request_probes() {
    let o @ [a, _] = &origins();
    are_well(o);
    a.always("/health", |_| fail());
    let client = Client::new(checked(o));
    for _ in 0..200 {
        pass(2).await;
    }
    let before = a.count();
    for _ in 0..10 {
        assert_eq!(told(client.get("/")).await, "200 page (a=skipped, b=200)");
    }
    assert_eq!(a.count(), before);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_takes_too_long_has_failed() {
    let o @ [a, b] = &origins();
    are_well(o);
    a.always("/health", |_| hang());
    let client = Client::new(checked(o));
    for _ in 0..6 {
        pass(2).await;
    }
    assert_eq!(told(client.get("/")).await, "200 page (a=skipped, b=200)");
    assert!(b.count() > 3, "a slow one does not hold up the others");
    assert_eq!(a.under_way(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_has_failed_and_is_made_again() {
    for is_at_once in [false, true] {
        let o @ [a, b] = &origins();
        are_well(o);
        let panics = Arc::new(AtomicBool::new(true));
        let with_panics = {
            let panics = Arc::clone(&panics);
            move |origin: Origin| {
                let now = panics.load(Ordering::SeqCst);
                let broken = move || -> bool { resume_unwind(Box::new("the check panics")) };
                let early = now && is_at_once && broken();
                async move { early || now && broken() || check(origin).await }
            }
        };
        let group = OriginGroup::new(named(o)).check(seconds(2), with_panics);
        let client = Client::new(group);
        settle().await;
        assert_eq!(counts(o), [0, 0], "all of the first round panic");
        panics.store(false, Ordering::SeqCst);
        a.always("/health", |_| answer(503));
        for _ in 0..2 {
            pass(2).await;
        }
        assert_eq!(told(client.get("/")).await, "200 page (a=skipped, b=200)", "three failures");
        assert_eq!(b.count(), 3, "two checks and a request");
    }
}

#[tokio::test(start_paused = true)]
async fn they_end_with_the_last_clone() {
    let o = &origins::<2>();
    are_well(o);
    let group = checked(o);
    let clone = group.clone();
    settle().await;
    assert_eq!(counts(o), [1, 1], "the first ones are made at once");
    drop(group);
    pass(2).await;
    assert_eq!(counts(o), [2, 2]);
    drop(clone);
    for _ in 0..5 {
        pass(2).await;
    }
    assert_eq!(counts(o), [2, 2]);
}
