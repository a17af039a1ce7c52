//! `--config FILE.toml`: a plan from a file.
//!
//! Reading goes on behind a mistake, so that all are told at once, each with its line. What the
//! messages quote are names and single values of known keys, never a line of the file.

mod behaviours;
mod groups;
mod keys;
mod mistakes;
mod names;
mod nearest;
mod origins;
mod policies;
mod section;
mod stores;
mod tiers;
mod value;

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tower_cdn::Behaviour;

pub(crate) use self::mistakes::Mistake;
use self::mistakes::Mistakes;
use self::names::Names;
use self::section::Section;
use crate::args::{self, MAX_WORKERS};
use crate::plan::{CLIENT_TIMEOUT, Fixed, LISTEN, Lines, Marks, Plan, Rules};

/// More is no file that somebody has written.
const MAX_BYTES: u64 = 4 << 20;

/// What a file says, and where it says what cannot change while the program runs.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) plan: Plan,
    pub(crate) lines: Lines,
    /// What there is of everything, for people.
    pub(crate) summary: String,
}

/// What the command line says beside the file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) log: bool,
}

/// Reads a file.
///
/// # Errors
/// All mistakes, each as a line of text that begins with file and line.
pub(crate) fn load(
    file: &Path,
    overrides: Overrides,
    marks: &Marks,
) -> Result<Loaded, Vec<String>> {
    let name = file.display();
    let text = read_text(file).map_err(|error| vec![format!("{name}: {error}")])?;
    read(&text, overrides, marks).map_err(|mistakes| {
        let told = |Mistake { line, reason }| format!("{name}:{line}: {reason}");
        mistakes.into_iter().map(told).collect()
    })
}

fn read_text(file: &Path) -> Result<String, String> {
    let length = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if length > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes"));
    }
    let bytes = fs::read(file).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

fn read(text: &str, overrides: Overrides, marks: &Marks) -> Result<Loaded, Vec<Mistake>> {
    let mistakes = Mistakes::of(text);
    let loaded = read_all(text, overrides, marks, &mistakes);
    match loaded.filter(|_| mistakes.is_empty()) {
        Some(loaded) => Ok(loaded),
        None => Err(mistakes.into_list()),
    }
}

/// `None` only beside mistakes.
fn read_all(
    text: &str,
    overrides: Overrides,
    marks: &Marks,
    mistakes: &Mistakes,
) -> Option<Loaded> {
    let table = section::parse(text, mistakes);
    let mut file = Section::file(table.get_ref(), mistakes);
    let lines = Lines {
        listen: file.line_of("listen"),
        workers: file.line_of("workers"),
        client_timeout: file.line_of("client_timeout"),
        store: file.line_of("store"),
        admin: file.line_of("admin"),
        regional: file.line_of("regional"),
    };
    let listen = file.get("listen").and_then(|value| value.parsed(args::listen));
    let listen = overrides.listen.or(listen).unwrap_or_else(|| LISTEN.into());
    let workers = file.get("workers").and_then(|value| value.count(1, MAX_WORKERS as u64));
    let workers = workers.and_then(|number| usize::try_from(number).ok());
    let client_timeout = file.get("client_timeout");
    let client_timeout = client_timeout.and_then(|value| value.parsed(args::client_timeout));
    let client_timeout = client_timeout.unwrap_or(CLIENT_TIMEOUT);
    let log = file.flag("log").unwrap_or(false) || overrides.log;
    let store = file.table("store", stores::read).unwrap_or_else(stores::usual);

    let mut policies = Names::new("policy");
    for (name, policy) in file.named("policies", |name, section| (name, policies::read(section))) {
        policies.add(&name, policy, mistakes);
    }
    let mut keys = Names::new("key policy");
    for (name, policy) in file.named("keys", |name, section| (name, keys::read(section))) {
        keys.add(&name, policy, mistakes);
    }

    let mut names = Names::new("origin or group");
    let servers = file.named("origins", |name, section| {
        names.add(&name, (), mistakes);
        origins::read(&name, section)
    });
    let groups = file.named("groups", |name, section| {
        names.add(&name, (), mistakes);
        groups::read(name, section, &keys)
    });
    let groups = groups::sound(groups, &names, mistakes);
    if !file.has("origins") {
        mistakes.add(1, "there is no origin: `[origins.NAME]` is missing");
    }

    let regional = file.table("regional", |section| tiers::regional(section, &names));
    let admin = file.table("admin", tiers::admin).unwrap_or_default();
    if let Some((line, reason)) = admin.fault(regional.as_ref()) {
        mistakes.add(line, reason);
    }

    let mark = |policy| marks.mark(policy, log);
    let named =
        behaviours::Named { sources: &names, policies: &policies, keys: &keys, mark: &mark };
    let default = file.table("default", |section| behaviours::default(section, &named));
    if !file.has("default") {
        mistakes.add(1, "there is no default behaviour: `[default]` is missing");
    }
    let (default, origin) =
        default.unwrap_or_else(|| (Behaviour::new(mark(Default::default())), None));
    let pathed = file
        .tables("behaviours", |section| behaviours::behaviour(section, &named, origin.as_deref()));
    let pages = file.tables("error_pages", behaviours::error_page);
    let mut summary = String::new();
    for (count, what) in [
        (servers.len(), "origin"),
        (groups.len(), "group"),
        (pathed.len() + 1, "behaviour"),
        (pages.len(), "error page"),
    ] {
        let plural = if count == 1 { "" } else { "s" };
        let comma = if summary.is_empty() { "" } else { ", " };
        // A text takes whatever is written.
        let _ = write!(summary, "{comma}{count} {what}{plural}");
    }
    file.end();
    let pathed = pathed.into_iter().flatten().collect();
    let pages = pages.into_iter().flatten().collect();
    let distribution = behaviours::distribution(default, pathed, pages, mistakes)?;
    let (regional, regional_admin) = match regional {
        Some(regional) => (regional.plan, regional.admin),
        None => (None, Vec::new()),
    };
    let (admin, admin_token) = (admin.listen, admin.token_file);
    let plan = Plan {
        fixed: Fixed { listen, workers, client_timeout, store, admin, admin_token, regional_admin },
        log,
        sources: servers.into_iter().flatten().chain(groups).collect(),
        regional,
        rules: Rules::Distribution(Box::new(distribution)),
    };
    Some(Loaded { plan, lines, summary })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/edge-config.md");

    /// Every table that there is, so that every key is asked for.
    const TABLES: &str = "
        [store]
        [admin]
        [regional]
        [origins.server]
        [origins.bucket]
        bucket = 'b'
        [groups.g]
        check = {}
        [policies.p]
        heuristic = {}
        error_ttl_of = [{}]
        [keys.k]
        [default]
        [[behaviours]]
        [[error_pages]]
    ";

    #[test]
    fn the_page_tells_of_every_key_and_of_no_other() {
        let mistakes = Mistakes::of(TABLES);
        read_all(TABLES, Overrides::default(), &Marks::new(), &mistakes);
        let keys = mistakes.keys();
        assert!(keys.len() > 80, "{keys:?}");
        for key in &keys {
            assert!(PAGE.contains(&format!("`{key}`")), "{key}");
        }
        let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
        for row in rows {
            let column = row.split(" | ").next().unwrap_or_default();
            for key in column.split(", ").map(|key| key.trim_matches('`')) {
                assert!(keys.contains(key), "{key}");
            }
        }
    }

    #[test]
    fn nothing_said_is_what_the_page_tells() {
        let text = "[origins.a]\nurl = 'http://a'\n[default]\norigin = 'a'\n";
        let plan = read(text, Overrides::default(), &Marks::new()).expect("a plan").plan;
        assert_eq!(plan.fixed.listen.to_string(), "127.0.0.1:8080");
        assert_eq!((plan.fixed.workers, plan.log), (None, false));
        assert_eq!(plan.fixed.client_timeout.as_secs(), 60);
        assert_eq!((plan.fixed.store.memory, plan.fixed.store.disk), (Some(256 << 20), None));
        let [source] = plan.sources.as_slice() else { panic!("{:?}", plan.sources) };
        let crate::plan::Source::Origin(origin) = &source.plan else { panic!("{source:?}") };
        let limits = &origin.limits;
        let times = [limits.connect, limits.first_byte, limits.idle].map(|time| time.as_secs());
        assert_eq!(times, [10, 30, 4]);
        assert_eq!(limits.between_bytes.map(|time| time.as_secs()), Some(30));
        assert_eq!((limits.max_idle, limits.max_connections), (256, Some(1024)));
        assert_eq!(origin.host, crate::plan::Host::Client);
    }

    proptest::proptest! {
        /// Whatever becomes of a good file: it is read, or its mistakes are told.
        #[test]
        fn no_file_makes_it_panic(at in 0..EXAMPLE.len(), length in 0_usize..40, new in ".{0,12}") {
            let end = EXAMPLE.len().min(at + length);
            if let (Some(before), Some(behind)) = (EXAMPLE.get(..at), EXAMPLE.get(end..)) {
                let text = format!("{before}{new}{behind}");
                let read = read(&text, Overrides::default(), &Marks::new());
                if let Err(mistakes) = read {
                    proptest::prop_assert!(!mistakes.is_empty(), "{}", text);
                    let last = text.lines().count().max(1);
                    proptest::prop_assert!(mistakes.iter().all(|m| (1..=last + 1).contains(&m.line)));
                }
            }
        }
    }

    const EXAMPLE: &str = include_str!("../site.toml");

    #[test]
    fn the_command_line_says_where_to_listen() {
        let text =
            "listen = '127.0.0.1:1'\n[origins.a]\nurl = 'http://a'\n[default]\norigin = 'a'\n";
        let overrides = Overrides { listen: Some(([127, 0, 0, 1], 2).into()), log: true };
        let loaded = read(text, overrides, &Marks::new()).expect("a plan");
        assert_eq!((loaded.plan.fixed.listen.port(), loaded.plan.log), (2, true));
        assert_eq!(loaded.lines.listen, Some(1));
    }
}
