//! What the documents name is there.
use std::{collections::BTreeSet, fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
}

/// What stands in backticks, outside of blocks of code.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Names as `file::test`: below `tests`, or with `src/` in front beside the code.
fn tests(text: &str) -> Vec<(&str, &str)> {
    let names = code(text).into_iter().filter_map(|code| code.rsplit_once("::"));
    let is_file = |file: &str| {
        !file.is_empty()
            && file.bytes().all(|b| b.is_ascii_lowercase() || b"0123456789_/".contains(&b))
    };
    let is_test = |name: &str| name.starts_with(|c: char| c.is_ascii_lowercase());
    let is_named =
        |file: &str, test: &str| is_file(file) && is_test(test) && !NOT_OURS.contains(&file);
    names.filter(|(file, test)| is_named(file, test)).collect()
}

/// What looks like the name of a file with tests.
const NOT_OURS: [&str; 2] = ["file", "tower_http"];

fn assert_tests_exist(text: &str, at_least: usize) {
    let named = tests(text);
    assert!(named.len() > at_least, "the names are found: {}", named.len());
    for (file, test) in named {
        let path = if file.starts_with("src/") {
            format!("{file}.rs")
        } else {
            format!("tests/{file}.rs")
        };
        assert!(read(&path).contains(&format!("fn {test}(")), "{file}::{test} is no test");
    }
}

/// All sources, without comments.
fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(path).expect("a file");
            let lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
            lines.for_each(|line| all.extend([line, "\n"]));
        }
    }
}

/// `Type`, `Type::function` and `Type::Variant`.
fn assert_types_exist(text: &str, at_least: usize) {
    let mut all = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let words: BTreeSet<&str> =
        all.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let names = code(text).into_iter().filter(|code| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
        code.starts_with(|c: char| c.is_ascii_uppercase())
            && code.chars().all(is_word)
            && code.contains(|c: char| c.is_ascii_lowercase())
            && !OF_HTTP.contains(code)
    });
    let names: BTreeSet<&str> = names.collect();
    assert!(names.len() > at_least, "the names are found: {}", names.len());
    for name in names {
        let (kind, item) =
            name.split_once("::").map_or((name, None), |(kind, item)| (kind, Some(item)));
        let is_type = ["struct", "enum", "trait"].iter().any(|word| {
            [" ", "<", "(", ";", ":"]
                .iter()
                .any(|end| all.contains(&format!("pub {word} {kind}{end}")))
        });
        assert!(is_type, "{name}: there is no type {kind}");
        let Some(item) = item else { continue };
        let is_there = if item.starts_with(|c: char| c.is_ascii_uppercase()) {
            words.contains(item)
        } else {
            all.contains(&format!("pub fn {item}(")) || all.contains(&format!("pub fn {item}<"))
        };
        assert!(is_there, "{name}: there is no {item}");
    }
}

/// Fields that have no hyphen.
const OF_HTTP: [&str; 8] =
    ["Age", "Authorization", "Cookie", "Expires", "Location", "Pragma", "Vary", "Via"];

/// What an operator may set.
const KNOBS: [&str; 7] = [
    "src/policy.rs",
    "src/policy/limits.rs",
    "src/key/policy.rs",
    "src/distribution/mod.rs",
    "src/origins/policy.rs",
    "src/origins/client/builder.rs",
    "src/store/disk/options.rs",
];

#[test]
fn security_names_what_is_there() {
    let text = read("docs/security.md");
    assert_tests_exist(&text, 80);
    let named: BTreeSet<&str> = code(&text).into_iter().collect();
    for path in KNOBS {
        let source = read(path);
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let functions = source
            .split("pub fn ")
            .skip(1)
            .map(|function| function.split_at(function.find(|c| !is_word(c)).unwrap_or_default()));
        // Some have their first argument in a line of its own.
        let knobs: Vec<_> = functions
            .filter(|(_, rest)| rest.trim_start_matches(['(', '\n', ' ']).starts_with("mut self"))
            .map(|(name, _)| name)
            .collect();
        assert!(knobs.len() > 4, "{path}: the knobs are found");
        for knob in knobs {
            assert!(named.contains(knob), "{path}: {knob} has no line");
        }
    }
}

#[test]
fn cloudfront_names_what_is_there() {
    let text = read("docs/cloudfront.md");
    assert_tests_exist(&text, 80);
    assert_types_exist(&text, 60);
    // What says something of ours names what shows it, or the layer that it is left to.
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let is_shown =
            cells.last().is_some_and(|last| !tests(last).is_empty() || *last == "shown by");
        let is_left = cells.len() == 2 || line.contains("Left to");
        assert!(is_shown || is_left, "nothing shows {line}");
    }
}

/// Names at the begin of lines of a section of the manifest.
fn manifest(section: &str) -> Vec<String> {
    let text = read("Cargo.toml");
    let after = text.split(&format!("[{section}]\n")).nth(1).expect("the section");
    let lines = after.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.to_owned());
    names.filter(|name| !name.starts_with('#')).collect()
}

#[test]
fn the_readme_lists_all_features_and_examples() {
    let text = read("README.md");
    for feature in manifest("features").iter().filter(|feature| *feature != "default") {
        assert!(text.contains(&format!("| `{feature}` |")), "the feature {feature} is missing");
    }
    let examples = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"));
    for entry in examples.expect("a folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("text");
        assert!(text.contains(&format!("](examples/{name})")), "the example {name} is missing");
        let stem = name.trim_end_matches(".rs");
        let run = text
            .lines()
            .any(|line| line.contains("cargo run") && line.contains(&format!("--example {stem}")));
        assert!(run, "how to run the example {name} is missing");
    }
}
