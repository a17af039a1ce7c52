use super::*;
use proptest::prelude::*;
use redb::{Database, ReadableDatabase, Table, TableDefinition};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicI64, Ordering},
};

proptest! {
    #[test]
    fn what_is_read_is_what_was_written_or_an_error(
        writes in prop::collection::vec((1_u64..6, 1_usize..3, any::<u8>()), 1..12),
        in_sums: bool, at: prop::sample::Index, bit in 0_u8..8,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["index", "sums"].map(|name| directory.path().join(name));
        let open = || Pages::open(&paths[0], &paths[1], false);
        let pages = open().unwrap();
        pages.set_len(8 * PAGE as u64).unwrap();
        let mut model = [None; 8];
        pages.write(0, &[7; 320]).unwrap();
        for (page, count, byte) in writes {
            pages.write(page * PAGE as u64, &vec![byte; count * PAGE]).unwrap();
            model[page as usize..page as usize + count].fill(Some(byte));
        }
        let read = |pages: &Pages, page: usize| {
            let mut out = vec![0; PAGE];
            pages.read((page * PAGE) as u64, &mut out).map(|()| out)
        };
        let check = |pages: &Pages, is_damaged: bool| {
            for (page, byte) in model.iter().enumerate().skip(1) {
                match (read(pages, page), byte) {
                    (Ok(out), Some(byte)) => assert!(out.iter().all(|b| b == byte)),
                    (Ok(_), None) => panic!("nothing was written"),
                    (Err(_), byte) => assert!(is_damaged || byte.is_none()),
                }
            }
        };
        check(&pages, false);
        pages.write(0, &[8; 320]).unwrap();
        pages.sync_data().unwrap();
        drop(pages);
        let pages = open().unwrap();
        check(&pages, false);
        let mut header = vec![0; 320];
        pages.read(0, &mut header).unwrap();
        prop_assert_eq!(header, vec![8; 320]);
        drop(pages);
        let path = &paths[usize::from(in_sums)];
        let mut bytes = std::fs::read(path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        std::fs::write(path, bytes).unwrap();
        if let Ok(pages) = open() {
            check(&pages, true);
        }
    }
}

#[test]
fn a_header_that_was_not_yet_written_is_right() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["index", "sums"].map(|name| directory.path().join(name));
    let pages = Pages::open(&paths[0], &paths[1], false).unwrap();
    pages.set_len(PAGE as u64).unwrap();
    let write = |byte: u8| {
        pages.write(0, &[byte; 320]).unwrap();
        pages.sync_data().unwrap();
    };
    write(1);
    let before = std::fs::read(&paths[0]).unwrap();
    write(2);
    std::fs::write(&paths[0], before).unwrap();
    assert!(Pages::open(&paths[0], &paths[1], false).is_ok(), "killed in between");
    std::fs::write(&paths[0], vec![1; PAGE]).unwrap();
    assert!(Pages::open(&paths[0], &paths[1], false).is_err());
}

#[test]
fn the_header_comes_after_all_pages() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["index", "sums"].map(|name| directory.path().join(name));
    let pages = Pages::open(&paths[0], &paths[1], false).unwrap();
    pages.set_len(2 * PAGE as u64).unwrap();
    pages.write(0, &[1; 320]).unwrap();
    pages.write(PAGE as u64, &[1; PAGE]).unwrap();
    assert_eq!(std::fs::read(&paths[0]).unwrap()[0], 0, "it refers to what is not there yet");
    let mut header = [0; 320];
    pages.read(0, &mut header).unwrap();
    assert_eq!(header, [1; 320], "but is what was written");
    pages.sync_data().unwrap();
    assert_eq!(std::fs::read(&paths[0]).unwrap()[0], 1);
}

/// Does half of a step after so many, and then no more, as if the process had been killed.
#[derive(Debug)]
struct Killed {
    pages: Pages,
    left: AtomicI64,
}

impl Killed {
    fn step(&self, half: impl FnOnce()) -> io::Result<()> {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            1.. => return Ok(()),
            0 => half(),
            _ => {}
        }
        Err(io::Error::other("killed"))
    }
}

impl StorageBackend for Killed {
    fn len(&self) -> io::Result<u64> {
        self.pages.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.pages.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.step(|| {})?;
        self.pages.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.step(|| {})?;
        self.pages.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.step(|| {
            if offset >= PAGE as u64 {
                self.pages.file.write_all_at(data, offset).unwrap();
            }
        })?;
        self.pages.write(offset, data)
    }
}

const ROWS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rows");

fn commit(database: &Database, change: impl FnOnce(&mut Table<'_, u64, &'static [u8]>)) {
    let mut transaction = database.begin_write().unwrap();
    transaction.set_quick_repair(true);
    change(&mut transaction.open_table(ROWS).unwrap());
    transaction.commit().unwrap();
}

/// Half of the rows go, and the file becomes smaller.
fn shrink(database: &mut Database) {
    commit(database, |rows| rows.retain(|row, _| row % 2 == 0).unwrap());
    database.compact().unwrap();
    commit(database, |rows| drop(rows.insert(1_000, &[2; 3_000][..]).unwrap()));
}

#[test]
fn whenever_it_is_killed_redb_finds_a_commit() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["index", "sums"].map(|name| directory.path().join(name));
    let pages = || Pages::open(&paths[0], &paths[1], false).unwrap();
    let database = Database::builder().create_with_backend(pages()).unwrap();
    commit(&database, |rows| {
        for row in 0..80 {
            rows.insert(row, &[1; 3_000][..]).unwrap();
        }
    });
    drop(database);
    let before = [&paths[0], &paths[1]].map(|path| std::fs::read(path).unwrap());
    for steps in 0.. {
        for (path, bytes) in paths.iter().zip(&before) {
            std::fs::write(path, bytes).unwrap();
        }
        let killed = Killed { pages: pages(), left: AtomicI64::new(steps) };
        let work = AssertUnwindSafe(|| {
            let mut database = Database::builder().create_with_backend(killed).unwrap();
            shrink(&mut database);
        });
        let was_killed = catch_unwind(work).is_err();
        let database = Database::builder().create_with_backend(pages());
        let database = database.unwrap_or_else(|error| panic!("{steps} steps: {error:?}"));
        let transaction = database.begin_read().unwrap();
        let rows = transaction.open_table(ROWS).unwrap();
        let kept = (0..80).filter(|row| rows.get(row).unwrap().is_some()).count();
        assert!(kept == 80 || kept == 40, "{steps} steps: {kept}");
        if !was_killed {
            return;
        }
    }
}
