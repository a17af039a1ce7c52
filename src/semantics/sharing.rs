//! May others have what was made for one who showed who he is, or what brings a cookie (RFC 9111 sections 3.5 and 7.3)?
use super::{directives::Directives, storing::NotStored, targeted};
use http::{HeaderMap, HeaderName, header};

/// What becomes of a response with `Set-Cookie` (RFC 9111 section 7.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetCookie {
    /// Stored only where the response says by `public` or `s-maxage` that it is meant for many: a cookie is mostly for one.
    #[default]
    UnlessMeantForMany,
    /// Stored with its cookies, as the RFC permits: everyone gets them.
    Store,
    /// Stored without its cookies; the one who asked gets them.
    Strip,
    /// Never stored.
    Never,
}

/// Sections 3.5 and 7.3: what was made for one who showed who he is, or brings a cookie, is for others only where its directives say so.
pub(super) fn may_share(
    authorized: bool,
    set_cookie: bool,
    directives: &Directives,
    cookies: SetCookie,
) -> Result<(), NotStored> {
    let meant_for_many = is_meant_for_many(directives);
    let shares_if_validated = directives.must_revalidate && !directives.permits_nothing;
    if authorized && !meant_for_many && !shares_if_validated {
        return Err(NotStored::Authorization);
    }
    let forbids_cookies = match cookies {
        SetCookie::UnlessMeantForMany => !meant_for_many,
        SetCookie::Never => true,
        SetCookie::Store | SetCookie::Strip => false,
    };
    if set_cookie && forbids_cookies { Err(NotStored::SetCookie) } else { Ok(()) }
}

pub(super) fn is_meant_for_many(directives: &Directives) -> bool {
    directives.public || directives.s_maxage.is_some() && !directives.permits_nothing
}

/// May the fields of an update become those of a stored response? An origin that would send `Cache-Control` with a 200 sends it with a 304 as well (RFC 9110
/// section 15.4.5), so what the stored response permitted says nothing of an update that does not. Targeted fields are read the same way: a 304 that leaves them out is for
/// one, and what is stored stays as it is.
pub(crate) fn may_update(
    request: &HeaderMap,
    update: &HeaderMap,
    targets: &[HeaderName],
    cookies: SetCookie,
) -> Result<(), NotStored> {
    let authorized = request.contains_key(header::AUTHORIZATION);
    let set_cookie = update.contains_key(header::SET_COOKIE);
    if !authorized && !set_cookie {
        return Ok(());
    }
    let directives = targeted::select(update, targets).directives;
    may_share(authorized, set_cookie, &directives, cookies).map_err(|_| NotStored::Update)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let line = |(n, v): &(&str, &str)| (n.parse::<HeaderName>().unwrap(), v.parse().unwrap());
        lines.iter().map(line).collect()
    }

    #[test]
    fn s3_5_an_update_permits_for_itself() {
        let (anyone, authorized) = (map(&[]), map(&[("authorization", "x")]));
        let (cookie, cc, cdn) = (("set-cookie", "a=b"), "cache-control", "cdn-cache-control");
        for (request, update, want) in [
            (&anyone, vec![], Ok(())),
            (&anyone, vec![cookie], Err(NotStored::Update)),
            (&anyone, vec![cookie, (cc, "max-age=60")], Err(NotStored::Update)),
            (&anyone, vec![cookie, (cc, "public")], Ok(())),
            (&authorized, vec![], Err(NotStored::Update)),
            (&authorized, vec![(cc, "max-age=60")], Err(NotStored::Update)),
            (&authorized, vec![(cc, "must-revalidate")], Ok(())),
            (&authorized, vec![(cc, "private"), (cdn, "public")], Ok(())),
            (&authorized, vec![(cc, "public"), (cdn, "max-age=60")], Err(NotStored::Update)),
        ] {
            let cookies = SetCookie::default();
            let got = may_update(request, &map(&update), &targeted::cdn(), cookies);
            assert_eq!(got, want, "{request:?} {update:?}");
        }
    }
}
