//! Which behaviour a request falls under.
//!
//! The input: a line for each of three behaviours, a byte for its host and then the pattern of its path; a byte for the host of the request, a line for its path.
#![no_main]
use http::{HeaderMap, Uri};
use libfuzzer_sys::fuzz_target;
use tower_cdn::{Behaviour, Distribution, fuzzing};
use tower_cdn_fuzz::{Input, linear};

const HOSTS: [Option<&str>; 6] =
    [None, Some("a.test"), Some("*.a.test"), Some("b.a.test"), Some("*.b.a.test"), Some("[::1]")];

fuzz_target!(|input: &[u8]| {
    let mut input = Input::new(input);
    let rules: [(Option<&str>, &str); 3] =
        std::array::from_fn(|_| (input.pick(&HOSTS), input.text()));
    let names = ["a.test", "b.a.test", "c.b.a.test", "A.TEST.:80", "[::1]:8", "xa.test"];
    let (name, path) = (input.pick(&names), input.text());
    let Ok(uri) = format!("http://{name}/{path}").parse::<Uri>() else { return };

    let mut builder = Distribution::builder(Behaviour::dynamic());
    for (host, pattern) in rules {
        let behaviour = Behaviour::dynamic();
        let behaviour = match host {
            Some(host) => behaviour.host(host),
            None => behaviour,
        };
        builder = builder.behaviour(pattern, behaviour);
    }
    let matches: Vec<bool> = rules
        .iter()
        .map(|(host, pattern)| {
            let slash = if pattern.starts_with('/') { "" } else { "/" };
            let pattern = format!("{slash}{pattern}");
            is_of(*host, name) && is_match(pattern.as_bytes(), uri.path().as_bytes())
        })
        .collect();
    let are_patterns = rules.iter().all(|(_, pattern)| is_pattern(pattern));
    match builder.build() {
        Ok(distribution) => {
            assert!(are_patterns, "{rules:?}");
            let first = matches.iter().position(|matches| *matches);
            let route = |uri: &Uri| fuzzing::route(&distribution, uri, &HeaderMap::new());
            assert_eq!(route(&uri), first, "{rules:?} {uri}");
            linear(path.as_bytes(), |text| {
                let text = String::from_utf8_lossy(text);
                _ = format!("http://{name}/{text}").parse().map(|uri| route(&uri));
            });
        }
        Err(error) if error.is_hidden() => {
            // Whatever the one that is hidden matches, an earlier one matches as well.
            let hides =
                |later: usize| !matches[later] || matches[..later].iter().any(|earlier| *earlier);
            assert!(hides(1) || hides(2), "{error}: {rules:?} {uri}");
        }
        Err(error) => assert!(!are_patterns, "{error}: {rules:?}"),
    }
});

fn is_pattern(text: &str) -> bool {
    (1..=1024).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

/// Row by row of the table of what the first bytes of the one match of the other.
fn is_match(pattern: &[u8], path: &[u8]) -> bool {
    let mut row: Vec<bool> = vec![false; path.len() + 1];
    row[0] = true;
    for wanted in pattern {
        let mut next = vec![false; path.len() + 1];
        for at in 0..=path.len() {
            next[at] = match wanted {
                b'*' => row[at] || at > 0 && next[at - 1],
                wanted => at > 0 && row[at - 1] && (*wanted == b'?' || *wanted == path[at - 1]),
            };
        }
        row = next;
    }
    row[path.len()]
}

fn is_of(wanted: Option<&str>, name: &str) -> bool {
    let name = match name {
        "A.TEST.:80" => "a.test",
        "[::1]:8" => "[::1]",
        name => name,
    };
    match wanted {
        None => true,
        Some(wanted) => match wanted.strip_prefix('*') {
            Some(domain) => name.ends_with(domain),
            None => name == wanted,
        },
    }
}
