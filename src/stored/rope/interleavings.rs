//! All ways in which threads may meet at a rope, tried by loom: no byte is lost, no broken body ends cleanly, nobody sleeps for ever.
use super::{super::Content, Next, Reader, Room, Rope, Window, Writer};
use crate::error::Cut;
use bytes::Bytes;
use loom::{future::block_on, model::Builder, thread};
use std::{future::poll_fn, sync::Arc, task::Poll};

/// What one reader got, and how it ended.
#[derive(Debug, PartialEq)]
enum Got {
    Whole(Vec<u8>),
    Cut(Vec<u8>, Cut),
}

/// More switches of threads than this at places where no thread has to wait are not tried: errors need few.
fn explore(story: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(story);
}

fn channel(each: usize) -> (Writer, Rope) {
    super::channel(Window { each, all: usize::MAX, kept: Arc::default() }, None)
}

/// Pushes as a pump does: chunk by chunk, when there is room. False if nobody reads any more.
fn pump(writer: &Writer, chunks: &[&'static [u8]]) -> bool {
    chunks.iter().all(|chunk| {
        let room = block_on(poll_fn(|cx| {
            loop {
                match writer.room(cx.waker()) {
                    Room::Stalled | Room::Awaited => writer.leave_laggards_behind(),
                    Room::Paced | Room::StoreOnly => return Poll::Pending,
                    room => return Poll::Ready(room),
                }
            }
        }));
        writer.push(Bytes::from_static(chunk));
        room == Room::Free
    })
}

fn read(mut reader: Reader) -> Got {
    let mut got = Vec::new();
    loop {
        match block_on(poll_fn(|cx| reader.poll_next(cx.waker()))) {
            Next::Chunk(chunk) => got.extend_from_slice(&chunk),
            Next::End(_) => return Got::Whole(got),
            Next::Cut(cut) => return Got::Cut(got, cut),
            Next::Stored(content, range) => {
                let from = usize::try_from(range.start).expect("a small offset");
                got.extend_from_slice(&content.as_bytes().expect("in memory")[from..]);
                return Got::Whole(got);
            }
        }
    }
}

fn whole(rope: &Rope) -> Reader {
    rope.whole().expect("nothing has been freed")
}

#[test]
fn a_reader_behind_a_small_window_gets_all() {
    explore(|| {
        let (writer, rope) = channel(1);
        let reader = whole(&rope);
        let reading = thread::spawn(move || read(reader));
        assert!(pump(&writer, &[b"ab", b"cd", b"ef"]));
        writer.finish(None);
        assert_eq!(reading.join().expect("no panic"), Got::Whole(b"abcdef".to_vec()));
    });
}

#[test]
fn a_reader_that_pauses_has_made_room_before() {
    explore(|| {
        let (writer, rope) = channel(1);
        let mut reader = whole(&rope);
        let reading = thread::spawn(move || {
            let next = block_on(poll_fn(|cx| reader.poll_next(cx.waker())));
            assert!(matches!(next, Next::Chunk(chunk) if chunk == "ab"));
            reader
        });
        assert!(pump(&writer, &[b"ab", b"cd"]));
        writer.finish(None);
        assert_eq!(read(reading.join().expect("no panic")), Got::Whole(b"cd".to_vec()));
    });
}

#[test]
fn a_writer_that_is_dropped_is_no_clean_end() {
    explore(|| {
        let (writer, rope) = channel(1);
        let reader = whole(&rope);
        let reading = thread::spawn(move || read(reader));
        assert!(pump(&writer, &[b"ab", b"cd"]));
        drop(writer);
        assert_eq!(reading.join().expect("no panic"), Got::Cut(b"abcd".to_vec(), Cut::Origin));
    });
}

#[test]
fn a_reader_that_leaves_frees_the_writer() {
    explore(|| {
        let (writer, rope) = channel(1);
        let reader = whole(&rope);
        let leaving = thread::spawn(move || drop(reader));
        if pump(&writer, &[b"ab", b"cd", b"ef"]) {
            // It waits for the origin now.
            block_on(poll_fn(|cx| {
                if writer.is_abandoned(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }
            }));
        }
        leaving.join().expect("no panic");
    });
}

#[test]
fn who_comes_late_gets_all_or_nothing() {
    explore(|| {
        let (writer, rope) = channel(2);
        let first = whole(&rope);
        let late = rope.clone();
        let late = thread::spawn(move || late.whole().map(read));
        let reading = thread::spawn(move || read(first));
        assert!(pump(&writer, &[b"ab", b"cd"]));
        writer.finish(None);
        assert_eq!(reading.join().expect("no panic"), Got::Whole(b"abcd".to_vec()));
        match late.join().expect("no panic") {
            // What came first had been freed, or the late one held up the first, and there was no store to go on from.
            None => {}
            Some(Got::Cut(got, cut)) => {
                assert_eq!((got.as_slice(), cut), (&b""[..], Cut::TooSlow));
            }
            Some(got) => assert_eq!(got, Got::Whole(b"abcd".to_vec())),
        }
    });
}

#[test]
fn who_comes_late_to_what_breaks_gets_no_clean_end() {
    explore(|| {
        let (writer, rope) = channel(8);
        let late = thread::spawn(move || rope.whole().map(read));
        writer.push(Bytes::from_static(b"ab"));
        drop(writer);
        match late.join().expect("no panic") {
            None => {}
            Some(got) => assert_eq!(got, Got::Cut(b"ab".to_vec(), Cut::Origin)),
        }
    });
}

#[test]
fn who_is_left_behind_goes_on_from_the_store() {
    explore(|| {
        let (writer, rope) = channel(1);
        let slow = whole(&rope);
        let slow = thread::spawn(move || read(slow));
        // These two read in the thread of the pump, and never lag.
        let mut fast = whole(&rope);
        let mut store = rope.store_reader().expect("nothing has been freed");
        let mut stored = Vec::new();
        for chunk in [b"ab", b"cd"] {
            assert!(pump(&writer, &[chunk]));
            for reader in [&mut fast, &mut store] {
                match block_on(poll_fn(|cx| reader.poll_next(cx.waker()))) {
                    Next::Chunk(chunk) => stored.extend_from_slice(&chunk),
                    next => panic!("neither was held up or cut: {next:?}"),
                }
            }
        }
        writer.finish(None);
        assert_eq!(stored, b"ababcdcd");
        drop(store);
        rope.settle(Some(Content::from(Bytes::from_static(b"abcd"))));
        assert_eq!(slow.join().expect("no panic"), Got::Whole(b"abcd".to_vec()));
    });
}

#[test]
fn who_was_left_behind_is_not_held_up_for_ever() {
    explore(|| {
        let (writer, rope) = channel(1);
        let slow = whole(&rope);
        let slow = thread::spawn(move || read(slow));
        // These two read in the thread of the pump, and the first one only once.
        let mut idle = whole(&rope);
        let mut store = rope.store_reader().expect("nothing has been freed");
        for (n, chunk) in [b"ab", b"cd", b"ef"].into_iter().enumerate() {
            assert!(pump(&writer, &[chunk]));
            for reader in [&mut store, &mut idle].into_iter().take(if n == 0 { 2 } else { 1 }) {
                let next = block_on(poll_fn(|cx| reader.poll_next(cx.waker())));
                assert!(matches!(next, Next::Chunk(read) if read[..] == chunk[..]));
            }
        }
        writer.finish(None);
        drop(store);
        rope.settle(Some(Content::from(Bytes::from_static(b"abcdef"))));
        assert_eq!(slow.join().expect("no panic"), Got::Whole(b"abcdef".to_vec()));
        assert_eq!(read(idle), Got::Whole(b"cdef".to_vec()));
    });
}

#[test]
fn who_is_left_behind_hears_of_what_breaks() {
    explore(|| {
        let (writer, rope) = channel(1);
        let slow = whole(&rope);
        let slow = thread::spawn(move || read(slow));
        // It reads in the thread of the pump, beside a store that never comes to say what it has.
        let mut fast = whole(&rope);
        let mut store = rope.store_reader().expect("nothing has been freed");
        assert!(pump(&writer, &[b"ab"]));
        for reader in [&mut fast, &mut store] {
            let next = block_on(poll_fn(|cx| reader.poll_next(cx.waker())));
            assert!(matches!(next, Next::Chunk(_)));
        }
        assert!(pump(&writer, &[b"cd"]));
        drop(writer);
        assert!(matches!(slow.join().expect("no panic"), Got::Cut(_, Cut::Origin)));
    });
}

#[test]
fn a_store_that_is_refused_gets_no_clean_end() {
    explore(|| {
        let (writer, rope) = channel(1);
        let client = whole(&rope);
        let store = rope.store_reader().expect("nothing has been freed");
        let storing = thread::spawn(move || read(store));
        let reading = thread::spawn(move || read(client));
        rope.refuse_store(Cut::NotStored);
        assert!(pump(&writer, &[b"ab", b"cd"]));
        writer.finish(None);
        assert!(matches!(storing.join().expect("no panic"), Got::Cut(_, Cut::NotStored)));
        assert_eq!(reading.join().expect("no panic"), Got::Whole(b"abcd".to_vec()));
    });
}

#[test]
fn a_slow_store_holds_up_no_client() {
    explore(|| {
        let (writer, rope) = channel(1);
        let client = whole(&rope);
        let store = rope.store_reader().expect("nothing has been freed");
        let reading = thread::spawn(move || read(client));
        assert!(pump(&writer, &[b"ab", b"cd", b"ef"]), "the client reads on");
        writer.finish(None);
        assert_eq!(reading.join().expect("no panic"), Got::Whole(b"abcdef".to_vec()));
        assert_eq!(read(store), Got::Cut(Vec::new(), Cut::TooSlow));
    });
}
