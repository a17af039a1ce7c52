//! What a stored head has only rarely, or little of: there is one head for each response, so it is kept small.
use super::{Membership, Parts, Shape};
use crate::{
    CacheKey,
    semantics::{
        directives::{Directives, Scope},
        reuse::Terms,
    },
};
use std::{
    borrow::Cow,
    ops::Deref,
    time::{Duration, SystemTime},
};

/// What few responses have; the others keep nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare(Option<Box<RareParts>>);

/// What stands in [`Rare`].
#[derive(Clone, Debug, Default)]
pub(crate) struct RareParts {
    /// The nominated fields and the generation of the variants it belongs to; `None` without `Vary`.
    pub(crate) variant: Option<(u64, Shape)>,
    /// The variant's key for requests that like its language best; needed until it is in the index.
    pub(crate) by_language: Option<Box<CacheKey>>,
    /// The groups that it belongs to (RFC 9875 section 2.1).
    pub(crate) groups: Membership,
    /// What the content has of the representation; `None` if it is all of it (RFC 9111 section 3.3).
    pub(crate) part: Option<Parts>,
}

static NOTHING: RareParts = RareParts {
    variant: None,
    by_language: None,
    groups: Membership { named: Vec::new(), any: false, uri: None },
    part: None,
};

impl Rare {
    /// The memory it takes, in bytes, roughly.
    pub(super) fn weight(&self) -> usize {
        let Some(parts) = &self.0 else { return 0 };
        let groups = parts.groups.named.iter().chain(parts.groups.uri.as_deref());
        let keys = groups.chain(parts.by_language.as_deref()).map(CacheKey::weight);
        let names = parts.variant.as_ref().map_or(0, |(_, shape)| shape.len().saturating_mul(32));
        keys.fold(size_of::<RareParts>().saturating_add(names), usize::saturating_add)
    }
}

impl From<RareParts> for Rare {
    fn from(parts: RareParts) -> Self {
        let RareParts { variant, by_language, groups, part } = &parts;
        let is_there = variant.is_some()
            || by_language.is_some()
            || *groups != NOTHING.groups
            || part.is_some();
        Self(is_there.then(|| Box::new(parts)))
    }
}

impl Deref for Rare {
    type Target = RareParts;

    fn deref(&self) -> &RareParts {
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

/// A time in whole seconds since 1970, as the `Date` field has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeptDate(u64);

impl From<SystemTime> for KeptDate {
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs())
    }
}

impl KeptDate {
    /// Since 1970.
    pub(crate) fn get(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

/// Directives of a response, in a fifth of their size unless they name fields.
#[derive(Clone, Debug)]
pub(crate) struct KeptDirectives(Form);

#[derive(Clone, Debug)]
enum Form {
    /// The numbers of seconds, or [`NO_SECONDS`], and a bit for each of the others.
    Plain {
        seconds: [u32; 4],
        flags: u8,
    },
    Other(Box<Directives>),
}

const NO_SECONDS: u32 = u32::MAX;

/// The first of the flags.
const NO_CACHE: u8 = 1;

impl KeptDirectives {
    pub(crate) fn get(&self) -> Cow<'_, Directives> {
        let (seconds, flags) = match &self.0 {
            Form::Plain { seconds, flags } => (seconds, flags),
            Form::Other(directives) => return Cow::Borrowed(directives),
        };
        let [max_age, s_maxage, stale_while_revalidate, stale_if_error] =
            seconds.map(|s| (s != NO_SECONDS).then(|| Duration::from_secs(u64::from(s))));
        let flag = |bit: u8| flags & (1 << bit) != 0;
        let scope = |bit: u8| if flag(bit) { Scope::Whole } else { Scope::Absent };
        Cow::Owned(Directives {
            max_age,
            s_maxage,
            stale_while_revalidate,
            stale_if_error,
            no_cache: scope(0),
            no_store: flag(1),
            private: scope(2),
            must_revalidate: flag(3),
            proxy_revalidate: flag(4),
            public: flag(5),
            must_understand: flag(6),
            // It was asked before the response was stored.
            permits_nothing: false,
        })
    }
}

/// Read where it lies: a hit asks no more than this.
impl Terms for KeptDirectives {
    fn no_cache(&self) -> bool {
        match &self.0 {
            Form::Plain { flags, .. } => flags & NO_CACHE != 0,
            Form::Other(directives) => Terms::no_cache(&**directives),
        }
    }

    fn forbid_stale(&self) -> bool {
        self.get().forbid_stale()
    }

    fn stale_while_revalidate(&self) -> Option<Duration> {
        self.get().stale_while_revalidate
    }

    fn stale_if_error(&self) -> Option<Duration> {
        self.get().stale_if_error
    }
}

impl From<Directives> for KeptDirectives {
    fn from(directives: Directives) -> Self {
        Self(plain(&directives).unwrap_or_else(|| Form::Other(Box::new(directives))))
    }
}

/// `None` if there are names of fields, or numbers that no response has (RFC 9111 section 1.2.2).
fn plain(directives: &Directives) -> Option<Form> {
    let Directives {
        max_age,
        s_maxage,
        stale_while_revalidate,
        stale_if_error,
        no_cache,
        no_store,
        private,
        must_revalidate,
        proxy_revalidate,
        public,
        must_understand,
        permits_nothing: _,
    } = directives;
    let seconds = |time: &Option<Duration>| match time {
        None => Some(NO_SECONDS),
        Some(time) if time.subsec_nanos() > 0 => None,
        Some(time) => u32::try_from(time.as_secs()).ok().filter(|seconds| *seconds != NO_SECONDS),
    };
    let whole = |scope: &Scope| match scope {
        Scope::Absent => Some(false),
        Scope::Whole => Some(true),
        Scope::Fields(_) => None,
    };
    let flags = [
        whole(no_cache)?,
        *no_store,
        whole(private)?,
        *must_revalidate,
        *proxy_revalidate,
        *public,
        *must_understand,
    ];
    Some(Form::Plain {
        seconds: [
            seconds(max_age)?,
            seconds(s_maxage)?,
            seconds(stale_while_revalidate)?,
            seconds(stale_if_error)?,
        ],
        flags: flags.iter().rev().fold(0, |bits, flag| (bits << 1) | u8::from(*flag)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, header};
    use proptest::prelude::*;

    const DIRECTIVES: [&str; 14] = [
        "max-age=0",
        "max-age=4294967295",
        "s-maxage=60",
        "stale-while-revalidate=7",
        "stale-if-error=2147483648",
        "no-cache",
        "no-cache=\"x-a\"",
        "no-store",
        "private",
        "private=\"x-b, x-c\"",
        "must-revalidate",
        "proxy-revalidate",
        "public",
        "must-understand",
    ];

    proptest! {
        #[test]
        fn directives_come_back(chosen in proptest::sample::subsequence(&DIRECTIVES[..], 0..=14)) {
            let mut headers = HeaderMap::new();
            for directive in &chosen {
                headers.append(header::CACHE_CONTROL, HeaderValue::from_static(directive));
            }
            let directives = Directives::of_response(&headers);
            let kept = KeptDirectives::from(directives.clone());
            prop_assert_eq!(Terms::no_cache(&kept), Terms::no_cache(&directives));
            prop_assert_eq!(kept.get().into_owned(), directives);
            let names = chosen.iter().any(|directive| directive.contains("x-"));
            let is_plain = matches!(kept.0, Form::Plain { .. });
            prop_assert!(names || is_plain);
        }
    }

    #[test]
    fn err_numbers_that_are_too_large_are_kept_as_they_are() {
        for time in [Duration::MAX, Duration::from_millis(1), Duration::from_secs(u32::MAX.into())]
        {
            let directives = Directives { max_age: Some(time), ..Directives::default() };
            assert_eq!(*KeptDirectives::from(directives.clone()).get(), directives);
        }
    }
}
