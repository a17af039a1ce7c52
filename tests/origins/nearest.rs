//! The quickest and least busy one.
use crate::{
    support::{Client, Origin, RequestBody, answer, fail, hang, ok, pass, pass_for, settle},
    told::{counts, named, origins, start_told, told},
};
use http::Request;
use std::time::Duration;
use tower::{Service, ServiceExt, service_fn};
use tower_cdn::origins::Nearest;

fn nearest(origins: &[Origin]) -> Client<Nearest<Origin>> {
    Client::new(Nearest::new(named(origins)))
}

/// Each origin is asked once and takes so many milliseconds.
async fn takes(client: &Client<Nearest<Origin>>, origins: &[Origin], times: &[u64]) {
    // The next one is asked since the others are busy.
    let mut holds = Vec::new();
    for origin in origins {
        let (slow, hold) = ok("").held();
        origin.says("/", slow);
        holds.push(hold);
    }
    let asked: Vec<_> = origins.iter().map(|_| start_told(client.get("/"))).collect();
    settle().await;
    assert_eq!(counts(origins), vec![1; origins.len()], "each is asked once");
    let mut passed = 0;
    let mut order: Vec<_> = times.iter().zip(holds).collect();
    order.sort_by_key(|(time, _)| **time);
    for (time, hold) in order {
        pass_for(Duration::from_millis(time - passed)).await;
        passed = *time;
        hold.release();
        settle().await;
    }
    for asked in asked {
        asked.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_quicker_one_of_two() {
    let o @ [a, b] = &origins();
    let client = nearest(o);
    takes(&client, o, &[400, 50]).await;
    a.always("/", |_| ok("a"));
    b.always("/", |_| ok("b"));
    for _ in 0..20 {
        assert_eq!(told(client.get("/")).await, "200 b (b=200)");
    }
}

#[tokio::test(start_paused = true)]
async fn the_less_busy_one_of_two() {
    let o @ [a, b] = &origins();
    let client = nearest(o);
    takes(&client, o, &[50, 100]).await;
    a.always("/", |_| hang());
    b.always("/", |_| hang());
    let busy: Vec<_> = (0..9).map(|_| start_told(client.get("/"))).collect();
    settle().await;
    let counts = counts(o);
    assert!(counts[0] > counts[1], "twice as quick gets more: {counts:?}");
    assert!(counts[1] > 1, "but not all: {counts:?}");
    drop(busy);
}

#[tokio::test(start_paused = true)]
async fn a_peak_is_forgotten() {
    let o @ [a, b] = &origins();
    let client = nearest(o);
    takes(&client, o, &[1000, 50]).await;
    a.always("/", |_| ok("a"));
    b.always("/", |_| ok("b"));
    assert_eq!(told(client.get("/")).await, "200 b (b=200)");
    let before = a.count();
    // Now the other one is slow, and the first one's peak is long ago.
    for _ in 0..3 {
        let (slow, hold) = ok("b").held();
        b.says("/", slow);
        let asked = start_told(client.get("/"));
        pass(20).await;
        hold.release();
        asked.await.unwrap();
    }
    assert_eq!(told(client.get("/")).await, "200 a (a=200)");
    assert!(a.count() > before);
}

/// It takes so many milliseconds.
fn paced(
    origin: &Origin,
    milliseconds: u64,
) -> impl Service<Asked, Response = Said, Error = <Origin as Service<Asked>>::Error, Future: Send>
+ Clone
+ Send
+ 'static {
    let origin = origin.clone();
    origin.always("/", |_| ok(""));
    service_fn(move |request: Asked| {
        let answer = origin.clone().oneshot(request);
        async move {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            answer.await
        }
    })
}

type Asked = Request<RequestBody>;
type Said = <Origin as Service<Asked>>::Response;

#[tokio::test(start_paused = true)]
async fn the_worst_one_of_many_is_never_chosen() {
    let o = &origins::<4>();
    let origins = ["a", "b", "c", "d"].into_iter().zip([50, 2000, 60, 70].into_iter().zip(o));
    let nearest = Nearest::new(origins.map(|(name, (time, origin))| (name, paced(origin, time))));
    let client = Client::new(nearest);
    for _ in 0..100 {
        assert_eq!(client.get("/").await.status, 200);
    }
    let before = counts(o);
    assert!(before[1] < 5, "it is found out soon: {before:?}");
    for _ in 0..100 {
        assert_eq!(client.get("/").await.status, 200);
    }
    let after = counts(o);
    assert_eq!(after[1], before[1], "{after:?}");
    assert!([0, 2].iter().all(|&n| after[n] > 20), "not only the best one: {after:?}");
}

#[tokio::test(start_paused = true)]
async fn the_next_best_one_if_it_fails() {
    let o @ [a, b] = &origins();
    let client = nearest(o);
    takes(&client, o, &[50, 100]).await;
    a.always("/", |_| fail());
    b.always("/", |_| ok("b"));
    for _ in 0..3 {
        assert_eq!(told(client.get("/")).await, "200 b (a=failed, b=200)");
    }
    assert_eq!(told(client.get("/")).await, "200 b (b=200)", "it does not win by failing quickly");
    pass(5).await;
    a.says("/", answer(200).body("a"));
    assert_eq!(told(client.get("/")).await, "200 a (a=200)", "a probe, although it is down");
}

#[tokio::test(start_paused = true)]
async fn probes_leave_an_attempt_for_who_is_up() {
    let o @ [a, b, c, d] = &origins();
    for origin in [a, b, c] {
        origin.always("/", |_| fail());
    }
    d.always("/", |_| ok("d"));
    let client = nearest(o);
    for _ in 0..20 {
        drop(client.get("/").outcome().await);
    }
    assert_eq!(told(client.get("/")).await, "200 d (d=200)", "the others are down");
    pass(60).await;
    for _ in 0..3 {
        let told = told(client.get("/")).await;
        assert!(told.starts_with("200 d"), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn to_fail_quickly_is_not_to_be_quick() {
    let o @ [a, b] = &origins();
    let client = nearest(o);
    takes(&client, o, &[50, 100]).await;
    // 500 says nothing of an origin's health.
    a.always("/", |_| answer(500));
    for _ in 0..20 {
        let (slow, hold) = ok("b").held();
        b.says("/", slow);
        let asked = start_told(client.get("/"));
        pass_for(Duration::from_millis(100)).await;
        hold.release();
        assert!(asked.await.unwrap().starts_with("200 b"));
        pass_for(Duration::from_millis(900)).await;
    }
    assert_eq!(counts(o), [2, 21], "it is not asked first again for a while");
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_not_a_slow_origin() {
    let o @ [a, b] = &origins();
    let client = nearest(o);
    takes(&client, o, &[50, 100]).await;
    a.always("/", |_| ok("a"));
    b.always("/", |_| ok("b"));
    // One comes to its end after a minute, the other one never does.
    let (slow, hold) = ok("a").held();
    a.says("/", slow);
    a.says("/", hang());
    let uploads =
        [(); 2].map(|()| start_told(client.ask("POST", "/").body("as slow as the client")));
    pass(60).await;
    hold.release();
    settle().await;
    let [ended, left] = uploads;
    left.abort();
    assert_eq!(ended.await.unwrap(), "200 a (a=200)");
    assert!(left.await.is_err());
    let before = a.count();
    for _ in 0..20 {
        let (slow, hold) = ok("b").held();
        b.says("/", slow);
        let asked = start_told(client.get("/"));
        pass_for(Duration::from_millis(100)).await;
        hold.release();
        asked.await.unwrap();
    }
    assert!(a.count() > before + 15, "{} of 20", a.count() - before);
}

#[tokio::test(start_paused = true)]
async fn uploads_go_to_the_quicker_one_as_well() {
    let o @ [a, b] = &origins();
    let client = Client::new(Nearest::new([("a", paced(a, 20)), ("b", paced(b, 200))]));
    for _ in 0..20 {
        assert_eq!(client.get("/").await.status, 200);
    }
    // The slower one has not been asked for long, and only uploads come from now on.
    for _ in 0..20 {
        pass(1).await;
        assert_eq!(client.get("/").await.status, 200);
    }
    let before = counts(o);
    for _ in 0..60 {
        pass(1).await;
        assert_eq!(client.ask("POST", "/").body("content").await.status, 200);
    }
    let after = counts(o);
    assert!(after[1] - before[1] < 6, "{before:?} {after:?}");
    // So long ago that there is nothing left of it: who is busy is still passed over.
    pass(100_000).await;
    let before = counts(o);
    let uploads: Vec<_> =
        (0..20).map(|_| start_told(client.ask("POST", "/").body("content"))).collect();
    pass_for(Duration::from_millis(200)).await;
    settle().await;
    let after = counts(o);
    assert_eq!([after[0] - before[0], after[1] - before[1]], [10, 10]);
    drop(uploads);
}
