//! One URI under all the names that it may have where its scheme has been lost on the way.
use super::invalidation::default_port;
use http::{
    Uri,
    uri::{Authority, Scheme},
};

/// This absolute URI under its own scheme and under the other one, without a port that goes without saying. A port that is the default of one scheme says something under the other, so
/// both are there: whoever named it may have meant either.
pub(crate) fn twins(uri: &Uri) -> Vec<Uri> {
    let Some(authority) = uri.authority() else { return Vec::new() };
    let is_https = uri.scheme() == Some(&Scheme::HTTPS);
    let schemes =
        if is_https { [Scheme::HTTPS, Scheme::HTTP] } else { [Scheme::HTTP, Scheme::HTTPS] };
    let port = uri.port_u16();
    let bare: Option<Authority> = match port {
        Some(80 | 443) => authority.host().parse().ok(),
        _ => None,
    };
    let mut twins = Vec::new();
    for scheme in schemes {
        let named = (port != Some(default_port(Some(&scheme)))).then_some(authority);
        for authority in named.into_iter().chain(&bare) {
            let mut parts = uri.clone().into_parts();
            parts.scheme = Some(scheme.clone());
            parts.authority = Some(authority.clone());
            twins.extend(Uri::from_parts(parts));
        }
    }
    twins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_schemes_and_no_port_that_goes_without_saying() {
        for (uri, want) in [
            ("http://h/a?b", &["http://h/a?b", "https://h/a?b"][..]),
            ("https://h/", &["https://h/", "http://h/"]),
            ("https://h:443/a", &["https://h/a", "http://h:443/a", "http://h/a"]),
            ("http://h:443/a", &["http://h:443/a", "http://h/a", "https://h/a"]),
            ("http://h:80/a", &["http://h/a", "https://h:80/a", "https://h/a"]),
            ("https://[::1]:443/", &["https://[::1]/", "http://[::1]:443/", "http://[::1]/"]),
            ("http://h:8080/", &["http://h:8080/", "https://h:8080/"]),
            ("/a", &[]),
        ] {
            assert_eq!(twins(&uri.parse().unwrap()), want, "{uri}");
        }
    }
}
