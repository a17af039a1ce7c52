//! Keys: two requests have one key if and only if they ask for the same thing, and what is forwarded is what the key speaks of.
//!
//! The input: eight bytes of policy, then two requests: a line for the target, a line for `Host` (`-` is none), and fields up to an empty line.
#![no_main]
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version, header, request::Parts};
use libfuzzer_sys::fuzz_target;
use tower_cdn::{CacheKey, Influential, KeyPolicy, Parameters, fuzzing};
use tower_cdn_fuzz::{Input, append, linear, lines, values};

fuzz_target!(|input: &[u8]| {
    let mut input = Input::new(input);
    let rules = Rules::read(&mut input);
    let policy = rules.policy();
    let requests = [read(&mut input), read(&mut input)];
    let keyed: Vec<_> = requests.iter().flatten().map(|head| one(&rules, &policy, head)).collect();
    if let [Some(one), Some(two)] = &keyed[..] {
        assert_eq!(one.0 == two.0, one.1 == two.1, "{one:?} and {two:?}");
    }
    linear(input.rest(), |text| {
        let head =
            Uri::try_from(text).ok().map(|uri| Request::get(uri).header("host", "a").body(()));
        if let Some(Ok(request)) = head {
            _ = fuzzing::key(&policy, &request.into_parts().0);
        }
        let (mut head, ()) =
            Request::get("http://a.test/").body(()).expect("a request").into_parts();
        append(&mut head.headers, &header::COOKIE, text);
        _ = fuzzing::key(&policy, &head);
    });
});

/// A `KeyPolicy` whose parts can be seen.
struct Rules {
    headers: Vec<HeaderName>,
    cookies: Vec<&'static str>,
    query: Parameters,
    sort: bool,
    influential: Influential,
    default_host: Option<&'static str>,
    https: bool,
    max_url: usize,
}

impl Rules {
    fn read(input: &mut Input<'_>) -> Self {
        let names = || vec!["a".to_owned(), "utm".to_owned(), String::new(), "b".to_owned()];
        let queries = [
            Parameters::All,
            Parameters::None,
            Parameters::Only(names()),
            Parameters::AllBut(names()),
            Parameters::Only(Vec::new()),
        ];
        let headers = [header::ACCEPT_LANGUAGE, header::COOKIE, HeaderName::from_static("x-host")];
        let cookies = ["a", "theme", ""];
        let (which_headers, which_cookies) = (input.byte(), input.byte());
        let chosen = |bits: u8, n: usize| bits & (1 << n) != 0;
        Self {
            headers: (0..3)
                .filter(|n| chosen(which_headers, *n))
                .map(|n| headers[n].clone())
                .collect(),
            cookies: (0..3).filter(|n| chosen(which_cookies, *n)).map(|n| cookies[n]).collect(),
            query: input.pick(&queries),
            sort: input.bool(),
            influential: input.pick(&[Influential::Key, Influential::Strip, Influential::Trust]),
            default_host: input.pick(&[None, Some("default.test"), Some("")]),
            https: input.bool(),
            max_url: input.pick(&[8192, 8192, 8192, 20, 0]),
        }
    }

    fn policy(&self) -> KeyPolicy {
        let mut policy = KeyPolicy::default()
            .query(self.query.clone())
            .sort_query(self.sort)
            .influential(self.influential)
            .https(self.https)
            .max_url(self.max_url);
        for name in &self.headers {
            policy = policy.header(name.clone());
        }
        for cookie in &self.cookies {
            policy = policy.cookie(*cookie);
        }
        if let Some(host) = self.default_host {
            policy = policy.default_host(host);
        }
        policy
    }
}

fn read(input: &mut Input<'_>) -> Option<Parts> {
    let (target, host) = (input.line(), input.line());
    let mut fields = input.fields();
    if host != b"-" {
        append(&mut fields, &header::HOST, host);
    }
    let uri = Uri::try_from(target).ok()?;
    let (mut head, ()) = Request::get(uri).version(Version::HTTP_11).body(()).ok()?.into_parts();
    head.headers = fields;
    Some(head)
}

/// What a request asks for, part by part.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    scheme: &'static str,
    host: String,
    port: Option<String>,
    path: String,
    query: Option<String>,
    fields: Vec<(String, Vec<u8>)>,
    cookies: Vec<Vec<u8>>,
    influential: Vec<(String, Vec<u8>)>,
}

/// Some of the fields that many applications answer by. Which ones there are, the crate tells.
const INFLUENTIAL: [&str; 3] = ["forwarded", "x-forwarded-host", "x-original-url"];

fn is_influential(name: &HeaderName) -> bool {
    let [.., is_one, _, _] = fuzzing::survey(&lines(name, [&b"a"[..]])).0;
    is_one
}

impl Identity {
    /// `None` if the request names nothing that can be asked for.
    fn of(rules: &Rules, head: &Parts) -> Option<Self> {
        let hosts = values(&head.headers, &header::HOST);
        let authority = match (head.uri.authority(), &hosts[..]) {
            (_, [_, _, ..]) => return None,
            (Some(authority), _) => authority.as_str(),
            (None, []) => rules.default_host?,
            (None, [host]) => {
                let is_text = host.iter().all(|b| matches!(b, b'\t' | 0x20..=0x7e));
                match std::str::from_utf8(host).ok().filter(|_| is_text)? {
                    "" => rules.default_host?,
                    host => host,
                }
            }
        };
        let (host, port) = host_and_port(authority)?;
        let scheme = head.uri.scheme_str().unwrap_or(if rules.https { "https" } else { "http" });
        let scheme = match scheme {
            "https" => "https",
            "http" => "http",
            _ => return None,
        };
        let default = if scheme == "https" { "443" } else { "80" };
        let path = head.uri.path();
        let query = rules.query(head.uri.query());
        let length = path.len() + query.as_ref().map_or(0, String::len);
        if !path.starts_with('/') || length > rules.max_url {
            return None;
        }
        let fields = |names: &[HeaderName]| -> Vec<(String, Vec<u8>)> {
            let of =
                |name: &HeaderName| values(&head.headers, name).into_iter().map(<[u8]>::to_vec);
            names
                .iter()
                .flat_map(|name| of(name).map(move |value| (name.to_string(), value)))
                .collect()
        };
        let pairs = values(&head.headers, &header::COOKIE).into_iter();
        let pairs = pairs.flat_map(|line| line.split(|b| *b == b';').map(<[u8]>::trim_ascii));
        let is_wanted = |pair: &&[u8]| {
            let name = pair.split(|b| *b == b'=').next().expect("one at least").trim_ascii();
            rules.cookies.iter().any(|cookie| cookie.as_bytes() == name)
        };
        let mut influential: Vec<HeaderName> =
            head.headers.keys().filter(|name| is_influential(name)).cloned().collect();
        influential.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        // What is not forwarded is not asked for.
        let is_stripped =
            |name: &HeaderName| rules.influential == Influential::Strip && is_influential(name);
        let headers: Vec<_> = rules.headers.iter().filter(|n| !is_stripped(n)).cloned().collect();
        Some(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port: Some(port).filter(|port| !port.is_empty() && *port != default).map(str::to_owned),
            path: path.to_owned(),
            query,
            fields: fields(&headers),
            cookies: pairs.filter(is_wanted).map(<[u8]>::to_vec).collect(),
            influential: match rules.influential {
                Influential::Key => fields(&influential),
                _ => Vec::new(),
            },
        })
    }

    /// As it is forwarded.
    fn authority(&self) -> String {
        match &self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }
}

/// The port stands behind the last colon that is not within brackets.
fn host_and_port(authority: &str) -> Option<(&str, &str)> {
    let colon = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    let (host, port) = match colon {
        Some(at) => (&authority[..at], &authority[at + 1..]),
        None => (authority, ""),
    };
    // The dot of the root tells nothing.
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_host = |b: u8| b.is_ascii_graphic() && !b"/?#@,\\\"<>".contains(&b);
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let is_bare = !host.starts_with('[') && !host.ends_with(']') && !host.contains(':');
    let is_port = port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    (!host.is_empty()
        && !host.ends_with('.')
        && host.bytes().all(is_host)
        && (is_bracketed || is_bare)
        && is_port)
        .then_some((host, port))
}

impl Rules {
    fn query(&self, query: Option<&str>) -> Option<String> {
        let query = query?;
        if self.query == Parameters::All && !self.sort {
            return Some(query.to_owned());
        }
        let name = |pair: &str| pair.split('=').next().expect("one at least").to_owned();
        let is_kept = |pair: &&str| match &self.query {
            Parameters::None => false,
            Parameters::Only(names) => names.contains(&name(pair)),
            Parameters::AllBut(names) => !names.contains(&name(pair)),
            _ => true,
        };
        let mut pairs: Vec<&str> = query.split('&').filter(is_kept).collect();
        if self.sort {
            // Stable: pairs of one name stay in their order.
            pairs.sort_by_key(|pair| name(pair));
        }
        // A query of which nothing is left is none, one that was empty stays.
        let kept = pairs.join("&");
        (!kept.is_empty() || query.is_empty()).then_some(kept)
    }
}

type Keyed = Option<(CacheKey, Identity)>;

fn one(rules: &Rules, policy: &KeyPolicy, head: &Parts) -> Keyed {
    let identity = Identity::of(rules, head);
    let keyed = fuzzing::key(policy, head);
    assert_eq!(keyed.is_ok(), identity.is_some(), "{head:?} {keyed:?}");
    let (Ok(key), Some(identity)) = (keyed, identity) else { return None };
    let key_of = |head: &Parts| fuzzing::key(policy, head).ok();
    assert_eq!(CacheKey::from_bytes(key.as_bytes().to_vec()), key);

    // What is forwarded has the same key, and is not changed a second time.
    let is_as_keyed = fuzzing::is_forwarded_as_keyed(policy, head);
    let prepared = fuzzing::prepare(policy, head.clone());
    assert_eq!(key_of(&prepared).as_ref(), Some(&key), "{head:?} {prepared:?}");
    assert!(fuzzing::is_forwarded_as_keyed(policy, &prepared));
    assert_eq!(prepared.uri.path(), head.uri.path());
    let host = identity.authority();
    let named = prepared.uri.authority().map(|authority| authority.as_str());
    assert_eq!(named, head.uri.authority().map(|_| host.as_str()));
    // RFC 9112 section 3.2.2.
    assert!(values(&prepared.headers, &header::HOST).iter().all(|named| *named == host.as_bytes()));
    assert_eq!(prepared.uri.query().map(str::to_owned), identity.query);
    assert!(!is_as_keyed || prepared.uri.to_string() == head.uri.to_string());
    survey(&head.headers);
    for name in head.headers.keys() {
        let is_stripped = rules.influential == Influential::Strip && is_influential(name);
        assert_eq!(prepared.headers.contains_key(name), !is_stripped, "{name}");
    }
    if head.uri.authority().is_none() {
        assert!(
            !prepared.headers[header::HOST].is_empty(),
            "the origin knows for which host it answers"
        );
    }

    // Of the URI alone, and of its groups.
    let bare = fuzzing::bare(&key);
    let has_more = !(identity.fields.is_empty()
        && identity.cookies.is_empty()
        && identity.influential.is_empty());
    assert_eq!(bare.is_some(), has_more);
    let bare = bare.unwrap_or_else(|| key.clone());
    assert_eq!(fuzzing::bare(&bare), None);
    assert_eq!(fuzzing::group(&bare, "a"), fuzzing::group(&key, "a"));
    assert_ne!(fuzzing::group(&key, "a"), fuzzing::group(&key, "b"));
    if let Some(uri) = fuzzing::target_uri(policy, head) {
        assert_eq!(fuzzing::key_of_uri(policy, &uri), Some(bare), "{uri}");
    }

    // The same thing, said otherwise.
    let port = identity.port.clone().map(|port| format!(":{port}")).unwrap_or_default();
    let default = if identity.scheme == "https" { ":443" } else { ":80" };
    let ports = if port.is_empty() { ["", default] } else { [&port[..], &port[..]] };
    for (host, port) in
        [identity.host.clone(), identity.host.to_ascii_uppercase()].iter().zip(ports)
    {
        let mut same = prepared.clone();
        let mut uri = same.uri.clone().into_parts();
        let Ok(authority) = format!("{host}{port}").parse() else { continue };
        (uri.scheme, uri.authority) = (identity.scheme.parse().ok(), Some(authority));
        let Ok(uri) = Uri::from_parts(uri) else { continue };
        same.uri = uri;
        assert_eq!(key_of(&same).as_ref(), Some(&key), "{} and {}", same.uri, head.uri);
    }
    // Other things, one step away.
    let differs = |change: &dyn Fn(&mut Parts) -> Option<()>| {
        let mut other = prepared.clone();
        if change(&mut other).is_some() {
            assert_ne!(key_of(&other).as_ref(), Some(&key), "{} and {}", other.uri, head.uri);
        }
    };
    let target = |head: &mut Parts, target: String| {
        let mut uri = head.uri.clone().into_parts();
        uri.path_and_query = Some(target.parse().ok()?);
        head.uri = Uri::from_parts(uri).ok()?;
        Some(())
    };
    let query = identity.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    differs(&|head| target(head, format!("{}x{query}", identity.path)));
    differs(&|head| target(head, format!("/{}{query}", identity.path)));
    if rules.query == Parameters::All {
        differs(&|head| {
            target(
                head,
                format!("{}{query}{}c", identity.path, if query.is_empty() { "?" } else { "&" }),
            )
        });
    }
    differs(&|head| {
        let mut uri = head.uri.clone().into_parts();
        uri.scheme = Some(identity.scheme.parse().ok()?);
        uri.authority =
            Some(format!("x{}{port}", identity.host.trim_matches(['[', ']'])).parse().ok()?);
        head.uri = Uri::from_parts(uri).ok()?;
        Some(())
    });
    if rules.influential == Influential::Key {
        differs(&|head| {
            head.headers.append("x-forwarded-host", HeaderValue::from_static(""));
            Some(())
        });
    }
    Some((key, identity))
}

/// What is found in one pass is there.
fn survey(headers: &HeaderMap) {
    let has = |names: &[&str]| names.iter().any(|name| headers.contains_key(*name));
    let is = |name: &str, is: &dyn Fn(&[u8]) -> bool| {
        headers.get_all(name).iter().any(|value| is(value.as_bytes()))
    };
    let conditions = headers.keys().any(|name| name.as_str().starts_with("if-"));
    let flags = [
        has(&["transfer-encoding"]) || is("content-length", &|length| length != b"0"),
        has(&["cdn-loop"]),
        conditions || has(&["range"]),
        is("connection", &|option| {
            ![&b"keep-alive"[..], b"close"].iter().any(|plain| option.eq_ignore_ascii_case(plain))
        }),
        has(&["cache-control", "pragma"]),
        headers.keys().any(is_influential),
        is("content-type", &|kind| kind.starts_with(b"application/grpc")),
        has(&["upgrade"]),
    ];
    let bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let hosts = values(headers, &header::HOST).len();
    let (found, found_hosts, at_most) = fuzzing::survey(headers);
    assert_eq!((found, found_hosts), (flags, hosts));
    assert!(at_most >= bytes);
    assert!(INFLUENTIAL.into_iter().map(HeaderName::from_static).all(|name| is_influential(&name)));
}
