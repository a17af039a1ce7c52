//! A store against a map, through openings and ends of all kinds: what is there is what was put last, with the head that it was given last.
use crate::support::{Dice, Heads, ROOM, content, files, key, read, response, settled, version_of};
use proptest::prelude::*;
use std::{collections::BTreeMap, fs, path::Path};
use tempfile::TempDir;
use tower_cdn::{Store, StoreError, store::DiskStore};

#[derive(Clone, Debug)]
enum Step {
    Put {
        key: u64,
        len: usize,
    },
    Freshen {
        key: u64,
    },
    Delete {
        key: u64,
    },
    Get {
        key: u64,
    },
    /// Ended as a process ends that is killed: what lies in the directory at this moment is opened.
    Kill,
    Close,
    Drop,
    /// The same, and something is done to a file while nobody looks.
    Harm {
        harm: Harm,
        file: prop::sample::Index,
        at: prop::sample::Index,
    },
}

#[derive(Clone, Copy, Debug)]
enum Harm {
    Flip,
    Truncate,
    Remove,
    Swap,
    Zero,
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![16_usize..3_000, 16_usize..60_000];
    let harm = prop::sample::select(vec![
        Harm::Flip,
        Harm::Truncate,
        Harm::Remove,
        Harm::Swap,
        Harm::Zero,
    ]);
    prop_oneof![
        8 => (0_u64..8, length).prop_map(|(key, len)| Step::Put { key, len }),
        2 => (0_u64..8).prop_map(|key| Step::Freshen { key }),
        2 => (0_u64..8).prop_map(|key| Step::Delete { key }),
        4 => (0_u64..8).prop_map(|key| Step::Get { key }),
        1 => Just(Step::Kill),
        1 => Just(Step::Close),
        1 => Just(Step::Drop),
        2 => (harm, any::<prop::sample::Index>(), any::<prop::sample::Index>())
            .prop_map(|(harm, file, at)| Step::Harm { harm, file, at }),
    ]
}

struct World {
    directory: TempDir,
    store: DiskStore,
    heads: Vec<Heads>,
    /// Version, and whether it was freshened.
    map: BTreeMap<u64, (u64, bool)>,
    version: u64,
    /// After damage a response may be missing; before that none may, since there is room.
    may_miss: bool,
}

fn open(path: &Path) -> DiskStore {
    let store = DiskStore::builder(path, ROOM).part_size(16 << 10).open();
    store.expect("it can be opened whatever was done to it")
}

impl World {
    async fn take(&mut self, step: Step) {
        match step {
            Step::Put { key: k, len } => {
                self.version += 1;
                let head = &self.heads[self.version as usize % self.heads.len()].first;
                let response = response(head, content(k, self.version, len));
                let put = self.store.put(&key(k), response).await;
                self.map.insert(k, (self.version, false));
                self.check(k, put);
            }
            Step::Freshen { key: k } => {
                let Some((version, is_update)) = self.map.get_mut(&k) else { return };
                let head = self.heads[*version as usize % self.heads.len()].update.clone();
                let done = self.store.freshen(&key(k), head).await;
                *is_update |= matches!(done, Ok(true));
                assert!(*is_update || self.may_miss);
                if !matches!(done, Ok(true)) {
                    self.map.remove(&k);
                }
                self.check(k, done);
            }
            Step::Delete { key: k } => {
                self.map.remove(&k);
                let deleted = self.store.delete(&key(k)).await;
                self.check(k, deleted);
            }
            Step::Get { key } => self.look(key).await,
            Step::Kill => {
                // A copy takes its time, and is of one moment only if nothing goes on.
                settled(&self.store).await;
                let copy = TempDir::new().expect("a directory");
                copy_all(self.directory.path(), copy.path());
                self.reopen(copy);
            }
            Step::Close => {
                self.store.close().await.expect("close must not fail");
                self.store = open(self.directory.path());
            }
            Step::Drop => {
                let other = TempDir::new().expect("a directory");
                let placeholder = open(other.path());
                drop(std::mem::replace(&mut self.store, placeholder));
                self.store = open(self.directory.path());
            }
            Step::Harm { harm, file, at } => {
                settled(&self.store).await;
                let copy = TempDir::new().expect("a directory");
                copy_all(self.directory.path(), copy.path());
                // Without its version the directory is refused, which is another story.
                let mut files = files(copy.path());
                files.retain(|path| !path.ends_with("version") && !path.ends_with("lock"));
                files.sort();
                harm_file(harm, &files, file, at);
                self.may_miss = true;
                self.reopen(copy);
            }
        }
    }

    fn reopen(&mut self, directory: TempDir) {
        self.store = open(directory.path());
        self.directory = directory;
    }

    /// Whoever finds the index damaged is told so, and it is a miss from then on.
    fn check<T>(&mut self, k: u64, result: Result<T, StoreError>) {
        if let Err(error) = result {
            assert!(self.may_miss, "{error:?}");
            self.map.remove(&k);
        }
    }

    async fn look(&self, k: u64) {
        let got = match self.store.get(&key(k)).await {
            Err(_damaged) if self.may_miss => return,
            got => got.expect("get must not fail"),
        };
        let (Some((version, is_update)), Some(got)) = (self.map.get(&k), &got) else {
            assert!(got.is_none(), "key {k} is not there");
            assert!(self.may_miss || !self.map.contains_key(&k), "key {k} is there");
            return;
        };
        let heads = &self.heads[*version as usize % self.heads.len()];
        let head = if *is_update { &heads.update } else { &heads.first };
        assert_eq!(got.head, *head, "the head is that of version {version}");
        match read(&got.content).await {
            Some(bytes) => assert_eq!(version_of(k, &bytes), Some(*version), "key {k}"),
            None => assert!(self.may_miss, "content is whole"),
        }
    }
}

fn harm_file(
    harm: Harm,
    files: &[std::path::PathBuf],
    file: prop::sample::Index,
    at: prop::sample::Index,
) {
    let path = file.get(files);
    let mut bytes = fs::read(path).expect("a file");
    match harm {
        Harm::Flip if !bytes.is_empty() => {
            let at = at.index(bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
        }
        Harm::Truncate => bytes.truncate(at.index(bytes.len() + 1)),
        Harm::Zero => {
            let from = at.index(bytes.len() + 1);
            bytes.iter_mut().skip(from).take(5_000).for_each(|byte| *byte = 0);
        }
        Harm::Remove => return fs::remove_file(path).expect("it can be removed"),
        Harm::Swap => {
            let other = at.get(files);
            let others = fs::read(other).expect("a file");
            fs::write(other, &bytes).expect("it can be written");
            bytes = others;
        }
        Harm::Flip => {}
    }
    fs::write(path, bytes).expect("it can be written");
}

fn copy_all(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).expect("below"));
        fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
        // Files that nobody needs go at any time.
        if path.exists() && fs::copy(&path, target).is_err() {
            assert!(!path.exists(), "a copy");
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("one")
}

/// `PROPTEST_CASES` sets another number.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_a_map_that_may_forget_but_never_errs(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        runtime().block_on(async {
            let directory = TempDir::new().expect("a directory");
            let store = open(directory.path());
            let heads = Heads::make(3).await;
            let mut world =
                World { directory, store, heads, map: BTreeMap::new(), version: 0, may_miss: false };
            for step in steps {
                world.take(step).await;
            }
            for k in 0..8 {
                world.look(k).await;
            }
            settled(&world.store).await;
            for k in 0..8 {
                world.look(k).await;
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_one_after_the_other() {
    let directory = TempDir::new().expect("a directory");
    let store = open(directory.path());
    let heads = Heads::make(1).await.remove(0);
    let tasks: Vec<_> = (0..8_u64)
        .map(|task| {
            let (store, head) = (store.clone(), heads.first.clone());
            tokio::spawn(async move {
                let mut dice = Dice(task);
                for version in 0..100 {
                    let k = dice.roll(4);
                    if dice.roll(4) == 0 {
                        store.delete(&key(k)).await.expect("delete must not fail");
                        continue;
                    }
                    let bytes = content(k, version * 8 + task, dice.length());
                    store.put(&key(k), response(&head, bytes)).await.expect("put must not fail");
                    if let Some(got) = store.get(&key(k)).await.expect("get must not fail") {
                        let bytes = read(&got.content).await.expect("content is whole");
                        assert!(version_of(k, &bytes).is_some(), "content is of the key");
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("all goes well");
    }
    settled(&store).await;
    assert_eq!(store.stats().damaged, 0);
}
