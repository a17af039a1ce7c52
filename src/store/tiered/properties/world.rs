//! Who writes and reads, and the record of it.
use super::{
    SIZES,
    story::Name,
    tier::{Dice, Tier},
};
use crate::{
    Content, StoredHead, StoredResponse,
    store::{
        Store,
        conformance::{head, key},
        tiered::Tiered,
    },
    stored::{
        Kind,
        rope::{self, Window},
    },
};
use bytes::Bytes;
use futures_util::future::join;
use http_body_util::{BodyExt, Full};
use std::{
    cell::RefCell,
    sync::Arc,
    time::{Duration, SystemTime},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A put, or a freshen, that makes this version.
    Version(u32),
    Delete,
    /// A get, and what it got.
    Get(Option<u32>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// It says that it did nothing.
    Nothing,
    Dropped,
}

/// From when to when, and what came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) name: Name,
    pub(super) what: What,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) outcome: Outcome,
}

impl Event {
    pub(super) fn precedes(&self, other: &Self) -> bool {
        self.end < other.start
    }
}

pub(super) struct World {
    pub(super) store: Tiered<Tier, Tier>,
    pub(super) dice: Dice,
    pub(super) now: RefCell<u64>,
    pub(super) versions: RefCell<u32>,
    pub(super) events: RefCell<Vec<Event>>,
}

/// Is told as dropped, unless it ends.
pub(super) struct Doing<'a> {
    pub(super) world: &'a World,
    pub(super) event: Event,
}

impl Drop for Doing<'_> {
    fn drop(&mut self) {
        let end = self.world.tick();
        self.world.events.borrow_mut().push(Event { end, ..self.event });
    }
}

pub(super) fn versioned(name: Name, version: u32, content: u32, time: u64) -> StoredHead {
    let mut head = head(&name.to_string(), 0);
    let Kind::Response(response) = &mut head.kind else { unreachable!() };
    let response = Arc::make_mut(response);
    response.headers.insert("x-version", version.into());
    response.content = content.into();
    response.response_time.wall = SystemTime::UNIX_EPOCH + Duration::from_secs(time);
    head
}

pub(super) fn version(head: &StoredHead) -> (u32, u64) {
    let Kind::Response(head) = &head.kind else { unreachable!() };
    let version = head.headers["x-version"].to_str().unwrap().parse().unwrap();
    (version, head.content)
}

pub(super) fn bytes(content: u64, size: usize) -> Bytes {
    (0..size).map(|n| (n as u64 ^ content) as u8).collect()
}

impl World {
    pub(super) fn tick(&self) -> u64 {
        let mut now = self.now.borrow_mut();
        *now += 1;
        *now
    }

    pub(super) fn begin(&self, name: Name, what: What) -> Doing<'_> {
        let start = self.tick();
        Doing { world: self, event: Event { name, what, start, end: 0, outcome: Outcome::Dropped } }
    }

    pub(super) fn next_version(&self) -> u32 {
        let mut versions = self.versions.borrow_mut();
        *versions += 1;
        *versions
    }

    pub(super) async fn put(
        &self,
        name: Name,
        size: usize,
        time: u64,
        arrives: bool,
        breaks: bool,
    ) {
        let version = self.next_version();
        let mut doing = self.begin(name, What::Version(version));
        let head = versioned(name, version, version, time);
        let bytes = bytes(version.into(), size);
        let key = key(&name.to_string());
        let put = if arrives {
            let window = Window { each: 1 << 20, all: usize::MAX, kept: Arc::default() };
            let declared = (self.dice.throw(2) == 0).then_some(size as u64);
            let (writer, rope) = rope::channel(window, declared);
            let first = rope.store_reader().unwrap();
            let response =
                StoredResponse::new(head, Content::arriving(rope, first, bytes::BytesMut::new()));
            let arriving = async {
                for part in bytes.chunks(40) {
                    self.dice.pause().await;
                    writer.push(Bytes::copy_from_slice(part));
                }
                self.dice.pause().await;
                if !breaks {
                    writer.finish(None);
                }
            };
            join(self.store.put(&key, response), arriving).await.0
        } else {
            let content = if breaks {
                Content::from_fn(size as u64 + 1, move |_| Full::new(bytes.clone()))
            } else {
                bytes.into()
            };
            self.store.put(&key, StoredResponse::new(head, content)).await
        };
        assert!(!(breaks && put.is_ok()), "what broke off was stored");
        doing.event.outcome = if put.is_ok() { Outcome::Done } else { Outcome::Nothing };
    }

    pub(super) async fn get(&self, name: Name) -> Option<u64> {
        let mut doing = self.begin(name, What::Get(None));
        let got = self.store.get(&key(&name.to_string())).await;
        // Nothing was promised of a get that fails.
        let got = got.ok().flatten();
        doing.event.outcome = Outcome::Done;
        let found = got?;
        let (version, content) = version(&found.head);
        doing.event.what = What::Get(Some(version));
        if let Ok(read) = found.content.read().collect().await {
            let read = read.to_bytes();
            assert_eq!(read, bytes(content, read.len()), "head and content belong together");
            assert!(SIZES.contains(&read.len()), "all of it");
        }
        Some(content)
    }

    pub(super) async fn freshen(&self, name: Name, time: u64) {
        let Some(content) = self.get(name).await else { return };
        self.dice.pause().await;
        let version = self.next_version();
        let mut doing = self.begin(name, What::Version(version));
        let head = versioned(name, version, content as u32, time);
        let freshened = self.store.freshen(&key(&name.to_string()), head).await;
        let is_done = matches!(freshened, Ok(true));
        doing.event.outcome = if is_done { Outcome::Done } else { Outcome::Nothing };
    }

    pub(super) async fn delete(&self, name: Name) {
        let mut doing = self.begin(name, What::Delete);
        let deleted = self.store.delete(&key(&name.to_string())).await;
        doing.event.outcome = if deleted.is_ok() { Outcome::Done } else { Outcome::Nothing };
    }
}
