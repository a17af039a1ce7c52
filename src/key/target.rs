//! From a request to its key: the target URI (RFC 9110 section 7.1), and what the policy adds.
use super::{
    CacheKey, Influential, Key, KeyPolicy, Parameters, Survey, Tag,
    authority::{Authority, canonical, default_port},
    changes::Changes,
    influential,
};
use crate::semantics::fields;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request::Parts, uri::Scheme};

impl KeyPolicy {
    /// The key of a request, and what has to change in the request before it is forwarded.
    pub(crate) fn key(&self, head: &Parts) -> Result<Keyed, NoKey> {
        self.surveyed_key(head, &Survey::of(&head.headers))
    }

    /// The same for a request whose fields were looked at already.
    pub(crate) fn surveyed_key(&self, head: &Parts, survey: &Survey<'_>) -> Result<Keyed, NoKey> {
        let path = head.uri.path();
        if !path.starts_with('/') {
            return Err(NoKey::Malformed);
        }
        let query = self.query_of(head.uri.query());
        let length = path.len().saturating_add(query.as_str().map_or(0, str::len));
        if length > self.max_url {
            return Err(NoKey::TooLong);
        }
        let host = self.host(head, survey)?;
        let is_https = self.is_https(&head.uri).ok_or(NoKey::OtherScheme)?;
        let mut parts = Key::default();
        let is_canonical = push_target(&mut parts, is_https, host, path, query.as_str())?;
        for name in &self.headers {
            // What is stripped is not forwarded, and may not be keyed.
            if self.influential == Influential::Strip && influential::is_one(name.as_str()) {
                continue;
            }
            for value in head.headers.get_all(name) {
                parts.pair(Tag::Field, name.as_str().as_bytes(), value.as_bytes());
            }
        }
        self.push_cookies(&mut parts, &head.headers);
        if survey.influential && self.influential == Influential::Key {
            for (name, value) in influential::of(&head.headers) {
                parts.pair(Tag::Field, name.as_bytes(), value.as_bytes());
            }
        }
        let changes = match query {
            Query::Kept(_) if is_canonical => None,
            query => {
                let host = if is_canonical { None } else { Some(canonical(host, is_https)?) };
                Some(Box::new(Changes { host, query: query.changed() }))
            }
        };
        Ok(Keyed { key: parts.finish(), changes })
    }

    /// Of a URI of HTTP (RFC 9110 section 4.2).
    fn is_https(&self, uri: &Uri) -> Option<bool> {
        match uri.scheme() {
            None => Some(self.https),
            Some(scheme) if *scheme == Scheme::HTTP => Some(false),
            Some(scheme) if *scheme == Scheme::HTTPS => Some(true),
            // Also those in capitals, which HTTP/2 may have: the origin would see them.
            Some(_) => None,
        }
    }

    /// The key of a GET for this URI with no fields: what an invalidation is about.
    pub(crate) fn key_of_uri(&self, uri: &Uri) -> Option<CacheKey> {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.uri = uri.clone();
        self.key(&head).ok().map(|keyed| keyed.key)
    }

    /// Is what is forwarded, without being prepared, what the key speaks of?
    pub(crate) fn is_forwarded_as_keyed(&self, head: &Parts) -> bool {
        let has_influential = influential::has_some(&head.headers);
        self.key(head).is_ok_and(|keyed| keyed.changes.is_none())
            && !(has_influential && self.influential == Influential::Strip)
    }

    /// The absolute form of a request's target (RFC 9110 section 7.1).
    pub(crate) fn target_uri(&self, head: &Parts) -> Option<Uri> {
        let scheme = head.uri.scheme_str().unwrap_or(if self.https { "https" } else { "http" });
        let survey = Survey::of(&head.headers);
        let host = self.host(head, &survey).ok()?;
        let path = head.uri.path_and_query().map_or("/", |p| p.as_str());
        Uri::builder().scheme(scheme).authority(host).path_and_query(path).build().ok()
    }

    /// Brings a request into the form that its key speaks of: what is keyed is exactly what is forwarded.
    #[inline]
    pub(crate) fn prepare(&self, head: &mut Parts, changes: Option<Box<Changes>>) {
        if let Some(changes) = changes {
            changes.make(head);
        }
        if self.influential == Influential::Strip {
            influential::remove(&mut head.headers);
        }
    }

    fn push_cookies(&self, parts: &mut Key, headers: &HeaderMap) {
        if !self.cookies.is_empty() {
            self.cookies_of(headers).for_each(|pair| parts.push(Tag::Cookie, pair));
        }
    }

    /// The cookies of a request that are keyed, with their names.
    pub(crate) fn cookies_of<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a [u8]> {
        let lines = headers.get_all(header::COOKIE).into_iter().map(HeaderValue::as_bytes);
        let pairs = lines.flat_map(|line| line.split(|b| *b == b';').map(fields::trim));
        pairs.filter(|pair| {
            let name = fields::trim(pair.split(|b| *b == b'=').next().unwrap_or_default());
            self.cookies.iter().any(|cookie| cookie.as_bytes() == name)
        })
    }

    /// Is this field of requests keyed by name?
    pub(crate) fn keys_header(&self, name: &HeaderName) -> bool {
        self.headers.contains(name)
    }

    fn query_of<'a>(&self, query: Option<&'a str>) -> Query<'a> {
        let Some(query) = query else { return Query::Kept(None) };
        if self.query == Parameters::All && !self.sort_query {
            return Query::Kept(Some(query));
        }
        let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
        let mut pairs: Vec<&str> = query
            .split('&')
            .filter(|pair| match &self.query {
                Parameters::All => true,
                Parameters::None => false,
                Parameters::Only(names) => names.contains(&name(pair)),
                Parameters::AllBut(names) => !names.contains(&name(pair)),
            })
            .collect();
        if self.sort_query {
            pairs.sort_by_key(|pair| name(pair));
        }
        let kept = pairs.join("&");
        if kept == query { Query::Kept(Some(query)) } else { Query::Changed(kept) }
    }
}

/// Adds the target URI, with its host in small letters. True if that is how the host was spelled.
fn push_target(
    parts: &mut Key,
    is_https: bool,
    authority: &[u8],
    path: &str,
    query: Option<&str>,
) -> Result<bool, NoKey> {
    let Authority { host, port, has_capitals } =
        Authority::read(authority).ok_or(NoKey::Malformed)?;
    // Apart, so that the compiler knows their lengths.
    if is_https {
        parts.push(Tag::Scheme, b"https");
    } else {
        parts.push(Tag::Scheme, b"http");
    }
    parts.push(Tag::Host, host);
    if has_capitals {
        parts.0.make_lowercase(parts.0.len().saturating_sub(host.len()));
    }
    let port = if port == default_port(is_https) { b"" } else { port };
    if !port.is_empty() {
        parts.push(Tag::Port, port);
    }
    parts.push(Tag::Path, path.as_bytes());
    if let Some(query) = query {
        parts.push(Tag::Query, query.as_bytes());
    }
    let colon = usize::from(!port.is_empty());
    let length = host.len().saturating_add(colon).saturating_add(port.len());
    Ok(!has_capitals && length == authority.len())
}

enum Query<'a> {
    Kept(Option<&'a str>),
    Changed(String),
}

impl Query<'_> {
    /// A query of which nothing is left is none.
    fn as_str(&self) -> Option<&str> {
        match self {
            Self::Kept(query) => *query,
            Self::Changed(query) => Some(query.as_str()).filter(|query| !query.is_empty()),
        }
    }

    fn changed(self) -> Option<String> {
        match self {
            Self::Kept(_) => None,
            Self::Changed(query) => Some(query),
        }
    }
}

/// A key, and what is to be forwarded otherwise than it came.
pub(crate) struct Keyed {
    pub(crate) key: CacheKey,
    pub(crate) changes: Option<Box<Changes>>,
}

/// Why a request has no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// 400.
    Malformed,
    /// It names no host, and need not.
    NoHost,
    /// Its URL is too long to be a key.
    TooLong,
    /// It is about no resource of HTTP.
    OtherScheme,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyTarget;
    use http::Request;

    fn head(uri: &str, lines: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn key(policy: &KeyPolicy, uri: &str, lines: &[(&str, &str)]) -> Result<CacheKey, NoKey> {
        policy.key(&head(uri, lines)).map(|keyed| keyed.key)
    }

    #[test]
    fn s2_requests_for_the_same_thing_have_one_key() {
        let policy = KeyPolicy::default();
        let one = key(&policy, "http://example.com/a?b", &[]).unwrap();
        for (uri, lines) in [
            ("http://EXAMPLE.com:80/a?b", vec![]),
            ("http://example.com./a?b", vec![]),
            ("/a?b", vec![("host", "example.com")]),
            ("/a?b", vec![("host", "Example.Com.:80")]),
            ("http://example.com/a?b", vec![("host", "other")]),
            ("/a?b", vec![("host", "example.com"), ("user-agent", "x")]),
        ] {
            assert_eq!(key(&policy, uri, &lines).unwrap(), one, "{uri} {lines:?}");
        }
    }

    #[test]
    fn s2_requests_for_other_things_have_other_keys() {
        let policy = KeyPolicy::default();
        let one = key(&policy, "http://example.com/a?b", &[]).unwrap();
        for (uri, lines) in [
            ("https://example.com/a?b", vec![]),
            ("http://example.com:81/a?b", vec![]),
            ("http://example.org/a?b", vec![]),
            ("http://example.com/a?B", vec![]),
            ("http://example.com/a", vec![]),
            ("http://example.com/a%3Fb", vec![]),
            ("http://example.com/a?b?", vec![]),
            ("http://example.com/a?b", vec![("x-forwarded-host", "evil")]),
            ("http://example.com/a?b", vec![("x-forwarded-host", "")]),
        ] {
            assert_ne!(key(&policy, uri, &lines).unwrap(), one, "{uri} {lines:?}");
        }
        assert_ne!(
            key(&policy, "http://example.com/a?", &[]).unwrap(),
            key(&policy, "http://example.com/a", &[]).unwrap()
        );
    }

    #[test]
    fn rfc9875_s2_1_a_group_is_one_of_an_origin() {
        let policy = KeyPolicy::default();
        let group = |uri, name| key(&policy, uri, &[]).unwrap().group(name);
        assert_eq!(group("http://a/x?y", "g"), group("http://A:80/", "g"));
        assert_ne!(group("http://a/", "g"), group("http://a/", "G"));
        assert_ne!(group("http://a/", "g"), group("http://a:81/", "g"));
        assert_ne!(group("http://a/", "g"), group("https://a/", "g"));
        assert_eq!(CacheKey::from_bytes(vec![b's', 0xff]).group("g").as_bytes(), b"G\x01g");
    }

    #[test]
    fn rfc9112_s3_2_what_has_no_key() {
        let policy = KeyPolicy::default();
        for (uri, lines, want) in [
            ("/a", vec![], NoKey::Malformed),
            ("/a", vec![("host", "")], NoKey::Malformed),
            ("/a", vec![("host", ".")], NoKey::Malformed),
            ("/a", vec![("host", "a..")], NoKey::Malformed),
            ("/a", vec![("host", "a"), ("host", "a")], NoKey::Malformed),
            ("/a", vec![("host", "a b")], NoKey::Malformed),
            ("/a", vec![("host", "a:b")], NoKey::Malformed),
            ("/a", vec![("host", "a/b")], NoKey::Malformed),
            ("http://user@a/", vec![], NoKey::Malformed),
            ("*", vec![("host", "a")], NoKey::Malformed),
        ] {
            assert_eq!(key(&policy, uri, &lines), Err(want), "{uri} {lines:?}");
        }
        let long = format!("http://a/{}", "a".repeat(9_000));
        assert_eq!(key(&policy, &long, &[]), Err(NoKey::TooLong));
        let policy = policy.default_host("a");
        assert_eq!(key(&policy, "/a", &[]), key(&policy, "http://a/a", &[]));
    }

    #[test]
    fn rfc9110_s4_2_1_a_scheme_that_is_forwarded_otherwise_than_keyed_has_no_key() {
        let policy = KeyPolicy::default();
        for (scheme, is_keyed) in
            [("http", true), ("https", true), ("HTTPS", false), ("Http", false), ("ftp", false)]
        {
            // As HTTP/2 hands it over.
            let mut parts = http::uri::Parts::default();
            parts.scheme = Some(scheme.parse().unwrap());
            parts.authority = Some("a".parse().unwrap());
            parts.path_and_query = Some("/".parse().unwrap());
            let mut head = head("/", &[]);
            head.uri = Uri::from_parts(parts).unwrap();
            let keyed = policy.key(&head);
            assert_eq!(keyed.is_ok(), is_keyed, "{scheme}");
            assert!(is_keyed || matches!(keyed, Err(NoKey::OtherScheme)), "{scheme}");
        }
    }

    #[test]
    fn what_is_not_keyed_is_not_forwarded() {
        let policy = KeyPolicy::default()
            .query(Parameters::AllBut(vec!["utm".into()]))
            .sort_query(true)
            .header(http::HeaderName::from_static("x-forwarded-host"))
            .influential(Influential::Strip);
        let mut head = head("http://A.:80/x?c=1&utm=2&b=3&utm", &[("x-forwarded-host", "evil")]);
        let keyed = policy.key(&head).unwrap();
        assert_eq!(keyed.key, key(&policy, "http://a/x?b=3&c=1", &[]).unwrap());
        policy.prepare(&mut head, keyed.changes);
        assert_eq!(head.uri, "http://a/x?b=3&c=1");
        assert!(head.headers.is_empty());
    }

    #[test]
    fn rfc9111_s4_4_the_key_of_the_uri_alone() {
        let policy = KeyPolicy::default();
        let bare = key(&policy, "http://a:81/x?y", &[]).unwrap();
        assert_eq!(bare.bare(), None);
        let more = key(&policy, "http://a:81/x?y", &[("x-forwarded-host", "b")]).unwrap();
        assert_eq!(more.bare(), Some(bare));
    }

    #[test]
    fn cookies_and_fields_count_where_the_policy_names_them() {
        let policy = KeyPolicy::default().cookie("theme").header(header::ACCEPT_LANGUAGE);
        let of = |lines: &[_]| key(&policy, "http://a/", lines).unwrap();
        assert_eq!(of(&[("cookie", "a=1; theme=x")]), of(&[("cookie", "theme=x; b=2")]));
        assert_ne!(of(&[("cookie", "theme=x")]), of(&[("cookie", "theme=y")]));
        assert_ne!(of(&[("accept-language", "de")]), of(&[]));
    }

    #[test]
    fn a_key_tells_its_target() {
        let policy = KeyPolicy::default();
        let asked = |uri| key(&policy, uri, &[("x-forwarded-host", "h")]).unwrap();
        let long = "x".repeat(300);
        for (uri, host, path, query) in [
            ("http://A.example:81/a/b?c=d", "a.example", "/a/b", Some("c=d")),
            ("https://a.example/", "a.example", "/", None),
            (&format!("http://a/{long}?"), "a", &format!("/{long}"), Some("")),
        ] {
            let asked = asked(uri);
            let target = asked.target();
            assert_eq!(target.host, host.as_bytes());
            assert_eq!(target.path, path.as_bytes());
            assert_eq!(target.query, query.map(str::as_bytes));
            let group = asked.group("g h");
            assert_eq!(group.target().group, Some(b"g h".as_slice()));
            assert_eq!(group.target().host, host.as_bytes());
        }
        assert_eq!(CacheKey::from_bytes(b"h\x09short".as_slice()).target(), KeyTarget::default());
    }
}
