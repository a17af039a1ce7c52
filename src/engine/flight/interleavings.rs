//! All ways in which threads may meet at the table of fetches, tried by loom: one fetch at a time, nobody waits for ever, nothing is left behind, and what was
//! invalidated is not reused.
use super::{Fit, Flights, Landed, Landing, Lead, Seat, Source};
use crate::{
    CacheKey,
    clock::Moment,
    semantics::directives::Directives,
    stored::{Content, FoundValid, Rare, ResponseHead},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use loom::{future::block_on, model::Builder, thread};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

/// How a request ended that asked for a seat.
#[derive(Debug, PartialEq)]
enum Got {
    /// It fetched: this is the number of the fetch.
    Led(u64),
    /// It got what that fetch brought.
    Shared(u64),
    Refused,
    Failed,
}

fn explore(story: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(story);
}

fn key() -> CacheKey {
    CacheKey::from_bytes("key")
}

/// What the fetch with this number brings.
fn landed(number: u64) -> Landed {
    let head = ResponseHead {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        directives: Directives::default().into(),
        lifetime: Duration::from_secs(60),
        corrected_initial_age: Duration::ZERO,
        response_time: Moment { wall: SystemTime::UNIX_EPOCH, monotonic: None },
        date: SystemTime::UNIX_EPOCH.into(),
        content: number,
        fetch: number,
        found_valid: FoundValid::default(),
        rare: Rare::default(),
    };
    let source = Source::Stored(Content::from(Bytes::from_static(b"content")));
    Landed { key: key(), head: Arc::new(head), source, on_error: false }
}

fn join(flights: &Flights) -> Seat {
    flights.join(&key(), &key(), 10, |_| false, |_| Fit::Fits)
}

/// Takes a seat; who leads does as told.
fn ask(flights: &Flights, lead: impl FnOnce(Lead)) -> Got {
    match join(flights) {
        Seat::Lead(seat) => {
            let number = seat.number();
            lead(seat);
            Got::Led(number)
        }
        Seat::Follow(answer) => match block_on(answer) {
            Ok(Landing::Shared(landed, _)) => Got::Shared(landed.head.fetch),
            Ok(Landing::Unshareable) => Got::Refused,
            Ok(Landing::Over) => panic!("everything can be read by all"),
            Err(_) => Got::Failed,
        },
        Seat::Landed(landed, _) => Got::Shared(landed.head.fetch),
        seat => panic!("{seat:?}"),
    }
}

fn assert_nothing_is_left(flights: &Flights) {
    let table = flights.lock();
    assert!(table.flights.is_empty() && table.active.is_empty() && table.invalidated.is_empty());
}

/// Two requests at the same time, both of which lead in the same way if they have to.
fn two(lead: impl Fn(Lead) + Copy + Send + 'static) -> [Got; 2] {
    let flights = Flights::default();
    let other = {
        let flights = flights.clone();
        thread::spawn(move || ask(&flights, lead))
    };
    let got = ask(&flights, lead);
    let got = [got, other.join().expect("no panic")];
    assert_nothing_is_left(&flights);
    got
}

#[test]
fn one_fetch_at_a_time_and_who_follows_gets_what_it_brings() {
    explore(|| {
        let leading = Arc::new(AtomicU64::new(0));
        let flights = Flights::default();
        let story = {
            let flights = flights.clone();
            move || {
                ask(&flights, |mut lead| {
                    assert_eq!(leading.fetch_add(1, SeqCst), 0, "one at a time");
                    lead.land(&landed(lead.number()), true);
                    leading.fetch_sub(1, SeqCst);
                })
            }
        };
        let other = thread::spawn(story.clone());
        let got = [story(), other.join().expect("no panic")];
        drop(story);
        assert_nothing_is_left(&flights);
        match got {
            [Got::Led(one), Got::Led(other)] => assert_ne!(one, other),
            [Got::Led(led), Got::Shared(shared)] | [Got::Shared(shared), Got::Led(led)] => {
                assert_eq!(led, shared);
            }
            got => panic!("{got:?}"),
        }
    });
}

#[test]
fn who_follows_a_fetch_that_fails_is_told() {
    explore(|| match two(drop) {
        [Got::Led(_), Got::Led(_) | Got::Failed] | [Got::Failed, Got::Led(_)] => {}
        got => panic!("{got:?}"),
    });
}

#[test]
fn who_follows_what_cannot_be_shared_is_told() {
    explore(|| match two(Lead::release) {
        [Got::Led(_), Got::Led(_) | Got::Refused] | [Got::Refused, Got::Led(_)] => {}
        got => panic!("{got:?}"),
    });
}

#[test]
fn what_only_those_may_have_who_come_later_is_not_for_those_who_waited() {
    explore(|| match two(|mut lead| lead.land(&landed(lead.number()), false)) {
        [Got::Led(_), Got::Led(_) | Got::Refused | Got::Shared(_)]
        | [Got::Refused | Got::Shared(_), Got::Led(_)] => {}
        got => panic!("{got:?}"),
    });
}

#[test]
fn who_is_tided_over_does_not_wait_for_the_fetch() {
    explore(|| match two(|lead| lead.tide_over(&landed(0))) {
        [Got::Led(_), Got::Led(_) | Got::Shared(0) | Got::Failed]
        | [Got::Shared(0) | Got::Failed, Got::Led(_)] => {}
        got => panic!("{got:?}"),
    });
}

/// A store with room for one response: the number of the fetch that brought it.
type Store = Arc<Mutex<Option<u64>>>;

fn stored(store: &Store) -> Option<u64> {
    thread::yield_now();
    *store.lock().expect("not poisoned")
}

fn put(store: &Store, response: Option<u64>) {
    thread::yield_now();
    *store.lock().expect("not poisoned") = response;
}

#[test]
fn what_was_invalidated_is_reused_by_nobody_who_asks_later() {
    explore(|| {
        let (flights, store) = (Flights::default(), Store::default());
        let Seat::Lead(mut lead) = join(&flights) else { panic!("nobody else has asked") };
        let old = lead.number();
        let fetching = {
            let (flights, store) = (flights.clone(), Arc::clone(&store));
            thread::spawn(move || {
                lead.land(&landed(old), true);
                if lead.may_store() {
                    put(&store, Some(old));
                    if flights.is_invalidated(&key(), old) {
                        put(&store, None);
                    }
                }
            })
        };
        let number = flights.invalidate(&key());
        let reused = stored(&store).filter(|fetch| !flights.is_invalidated(&key(), *fetch));
        assert_eq!(reused, None, "not from the store");
        put(&store, None);
        flights.deleted(&key(), number);
        let reused = stored(&store).filter(|fetch| !flights.is_invalidated(&key(), *fetch));
        assert_eq!(reused, None, "not from the store once it was deleted there");
        match ask(&flights, drop) {
            Got::Led(new) => assert!(new > number),
            got => panic!("not from the fetch: {got:?}"),
        }
        fetching.join().expect("no panic");
        let reused = stored(&store).filter(|fetch| !flights.is_invalidated(&key(), *fetch));
        assert_eq!(reused, None, "not when the fetch has ended");
        assert_nothing_is_left(&flights);
    });
}

#[test]
fn a_newer_fetch_is_not_replaced_by_an_older_one() {
    explore(|| {
        let (flights, store) = (Flights::default(), Store::default());
        let Seat::Lead(mut old) = join(&flights) else { panic!("nobody else has asked") };
        flights.invalidate(&key());
        let older = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                old.land(&landed(old.number()), true);
                if old.may_store() {
                    put(&store, Some(old.number()));
                }
            })
        };
        let new = ask(&flights, |mut lead| {
            lead.land(&landed(lead.number()), true);
            assert!(lead.may_store());
            put(&store, Some(lead.number()));
        });
        older.join().expect("no panic");
        assert_eq!(stored(&store).map(Got::Led), Some(new));
    });
}
