//! An origin that fails again and again is left alone, and probed by one request.
use crate::{
    support::{Client, Origin, answer, fail, hang, ok, pass, pass_for, seconds, settle},
    told::{Group, counts, group, group_of, origins, start_told, told},
};
use http::StatusCode;
use std::time::Duration;
use tower_cdn::origins::FailoverPolicy;

/// Two origins, of which the first one fails and has been found out.
async fn first_is_down() -> ([Origin; 2], Client<Group>) {
    let o = origins();
    o[0].always("/", |_| fail());
    o[1].always("/", |_| ok("second"));
    let client = group(&o);
    for _ in 0..3 {
        assert_eq!(told(client.get("/")).await, "200 second (a=failed, b=200)");
    }
    assert_eq!(told(client.get("/")).await, "200 second (a=skipped, b=200)");
    (o, client)
}

#[tokio::test(start_paused = true)]
async fn after_three_failures_in_a_row() {
    let (o, client) = first_is_down().await;
    pass_for(seconds(5) - Duration::from_millis(1)).await;
    assert_eq!(told(client.get("/")).await, "200 second (a=skipped, b=200)");
    assert_eq!(counts(&o), [3, 5]);
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_only() {
    let o @ [a, b] = &origins();
    b.always("/", |_| ok("second"));
    let client = group(o);
    for _ in 0..5 {
        a.says("/", fail());
        a.says("/", answer(503));
        a.says("/", answer(404));
        drop((client.get("/").await, client.get("/").await));
        assert_eq!(told(client.get("/")).await, "404  (a=404)", "it has not been skipped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_500_asks_the_next_one_but_takes_nobody_out() {
    let o @ [a, b] = &origins();
    a.always("/", |_| answer(500));
    b.always("/", |_| ok("second"));
    let client = group(o);
    for _ in 0..10 {
        assert_eq!(told(client.get("/")).await, "200 second (a=500, b=200)");
    }
    let policy = FailoverPolicy::default().unhealthy([StatusCode::INTERNAL_SERVER_ERROR]);
    let client = group_of(policy.failures(1), o);
    assert_eq!(told(client.get("/")).await, "200 second (a=500, b=200)");
    assert_eq!(told(client.get("/")).await, "200 second (a=skipped, b=200)");
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_while_probes_fail() {
    let ([a, _], client) = first_is_down().await;
    for (n, pause) in [5, 10, 20, 40, 60, 60, 60].into_iter().enumerate() {
        pass_for(seconds(pause) - Duration::from_millis(1)).await;
        assert_eq!(told(client.get("/")).await, "200 second (a=skipped, b=200)", "{pause} s");
        pass_for(Duration::from_millis(1)).await;
        assert_eq!(told(client.get("/")).await, "200 second (a=failed, b=200)", "{pause} s");
        assert_eq!(a.count(), 4 + n, "one probe after {pause} s");
    }
}

#[tokio::test(start_paused = true)]
async fn exactly_one_request_probes() {
    let ([a, b], client) = first_is_down().await;
    pass(5).await;
    let (slow, hold) = ok("first").held();
    a.says("/", slow);
    let probe = start_told(client.get("/"));
    settle().await;
    let before = a.count();
    for _ in 0..20 {
        assert_eq!(told(client.get("/")).await, "200 second (a=skipped, b=200)");
    }
    assert_eq!(a.count(), before, "the others pass it over");
    hold.release();
    assert_eq!(probe.await.unwrap(), "200 first (a=200)");
    a.always("/", |_| ok("first"));
    let seen = b.count();
    assert_eq!(told(client.get("/")).await, "200 first (a=200)", "it is back for all");
    assert_eq!(b.count(), seen);
}

#[tokio::test(start_paused = true)]
async fn thousand_at_once_are_one_probe() {
    let ([a, _], client) = first_is_down().await;
    pass(5).await;
    a.always("/", |_| hang());
    let before = a.count();
    let asked: Vec<_> = (0..1000).map(|_| start_told(client.get("/"))).collect();
    settle().await;
    assert_eq!(a.count(), before + 1);
    pass(30).await;
    let mut told = Vec::new();
    for asked in asked {
        told.push(asked.await.unwrap());
    }
    let probes = told.iter().filter(|told| *told == "200 second (a=timeout, b=200)").count();
    let others = told.iter().filter(|told| *told == "200 second (a=skipped, b=200)").count();
    assert_eq!((probes, others), (1, 999));
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_client_leaves_says_nothing() {
    let ([a, _], client) = first_is_down().await;
    pass(5).await;
    a.says("/", hang());
    let probe = start_told(client.get("/"));
    settle().await;
    assert_eq!(told(client.get("/")).await, "200 second (a=skipped, b=200)");
    probe.abort();
    settle().await;
    a.says("/", ok("first"));
    assert_eq!(told(client.get("/")).await, "200 first (a=200)", "the next one probes");
}

#[tokio::test(start_paused = true)]
async fn an_unsafe_request_does_not_probe() {
    let ([a, b], client) = first_is_down().await;
    pass(5).await;
    let before = a.count();
    assert_eq!(told(client.ask("POST", "/")).await, "200 second (a=skipped, b=200)");
    assert_eq!((a.count(), b.last().method.as_str()), (before, "POST"));
}

#[tokio::test(start_paused = true)]
async fn with_one_attempt_a_request_finds_out_all_the_same() {
    let o @ [a, b] = &origins();
    a.always("/", |_| fail());
    b.always("/", |_| ok("second"));
    let client = group_of(FailoverPolicy::default().attempts(1), o);
    for _ in 0..3 {
        assert_eq!(told(client.get("/")).await, "! origin failed (a=failed)");
    }
    pass(5).await;
    assert_eq!(told(client.get("/")).await, "! origin failed (a=failed)");
    assert_eq!(told(client.get("/")).await, "200 second (a=skipped, b=200)");
    a.always("/", |_| ok("first"));
    pass(10).await;
    assert_eq!(
        told(client.get("/")).await,
        "200 first (a=200)",
        "nothing else would bring it back"
    );
}

#[tokio::test(start_paused = true)]
async fn probes_leave_an_attempt_for_who_is_up() {
    let o @ [a, b, c, d] = &origins();
    for origin in [a, b, c] {
        origin.always("/", |_| fail());
    }
    d.always("/", |_| ok("fourth"));
    let client = group(o);
    for _ in 0..3 {
        assert!(told(client.get("/")).await.starts_with("! origin failed"));
    }
    assert_eq!(told(client.get("/")).await, "200 fourth (a=skipped, b=skipped, c=skipped, d=200)");
    pass(5).await;
    assert_eq!(told(client.get("/")).await, "200 fourth (a=failed, b=failed, c=skipped, d=200)");
    c.always("/", |_| ok("third"));
    assert_eq!(told(client.get("/")).await, "200 third (a=skipped, b=skipped, c=200)", "its turn");
}

#[tokio::test(start_paused = true)]
async fn after_recovery_all_begins_anew() {
    let ([a, _], client) = first_is_down().await;
    pass(5).await;
    a.says("/", ok("first"));
    assert_eq!(told(client.get("/")).await, "200 first (a=200)");
    for _ in 0..3 {
        assert_eq!(told(client.get("/")).await, "200 second (a=failed, b=200)");
    }
    pass(5).await;
    assert_eq!(told(client.get("/")).await, "200 second (a=failed, b=200)", "5 s, not 10");
}

#[tokio::test(start_paused = true)]
async fn if_all_are_down_one_is_asked_all_the_same() {
    let o @ [a, b] = &origins();
    a.always("/", |_| fail());
    b.always("/", |_| answer(503).body("sorry"));
    let client = group(o);
    for _ in 0..3 {
        assert_eq!(told(client.get("/")).await, "503 sorry (a=failed, b=503)");
    }
    assert_eq!(told(client.get("/")).await, "! origin failed (a=skipped, b=skipped, a=failed)");
    assert_eq!(
        told(client.ask("POST", "/")).await,
        "! origin failed (a=skipped, b=skipped, a=failed)"
    );
    assert_eq!(counts(o), [5, 3], "one attempt each");
    a.says("/", ok("first"));
    assert_eq!(told(client.get("/")).await, "200 first (a=skipped, b=skipped, a=200)");
    a.says("/", ok("first"));
    assert_eq!(told(client.get("/")).await, "200 first (a=200)", "that was enough");
}

#[tokio::test(start_paused = true)]
async fn clones_share_what_they_know() {
    let o @ [a, b] = &origins();
    a.always("/", |_| fail());
    b.always("/", |_| ok("second"));
    let group: Group = tower_cdn::origins::OriginGroup::new(crate::told::named(o));
    for _ in 0..3 {
        drop(Client::new(group.clone()).get("/").await);
    }
    assert_eq!(told(Client::new(group).get("/")).await, "200 second (a=skipped, b=200)");
}

#[tokio::test(start_paused = true)]
async fn a_pause_without_end_is_one() {
    let o @ [a, b] = &origins();
    a.always("/", |_| fail());
    b.always("/", |_| ok("second"));
    let forever = FailoverPolicy::default().failures(1).pause(Duration::MAX, Duration::MAX);
    let client = group_of(forever, o);
    assert_eq!(told(client.get("/")).await, "200 second (a=failed, b=200)");
    for _ in 0..3 {
        assert_eq!(told(client.get("/")).await, "200 second (a=skipped, b=200)");
        pass_for(seconds(365 * 24 * 60 * 60)).await;
    }
    assert_eq!(a.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_may_probe_if_no_other_one_did() {
    let o @ [a, b, c] = &origins();
    a.always("/", |_| ok("first"));
    a.always("/broken", |_| answer(500));
    b.always("/broken", |_| fail());
    c.always("/broken", |_| ok("third"));
    let client = group_of(FailoverPolicy::default().attempts(2), o);
    for _ in 0..3 {
        assert_eq!(told(client.get("/broken")).await, "500  (a=500, b=failed)");
    }
    assert_eq!(told(client.get("/broken")).await, "200 third (a=500, b=skipped, c=200)");
    b.always("/broken", |_| ok("second"));
    pass(5).await;
    assert_eq!(told(client.get("/broken")).await, "200 second (a=500, b=200)");
}
