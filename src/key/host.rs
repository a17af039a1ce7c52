//! The one host that a request names (RFC 9112 section 3.2).
use super::{KeyPolicy, Survey, target::NoKey};
use http::{HeaderValue, Request, header, request::Parts};

impl KeyPolicy {
    /// Makes `Host` name what the key names, so that whoever the request is forwarded to answers for that host: the authority of an absolute target wins over
    /// `Host` (RFC 9112 section 3.2.2, RFC 9113 section 8.3.1), and who names no host is taken to name the default one. Two hosts
    /// are none (RFC 9112 section 3.2).
    pub(crate) fn settle_host<Q>(&self, request: &mut Request<Q>) -> Result<(), NoKey> {
        let headers = request.headers();
        // Most requests have no field twice, and need not be asked for this one.
        let repeats = headers.len() > headers.keys_len();
        if repeats && headers.get_all(header::HOST).iter().nth(1).is_some() {
            return Err(NoKey::Malformed);
        }
        let named = || headers.get(header::HOST);
        let host = match (request.uri().authority(), &self.default_host) {
            // RFC 9110 section 4.2.4: a host that hides behind a user name.
            (Some(authority), _) if authority.as_str().contains('@') => {
                return Err(NoKey::Malformed);
            }
            (Some(authority), _) if named().is_some_and(|host| host != authority.as_str()) => {
                authority.as_str()
            }
            (None, Some(default)) if named().is_none_or(HeaderValue::is_empty) => default,
            _ => return Ok(()),
        };
        let host = HeaderValue::from_str(host).map_err(|_| NoKey::Malformed)?;
        request.headers_mut().insert(header::HOST, host);
        Ok(())
    }

    /// With its port.
    pub(super) fn host<'a>(
        &'a self,
        head: &'a Parts,
        survey: &Survey<'a>,
    ) -> Result<&'a [u8], NoKey> {
        if survey.hosts > 1 {
            return Err(NoKey::Malformed);
        }
        if let Some(authority) = head.uri.authority() {
            return if authority.as_str().contains('@') {
                Err(NoKey::Malformed)
            } else {
                Ok(authority.as_str().as_bytes())
            };
        }
        let named = survey.host.map(HeaderValue::as_bytes).filter(|host| !host.is_empty());
        named.or_else(|| self.default_host.as_deref().map(str::as_bytes)).ok_or({
            if head.version == http::Version::HTTP_11 { NoKey::Malformed } else { NoKey::NoHost }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(policy: &KeyPolicy, uri: &str, hosts: &[&str]) -> Option<Vec<String>> {
        let mut request = Request::builder().method("POST").uri(uri);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        let mut request = request.body(()).unwrap();
        policy.settle_host(&mut request).ok()?;
        let hosts = request.headers().get_all(header::HOST).iter();
        Some(hosts.map(|host| host.to_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn rfc9112_s3_2_2_the_absolute_form_wins() {
        let policy = KeyPolicy::default();
        for (uri, hosts, want) in [
            ("http://a.example/", vec!["b.example"], Some(vec!["a.example"])),
            ("http://a.example:80/", vec!["a.example"], Some(vec!["a.example:80"])),
            ("http://a.example/", vec![], Some(vec![])),
            ("/", vec!["b.example"], Some(vec!["b.example"])),
            ("/", vec![], Some(vec![])),
            ("*", vec![""], Some(vec![""])),
            ("http://a.example/", vec!["a.example", "a.example"], None),
            ("/", vec!["a.example", "b.example"], None),
            ("http://a.example@b.example/", vec!["b.example"], None),
        ] {
            let want: Option<Vec<String>> =
                want.map(|hosts| hosts.into_iter().map(str::to_owned).collect());
            assert_eq!(settled(&policy, uri, &hosts), want, "{uri} {hosts:?}");
        }
    }

    #[test]
    fn who_names_no_host_names_the_default_one() {
        let policy = KeyPolicy::default().default_host("a.example");
        for (hosts, want) in
            [(vec![], "a.example"), (vec![""], "a.example"), (vec!["b.example"], "b.example")]
        {
            assert_eq!(settled(&policy, "/", &hosts), Some(vec![want.to_owned()]), "{hosts:?}");
        }
        assert_eq!(settled(&policy, "/", &["", "b.example"]), None);
    }
}
