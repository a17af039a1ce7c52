//! Hosts that a behaviour is for.

/// A host, or all hosts under a domain (`*.example.com`); no port, small letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPattern {
    name: Box<str>,
    /// True if labels have to stand in front.
    is_under: bool,
}

impl HostPattern {
    pub(super) fn new(host: &str) -> Result<Self, &'static str> {
        let (name, is_under) = match host.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (host, false),
        };
        if name.is_empty() {
            return Err("it is empty");
        }
        if name.contains('*') {
            return Err("`*` stands for the first labels only, as in `*.example.com`");
        }
        let is_address = name.starts_with('[') && name.ends_with(']');
        if !is_address && name.contains(':') {
            return Err("a port counts for nothing here");
        }
        if !name.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@,\\\"<>".contains(&byte)) {
            return Err("it has bytes that no host has");
        }
        Ok(Self { name: name.trim_end_matches('.').to_ascii_lowercase().into(), is_under })
    }

    /// `host` may have a port, the dot of the root, and capitals.
    pub(super) fn matches(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => name,
            _ => host,
        };
        let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
        let wanted = self.name.as_bytes();
        if !self.is_under {
            return name.eq_ignore_ascii_case(wanted);
        }
        let Some(at) = name.len().checked_sub(wanted.len()) else { return false };
        let (labels, domain) = name.split_at_checked(at).unwrap_or_default();
        labels.len() > 1 && labels.ends_with(b".") && domain.eq_ignore_ascii_case(wanted)
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        if self.is_under && !other.is_under {
            return self.matches(&other.name);
        }
        if self.is_under && other.is_under {
            return self.name == other.name || self.matches(&other.name);
        }
        self == other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_domains() {
        let host = |text| HostPattern::new(text).unwrap();
        for (pattern, name, expected) in [
            ("example.com", "EXAMPLE.com.:8080", true),
            ("example.com", "www.example.com", false),
            ("*.Example.com", "www.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "wwwexample.com", false),
            ("[::1]", "[::1]:80", true),
        ] {
            assert_eq!(host(pattern).matches(name), expected, "{pattern} {name}");
        }
        assert!(host("*.a").covers(&host("b.a")) && host("*.a").covers(&host("*.b.a")));
        assert!(!host("b.a").covers(&host("*.a")) && !host("*.b.a").covers(&host("*.a")));
        for wrong in ["", "*.", "a.*", "a:80", "a b", "a/b"] {
            assert!(HostPattern::new(wrong).is_err(), "{wrong}");
        }
    }
}
