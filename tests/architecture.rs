//! A floor imports from floors below it, never from above.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// From the bottom up; modules of one floor may import each other, but those of the first.
const FLOORS: [&[&str]; 5] = [
    &["semantics"],
    &["stored", "key", "policy", "clock", "error", "body", "sync", "distribution"],
    &["store", "invalidation"],
    &["engine"],
    &["layer", "handle", "service", "error_page", "fuzzing", "origins"],
];

/// Of the crate, `origins` may name these: it stands where an origin stands, and knows nothing of the cache in front. Of `policy` it is what an inner service may say.
const BESIDE_THE_CACHE: [&str; 7] =
    ["origins", "distribution", "key", "clock", "error", "semantics", "policy"];

/// The crates that the pure floor may name.
const PURE: [&str; 7] = ["std", "http", "httpdate", "bytes", "sfv", "super", "crate"];

#[test]
fn floors_import_only_downward() {
    let sources = sources();
    assert!(sources.len() > 20, "the sources are found");
    let exports = exports(&sources["lib.rs"]);
    let (mut wrong, mut edges) = (BTreeSet::new(), 0);
    for (file, text) in sources.iter().filter(|(file, _)| *file != "lib.rs") {
        let module = module(file);
        let Some(floor) = floor(&module[0]) else {
            wrong.insert(format!("{file} is on no floor"));
            continue;
        };
        for path in paths(text, &module) {
            edges += 1;
            let first = &path[0];
            let imported = exports.get(first).unwrap_or(first);
            match self::floor(imported) {
                None => wrong.insert(format!("{file} imports {} from no floor", path.join("::"))),
                Some(below) if below > floor => {
                    wrong.insert(format!("{file} imports {} from above", path.join("::")))
                }
                Some(_) => false,
            };
        }
    }
    assert!(edges > 100, "the imports are found: {edges}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn semantics_is_pure() {
    let sources = sources();
    for (file, text) in sources.iter().filter(|(file, _)| file.starts_with("semantics")) {
        let lines = text.lines().map(str::trim_start);
        for line in lines.map(|line| line.trim_start_matches("pub(crate) ")) {
            let Some(used) = line.strip_prefix("use ") else { continue };
            let root: String = used.chars().take_while(|c| is_word(*c)).collect();
            let is_own = text.contains(&format!("macro_rules! {root}"));
            assert!(PURE.contains(&root.as_str()) || is_own, "{file} uses {root}");
        }
        for word in ["async ", ".await", "Instant", "tracing", "tokio"] {
            assert!(!text.contains(word), "{file} has {word:?}");
        }
    }
}

#[test]
fn origins_know_nothing_of_the_cache() {
    let sources = sources();
    let exports = exports(&sources["lib.rs"]);
    for (file, text) in sources.iter().filter(|(file, _)| file.starts_with("origins/")) {
        for path in paths(text, &module(file)) {
            let imported = exports.get(&path[0]).unwrap_or(&path[0]);
            assert!(BESIDE_THE_CACHE.contains(&imported.as_str()), "{file} imports {imported}");
        }
    }
}

#[test]
fn nothing_below_the_engine_spawns() {
    for (file, text) in sources() {
        // A disk blocks: what waits for it runs on threads that may, and only this file can start any.
        if file == "store/disk/blocking.rs" {
            continue;
        }
        if floor(&module(&file)[0]).is_some_and(|floor| floor < 3) {
            assert!(!text.contains("spawn"), "{file} spawns");
        }
    }
}

#[test]
fn the_reader_of_paths_reads_paths() {
    let module = |file| self::module(file);
    let read = |text: &str, file| {
        let mut paths: Vec<_> = paths(text, &module(file)).iter().map(|p| p.join("::")).collect();
        paths.sort();
        paths
    };
    let text = "use crate::{A, b::{self, C as D, e::*}};\nfn f(x: crate::g::H) { super::i::j() }";
    assert_eq!(read(text, "engine/x.rs"), ["A", "b", "b::C", "b::e", "engine::i::j", "g::H"]);
    assert_eq!(read("use super::a; use super::super::b;", "engine/x.rs"), ["b", "engine::a"]);
    assert_eq!(read("use super::A;", "store/mod.rs"), ["A"]);
    assert_eq!(read("use super::A;", "layer.rs"), ["A"]);
    let none: [&str; 0] = [];
    assert_eq!(
        read(&code("// crate::a\n/// [crate::b]\n#[cfg(test)]\nuse crate::c;"), "layer.rs"),
        none
    );
}

/// All files below `src`, without comments and tests.
fn sources() -> BTreeMap<String, String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    let texts: Vec<_> =
        found.iter().map(|path| fs::read_to_string(path).expect("a file")).collect();
    found.retain(|path| {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let is_test = |cfg: &str| texts.iter().any(|t| t.contains(&format!("{cfg}\nmod {stem};")));
        !is_test("#[cfg(test)]") && !is_test("#[cfg(all(test, tower_cdn_loom))]")
    });
    let name = |path: &Path| {
        path.strip_prefix(&root).expect("below").to_str().expect("text").replace('\\', "/")
    };
    found
        .iter()
        .map(|path| (name(path), code(&fs::read_to_string(path).expect("a file"))))
        .collect()
}

/// Without comments, and without what follows the first `#[cfg(test)]`: tests stand last.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\n").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// `engine/fetch.rs` is `engine::fetch`, `engine/mod.rs` is `engine`.
fn module(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// What the root re-exports, and from where.
fn exports(lib: &str) -> BTreeMap<String, String> {
    let mut exports = BTreeMap::new();
    for (at, word) in lib.match_indices("pub use ") {
        for path in tree(&lib[at + word.len()..]).0 {
            if let (Some(first), Some(last)) = (path.first(), path.last()) {
                exports.insert(last.clone(), first.clone());
            }
        }
    }
    exports
}

/// All paths within the crate that the text names, from the root of the crate.
fn paths(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in text.match_indices(start) {
            if text[..at].ends_with(|c: char| is_word(c) || c == ':' || c == '$') {
                continue;
            }
            let mut base = if start == "crate::" { &[][..] } else { &module[..module.len() - 1] };
            let mut rest = &text[at + start.len()..];
            while let Some(further) = rest.strip_prefix("super::") {
                base = &base[..base.len() - 1];
                rest = further;
            }
            found.extend(tree(rest).0.into_iter().map(|path| [base, &path].concat()));
        }
    }
    found.retain(|path| !path.is_empty());
    found
}

/// A tree of paths as after `use`, and what follows it.
fn tree(text: &str) -> (Vec<Vec<String>>, &str) {
    let mut prefix = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(mut inner) = rest.strip_prefix('{') {
            let mut paths = Vec::new();
            loop {
                inner = inner.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
                if let Some(after) = inner.strip_prefix('}') {
                    return (paths, after);
                }
                let (branches, after) = tree(inner);
                assert!(after.len() < inner.len(), "a tree of paths: {text:.60}");
                paths.extend(branches.into_iter().map(|branch| [&prefix[..], &branch].concat()));
                inner = after;
            }
        }
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if !word.is_empty() && word != "self" {
            prefix.push(word.to_owned());
        }
        match after.strip_prefix("::") {
            Some(further) => rest = further,
            None => {
                let after = after.strip_prefix('*').unwrap_or(after);
                let renamed = after.trim_start().strip_prefix("as ").map(str::trim_start);
                let after = renamed.map_or(after, |name| name.trim_start_matches(is_word));
                return (vec![prefix], after);
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// An example has no test program of its own, so that tests in a file that `tests/edge.rs` does not name would never run.
#[test]
fn the_tests_of_edge_are_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file));
    let (program, named) = (read("examples/edge/main.rs"), read("tests/edge.rs"));
    let (program, named) = (program.expect("the program"), named.expect("its tests"));
    let mut found = 0;
    for module in program.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')) {
        // A folder names its own files.
        let folder = format!("examples/edge/{module}/mod.rs");
        let (name, has_tests) = match read(&format!("examples/edge/{module}.rs")) {
            Ok(text) => (format!("examples/edge/{module}.rs"), text.contains("#[cfg(test)]")),
            Err(_) => (folder, true),
        };
        if has_tests {
            assert!(named.contains(&format!("\"../{name}\"")), "{name} is not in tests/edge.rs");
            found += 1;
        }
    }
    assert!(found > 10, "the tests are found: {found}");
}
