//! Paths and references: what a response names beside its target (RFC 3986 section 5.2), and names of files that deceive.
//!
//! The input: a line for path and query of the target, a line for a reference, a line for a path, and the fields of a response.
#![no_main]
use http::{HeaderMap, HeaderValue, Uri, header};
use libfuzzer_sys::fuzz_target;
use tower_cdn::{KeyPolicy, fuzzing};
use tower_cdn_fuzz::{Input, linear};

fuzz_target!(|input: &[u8]| {
    let mut input = Input::new(input);
    let origins = [
        "http://a.test",
        "https://a.test",
        "http://A.test:81",
        "http://a.test:80",
        "http://[::1]:8",
    ];
    let origin = input.pick(&origins);
    let (target, reference, path) = (input.text(), input.text(), input.text());
    let response = input.fields();
    if let Ok(base) = format!("{origin}/{target}").parse::<Uri>() {
        resolving(&base, reference);
        named(&base, &response);
    }
    if let Ok(path) = format!("/{path}").parse::<Uri>() {
        deception(path.path(), &response);
    }
    linear(reference.as_bytes(), |text| {
        let text = String::from_utf8_lossy(text);
        _ = fuzzing::resolve(&Uri::from_static("http://a.test/a/b"), &text);
        _ = fuzzing::contradicts(&text, &response);
    });
});

/// Scheme, host and port, as they are meant.
fn origin(uri: &Uri) -> Option<(String, String, u16)> {
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let default = if scheme == "https" { 443 } else { 80 };
    let host = uri.host()?.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host).to_owned();
    Some((scheme, host, uri.port_u16().unwrap_or(default)))
}

fn has_dots(path: &str) -> bool {
    path.split('/').any(|segment| matches!(segment, "." | ".."))
}

fn resolving(base: &Uri, reference: &str) {
    let resolved = fuzzing::resolve(base, reference);
    if let Some(uri) = &resolved {
        assert_eq!(origin(uri), origin(base), "{base} and {reference}: never another origin");
        let is_same = reference.split('#').next() == Some("");
        assert!(is_same || !has_dots(uri.path()), "{uri}");
        let again = fuzzing::resolve(base, &uri.to_string());
        assert!(is_same || again.as_ref() == Some(uri), "{uri} is absolute: {again:?}");
    }
    // The letter of the RFC, for a target in its normal form and a reference of characters that may stand in one.
    let text = reference.split('#').next().unwrap_or_default();
    if has_dots(base.path()) || format!("http://a.test/{text}").parse::<Uri>().is_err() {
        return;
    }
    let naive = naive_resolve(base, reference).and_then(|text| text.parse::<Uri>().ok());
    if let Some(naive) = naive.filter(|naive| origin(naive) == origin(base)) {
        assert_eq!(resolved, Some(naive), "{base} and {reference:?}");
    }
}

/// RFC 3986 sections 5.2.2 and 5.3, and the regular expression of appendix B by hand.
fn naive_resolve(base: &Uri, reference: &str) -> Option<String> {
    let text = reference.split('#').next()?;
    let (text, query) = match text.split_once('?') {
        Some((text, query)) => (text, Some(query)),
        None => (text, None),
    };
    let scheme_end = text.find([':', '/']).filter(|at| *at > 0 && text.as_bytes()[*at] == b':');
    let (scheme, text) = match scheme_end {
        Some(at) => (Some(&text[..at]), &text[at + 1..]),
        None => (None, text),
    };
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    };
    if scheme.is_some_and(|scheme| !is_scheme(scheme)) {
        return None;
    }
    let (authority, path) = match text.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
        None => (None, text),
    };
    let own = base.authority()?.as_str();
    let mut query = query;
    let (authority, path) = match (scheme, authority) {
        (Some(_), None) => return None,
        (_, Some(authority)) => (authority, without_dots(path)),
        (None, None) if path.is_empty() => {
            query = query.or(base.query());
            (own, base.path().to_owned())
        }
        (None, None) if path.starts_with('/') => (own, without_dots(path)),
        (None, None) => {
            let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            (own, without_dots(&format!("{folder}/{path}")))
        }
    };
    // RFC 9110 section 4.2.3.
    let path = if path.is_empty() { "/" } else { &path };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Some(format!("{}://{authority}{path}{query}", scheme.or(base.scheme_str())?))
}

/// RFC 3986 section 5.2.4, step by step.
fn without_dots(path: &str) -> String {
    let (mut input, mut output) = (path.to_owned(), String::new());
    while !input.is_empty() {
        if input.starts_with("/./") || input == "/." {
            input = format!("/{}", input.get(3..).unwrap_or_default());
        } else if input.starts_with("/../") || input == "/.." {
            input = format!("/{}", input.get(4..).unwrap_or_default());
            output.truncate(output.rfind('/').unwrap_or(0));
        } else {
            let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
            output.push_str(&input[..end]);
            input.drain(..end);
        }
    }
    output
}

fn named(base: &Uri, response: &HeaderMap) {
    let policy = KeyPolicy::default();
    let own = fuzzing::key_of_uri(&policy, base).expect("an absolute target has a key");
    for uri in fuzzing::named_uris(base, response) {
        assert_eq!(origin(&uri), origin(base));
        if let Some(key) = fuzzing::key_of_uri(&policy, &uri) {
            assert_eq!(fuzzing::group(&key, "a"), fuzzing::group(&own, "a"), "one origin");
        }
    }
    if fuzzing::is_content_of(base, response) {
        let named = response.get(header::CONTENT_LOCATION).expect("it says so");
        let named = fuzzing::resolve(base, named.to_str().expect("text")).expect("of this origin");
        assert_eq!(fuzzing::key_of_uri(&policy, &named), Some(own), "{base} and {named}");
    }
    let mut response = HeaderMap::new();
    response.insert(header::CONTENT_LOCATION, HeaderValue::from_static(""));
    assert!(fuzzing::is_content_of(base, &response));
}

/// However a name is written that an application or a client may take for that of a static file.
fn deception(path: &str, response: &HeaderMap) {
    let mut typeless = response.clone();
    typeless.remove(header::CONTENT_TYPE);
    let (with, without) =
        (fuzzing::contradicts(path, response), fuzzing::contradicts(path, &typeless));
    assert!(without || !with, "no type is all types but the right one");
    assert!(!without || path.contains(['.', '%']));
    let mut bytes = typeless.clone();
    bytes.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    assert!(!fuzzing::contradicts(path, &bytes));

    let file = path.rsplit('/').next().unwrap_or_default();
    for path in [
        file.to_owned(),
        format!("/x.css/{file}"),
        path.to_ascii_uppercase(),
        path.to_ascii_lowercase(),
    ] {
        assert_eq!(fuzzing::contradicts(&path, response), with, "{path}");
        assert_eq!(fuzzing::contradicts(&path, &typeless), without, "{path}");
    }
    if !file.contains('%') {
        let coded = |c: char| {
            if c.is_ascii() { format!("%{:02X}", u32::from(c)) } else { c.to_string() }
        };
        let coded: String = file.chars().map(coded).collect();
        assert_eq!(fuzzing::contradicts(&coded, response), with, "{coded} is {file}");
    }
    // What stands before a delimiter, or behind it, is a name as well.
    for delimiter in [";", "%00", "%2f", "%0a", "!"] {
        for path in [format!("/x{delimiter}{file}"), format!("{path}{delimiter}x")] {
            assert!(!without || fuzzing::contradicts(&path, &typeless), "{path}");
        }
    }
}
