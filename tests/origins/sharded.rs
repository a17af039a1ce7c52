//! One place for each object.
use crate::{
    support::{Client, Origin, answer, fail, ok, pass},
    told::{attempts, named, origins, told},
};
use std::collections::HashMap;
use tower_cdn::{
    KeyPolicy, Parameters,
    origins::{OriginName, Sharded},
};

const OBJECTS: usize = 2000;

fn sharded(origins: Vec<(&'static str, Origin)>) -> Client<Sharded<Origin>> {
    Client::new(Sharded::new(origins))
}

fn well<const N: usize>() -> [Origin; N] {
    let origins = origins();
    for origin in &origins {
        for n in 0..OBJECTS {
            origin.always(&format!("/{n}"), |_| ok(""));
        }
    }
    origins
}

/// Where each object is.
async fn places(client: &Client<Sharded<Origin>>) -> Vec<String> {
    let mut places = Vec::new();
    for n in 0..OBJECTS {
        let reply = client.get(&format!("/{n}")).await;
        assert_eq!(reply.status, 200);
        let attempts = reply.extensions.get::<tower_cdn::origins::Attempts>().unwrap();
        places.push(attempts.last().map(|a| OriginName::to_string(a.origin())).unwrap());
    }
    places
}

fn shares(places: &[String]) -> HashMap<&str, usize> {
    let mut shares = HashMap::new();
    for place in places {
        *shares.entry(place.as_str()).or_default() += 1;
    }
    shares
}

#[tokio::test(start_paused = true)]
async fn each_object_has_one_place_and_each_place_a_fair_share() {
    let o = &well::<4>();
    let places = places(&sharded(named(o))).await;
    let mut others = named(o);
    others.reverse();
    assert_eq!(places, self::places(&sharded(others)).await, "in whatever order they are named");
    let shares = shares(&places);
    assert_eq!(shares.len(), 4);
    assert!(shares.values().all(|share| (425..575).contains(share)), "{shares:?}");
}

#[tokio::test(start_paused = true)]
async fn the_place_is_the_same_in_every_release() {
    let o = &well::<4>();
    let places = places(&sharded(named(o))).await;
    assert_eq!(places[..12].join(""), "bdaacbdccbba");
}

#[tokio::test(start_paused = true)]
async fn a_lost_one_moves_only_its_share() {
    let o = &well::<4>();
    let before = places(&sharded(named(o))).await;
    let mut rest = named(o);
    rest.remove(1);
    let after = places(&sharded(rest)).await;
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after || before == "b", "{before} moved to {after}");
    }
    let moved: Vec<_> =
        (before.iter().zip(after)).filter(|(b, _)| *b == "b").map(|(_, a)| a).collect();
    let shares = shares(&moved);
    assert_eq!(shares.len(), 3, "and to all others: {shares:?}");
    assert!(shares.values().all(|share| *share > moved.len() / 5), "{shares:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_down_moves_only_its_share_and_gets_it_back() {
    let o @ [_, b, ..] = &well::<3>();
    let client = sharded(named(o));
    let before = places(&client).await;
    for n in 0..OBJECTS {
        b.always(&format!("/{n}"), |_| fail());
    }
    let seen = b.count();
    let during = places(&client).await;
    assert_eq!(b.count(), seen + 3, "it is skipped after three failures");
    for (before, during) in before.iter().zip(&during) {
        assert!(before == during || before == "b");
        assert_ne!(during, "b");
    }
    for n in 0..OBJECTS {
        b.always(&format!("/{n}"), |_| ok(""));
    }
    pass(5).await;
    assert_eq!(places(&client).await, before);
}

#[tokio::test(start_paused = true)]
async fn what_the_key_leaves_out_moves_nothing() {
    let o = &origins::<8>();
    for origin in o {
        origin.always("/x", |_| ok(""));
    }
    let policy = KeyPolicy::default().query(Parameters::Only(vec!["page".into()]));
    let keyed = Client::new(Sharded::new(named(o)).key_policy(policy));
    let place = attempts(&keyed.get("/x?page=1").await);
    let mut others = 0;
    for n in 0..30 {
        assert_eq!(attempts(&keyed.get(&format!("/x?page=1&utm={n}")).await), place);
        assert_eq!(attempts(&keyed.ask("POST", &format!("/x?page=1&utm={n}")).await), place);
        others += usize::from(attempts(&keyed.get(&format!("/x?page={n}")).await) != place);
    }
    assert!(others > 15, "what it has in moves: {others}");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_key_has_a_place_all_the_same() {
    let o = &origins::<3>();
    for origin in o {
        origin.always("*", |_| answer(204));
    }
    let client = sharded(named(o));
    let place = told(client.ask("OPTIONS", "/").origin_form("*")).await;
    for _ in 0..3 {
        assert_eq!(told(client.ask("OPTIONS", "/").origin_form("*")).await, place);
    }
}
