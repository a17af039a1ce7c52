//! Which fields of a response are stored (RFC 9111 section 3.1).
use super::{directives::Directives, fields, sharing::SetCookie};
use http::{HeaderMap, HeaderName, header};

/// The fields that are not.
pub(crate) struct Unstorable<'a> {
    /// Mostly nothing is, and then nothing needs to be compared.
    has_hop_by_hop: bool,
    listed: Vec<HeaderName>,
    /// As above.
    withholds: bool,
    directives: &'a Directives,
    cookies: SetCookie,
}

impl<'a> Unstorable<'a> {
    pub(crate) fn of(headers: &HeaderMap, directives: &'a Directives, cookies: SetCookie) -> Self {
        let listed = fields::list(headers, &header::CONNECTION)
            .filter_map(|name| HeaderName::from_bytes(name).ok())
            .collect();
        Self { has_hop_by_hop: true, listed, ..Self::end_to_end(directives, cookies) }
    }

    /// Of a response that has no field of the connection.
    pub(crate) fn end_to_end(directives: &'a Directives, cookies: SetCookie) -> Self {
        let withholds =
            cookies == SetCookie::Strip || directives.withheld_fields().next().is_some();
        Self { has_hop_by_hop: false, listed: Vec::new(), withholds, directives, cookies }
    }

    pub(crate) fn contains(&self, name: &HeaderName) -> bool {
        self.is_hop_by_hop(name) || self.is_withheld(name)
    }

    /// It belongs to the connection, and nobody gets it.
    fn is_hop_by_hop(&self, name: &HeaderName) -> bool {
        self.has_hop_by_hop && (is_hop_by_hop(name.as_str()) || self.listed.contains(name))
    }

    /// The one who asked may have it, and nobody else.
    fn is_withheld(&self, name: &HeaderName) -> bool {
        self.withholds
            && (self.directives.withheld_fields().any(|withheld| withheld == name)
                || self.cookies == SetCookie::Strip && *name == header::SET_COOKIE)
    }
}

/// What is left of the fields for the one who asked: all but what belongs to the connection.
pub(crate) fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    let none = Directives::default();
    let unstorable = Unstorable::of(&headers, &none, SetCookie::Store);
    for name in unstorable.listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers
}

/// Section 3.1 and RFC 9110 section 7.6.1.
pub(crate) static HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Is it one of these? Asked of few: most responses have no name that begins as one of them.
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.iter().any(|known| known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_1_fields_that_are_not_stored() {
        let headers = [
            ("connection", "x-a, close"),
            ("x-a", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("x-b", "1"),
            ("x-c", "1"),
            ("x-d", "1"),
            ("cache-control", "no-cache=\"x-b\", private=x-c"),
        ];
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let directives = Directives::of_response(&headers);
        let unstorable = Unstorable::of(&headers, &directives, SetCookie::Store);
        let left = headers.keys().filter(|name| !unstorable.contains(name));
        let left: Vec<_> = left.map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-d", "cache-control"]);
    }

    #[test]
    fn rfc9110_s7_6_1_what_is_end_to_end_is_not_hop_by_hop() {
        assert!(!fields::END_TO_END.iter().any(|name| is_hop_by_hop(name.as_str())));
    }
}
