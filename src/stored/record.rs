//! The record format of stored heads: a version byte, then parts with their lengths. Whatever is wrong with a record is an error.
use super::{
    FoundValid, Kind, Membership, Parts, RareParts, ResponseHead, Shape, StoredHead, VariantIndex,
};
use crate::{
    CacheKey,
    clock::Moment,
    semantics::directives::{Directives, Scope},
};
use bytes::{Buf, BufMut, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::time::{Duration, SystemTime};

const VERSION: u8 = 2;
const RESPONSE: u8 = b'r';
const VARIANTS: u8 = b'v';

/// A record that cannot be read: damaged, or of another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record of a stored head is damaged or of another version")]
pub struct RecordError(());

const DAMAGED: RecordError = RecordError(());

pub(super) fn encode(head: &StoredHead) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_bytes(&mut out, head.key.as_bytes());
    match &head.kind {
        Kind::Response(response) => {
            out.put_u8(RESPONSE);
            put_response(&mut out, response);
        }
        Kind::Variants(index) => {
            out.put_u8(VARIANTS);
            out.put_u64(index.generation);
            put_count(&mut out, index.shapes.len());
            for shape in &index.shapes {
                put_names(&mut out, shape);
            }
            put_count(&mut out, index.all_keys().count());
            for (key, by_language) in index.all_keys() {
                put_bytes(&mut out, key.as_bytes());
                // No key is empty.
                put_bytes(&mut out, by_language.map_or(&[], CacheKey::as_bytes));
            }
        }
    }
    out
}

pub(super) fn decode(mut record: Bytes) -> Result<StoredHead, RecordError> {
    let input = &mut record;
    if get_u8(input)? != VERSION {
        return Err(DAMAGED);
    }
    let key = CacheKey::from_bytes(get_bytes(input)?);
    let kind = match get_u8(input)? {
        RESPONSE => StoredHead::response(key, get_response(input)?),
        VARIANTS => {
            let generation = get_u64(input)?;
            let shapes = get_list(input, get_names)?;
            let keys = get_list(input, |input| {
                let (key, by_language) = (get_bytes(input)?, get_bytes(input)?);
                let by_language = Some(by_language).filter(|key| !key.is_empty());
                Ok((CacheKey::from_bytes(key), by_language.map(CacheKey::from_bytes)))
            })?;
            StoredHead::variants(key, VariantIndex::with(generation, shapes, keys))
        }
        _ => return Err(DAMAGED),
    };
    if input.has_remaining() { Err(DAMAGED) } else { Ok(kind) }
}

fn put_response(out: &mut Vec<u8>, head: &ResponseHead) {
    out.put_u16(head.status.as_u16());
    put_count(out, head.headers.len());
    for (name, value) in &head.headers {
        put_bytes(out, name.as_str().as_bytes());
        put_bytes(out, value.as_bytes());
    }
    put_directives(out, &head.directives.get());
    put_duration(out, head.lifetime);
    put_duration(out, head.corrected_initial_age);
    put_time(out, head.response_time.wall);
    put_duration(out, head.date.get());
    match &head.rare.variant {
        None => out.put_u8(0),
        Some((generation, shape)) => {
            out.put_u8(1);
            out.put_u64(*generation);
            put_names(out, shape);
        }
    }
    put_count(out, head.rare.groups.named.len());
    for group in &head.rare.groups.named {
        put_bytes(out, group.as_bytes());
    }
    out.put_u8(u8::from(head.rare.groups.any));
    // No key is empty.
    put_bytes(out, head.rare.groups.uri.as_deref().map_or(&[], CacheKey::as_bytes));
    out.put_u64(head.fetch);
    out.put_u64(head.content);
    match &head.rare.part {
        None => out.put_u8(0),
        Some(parts) => {
            out.put_u8(1);
            out.put_u64(parts.complete);
            put_count(out, parts.ranges().len());
            for range in parts.ranges() {
                out.put_u64(range.start);
                out.put_u64(range.end);
            }
        }
    }
}

fn get_response(input: &mut Bytes) -> Result<ResponseHead, RecordError> {
    let status = StatusCode::from_u16(get_u16(input)?).map_err(|_| DAMAGED)?;
    let fields = get_list(input, |input| {
        let name = get_name(input)?;
        let value = HeaderValue::from_maybe_shared(get_bytes(input)?).map_err(|_| DAMAGED)?;
        Ok((name, value))
    })?;
    let mut headers = HeaderMap::try_with_capacity(fields.len()).map_err(|_| DAMAGED)?;
    for (name, value) in fields {
        headers.try_append(name, value).map_err(|_| DAMAGED)?;
    }
    let directives = get_directives(input)?.into();
    let (lifetime, corrected_initial_age) = (get_duration(input)?, get_duration(input)?);
    let response_time = Moment { wall: get_time(input)?, monotonic: None };
    let date = get_time(input)?.into();
    let variant = match get_u8(input)? {
        0 => None,
        1 => Some((get_u64(input)?, get_names(input)?)),
        _ => return Err(DAMAGED),
    };
    let groups = Membership {
        named: get_list(input, |input| get_bytes(input).map(CacheKey::from_bytes))?,
        any: match get_u8(input)? {
            0 => false,
            1 => true,
            _ => return Err(DAMAGED),
        },
        uri: Some(get_bytes(input)?)
            .filter(|key| !key.is_empty())
            .map(|key| Box::new(CacheKey::from_bytes(key))),
    };
    let (fetch, content) = (get_u64(input)?, get_u64(input)?);
    let part = match get_u8(input)? {
        0 => None,
        1 => Some(get_parts(input)?),
        _ => return Err(DAMAGED),
    };
    Ok(ResponseHead {
        status,
        headers,
        directives,
        lifetime,
        corrected_initial_age,
        response_time,
        date,
        content,
        fetch,
        found_valid: FoundValid::default(),
        rare: RareParts { variant, by_language: None, groups, part }.into(),
    })
}

fn get_parts(input: &mut Bytes) -> Result<Parts, RecordError> {
    let complete = get_u64(input)?;
    let ranges = get_list(input, |input| Ok(get_u64(input)?..get_u64(input)?))?;
    Parts::from_ranges(ranges, complete).ok_or(DAMAGED)
}

fn put_directives(out: &mut Vec<u8>, d: &Directives) {
    let flags = [d.no_store, d.must_revalidate, d.proxy_revalidate, d.public, d.must_understand];
    out.put_u8(flags.iter().rev().fold(0, |bits, flag| (bits << 1) | u8::from(*flag)));
    for seconds in [d.max_age, d.s_maxage, d.stale_while_revalidate, d.stale_if_error] {
        out.put_u64(seconds.map_or(u64::MAX, |d| d.as_secs()));
    }
    for scope in [&d.no_cache, &d.private] {
        match scope {
            Scope::Absent => out.put_u8(0),
            Scope::Whole => out.put_u8(1),
            Scope::Fields(names) => {
                out.put_u8(2);
                put_names(out, names);
            }
        }
    }
}

fn get_directives(input: &mut Bytes) -> Result<Directives, RecordError> {
    let flags = get_u8(input)?;
    let flag = |bit: u8| flags & (1 << bit) != 0;
    let mut seconds = || get_u64(input).map(|s| (s != u64::MAX).then(|| Duration::from_secs(s)));
    let (max_age, s_maxage, stale_while_revalidate, stale_if_error) =
        (seconds()?, seconds()?, seconds()?, seconds()?);
    Ok(Directives {
        max_age,
        s_maxage,
        stale_while_revalidate,
        stale_if_error,
        no_cache: get_scope(input)?,
        private: get_scope(input)?,
        no_store: flag(0),
        must_revalidate: flag(1),
        proxy_revalidate: flag(2),
        public: flag(3),
        must_understand: flag(4),
        permits_nothing: false,
    })
}

fn get_scope(input: &mut Bytes) -> Result<Scope, RecordError> {
    match get_u8(input)? {
        0 => Ok(Scope::Absent),
        1 => Ok(Scope::Whole),
        2 => get_names(input).map(Scope::Fields),
        _ => Err(DAMAGED),
    }
}

fn put_names(out: &mut Vec<u8>, names: &[HeaderName]) {
    put_count(out, names.len());
    for name in names {
        put_bytes(out, name.as_str().as_bytes());
    }
}

fn get_names(input: &mut Bytes) -> Result<Shape, RecordError> {
    get_list(input, get_name)
}

fn get_name(input: &mut Bytes) -> Result<HeaderName, RecordError> {
    HeaderName::from_bytes(&get_bytes(input)?).map_err(|_| DAMAGED)
}

/// Counts and lengths fit: nothing here comes near four thousand million bytes. If one did, the record would be refused when read.
fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_u32(u32::try_from(count).unwrap_or(u32::MAX));
}

fn get_list<T>(
    input: &mut Bytes,
    mut item: impl FnMut(&mut Bytes) -> Result<T, RecordError>,
) -> Result<Vec<T>, RecordError> {
    // Not reserved in advance: a damaged count must not cost memory.
    (0..get_u32(input)?).map(|_| item(input)).collect()
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.put_slice(bytes);
}

fn get_bytes(input: &mut Bytes) -> Result<Bytes, RecordError> {
    let len = usize::try_from(get_u32(input)?).map_err(|_| DAMAGED)?;
    if len > input.remaining() { Err(DAMAGED) } else { Ok(input.split_to(len)) }
}

fn put_duration(out: &mut Vec<u8>, duration: Duration) {
    out.put_u64(duration.as_secs());
    out.put_u32(duration.subsec_nanos());
}

fn get_duration(input: &mut Bytes) -> Result<Duration, RecordError> {
    let (seconds, nanos) = (get_u64(input)?, get_u32(input)?);
    if nanos >= 1_000_000_000 { Err(DAMAGED) } else { Ok(Duration::new(seconds, nanos)) }
}

/// Since 1970. What lies before does not occur but on a clock that was never set.
fn put_time(out: &mut Vec<u8>, time: SystemTime) {
    put_duration(out, time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
}

fn get_time(input: &mut Bytes) -> Result<SystemTime, RecordError> {
    SystemTime::UNIX_EPOCH.checked_add(get_duration(input)?).ok_or(DAMAGED)
}

fn get_u8(input: &mut Bytes) -> Result<u8, RecordError> {
    input.try_get_u8().map_err(|_| DAMAGED)
}

fn get_u16(input: &mut Bytes) -> Result<u16, RecordError> {
    input.try_get_u16().map_err(|_| DAMAGED)
}

fn get_u32(input: &mut Bytes) -> Result<u32, RecordError> {
    input.try_get_u32().map_err(|_| DAMAGED)
}

fn get_u64(input: &mut Bytes) -> Result<u64, RecordError> {
    input.try_get_u64().map_err(|_| DAMAGED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn names()(names in prop::collection::vec("[a-z][a-z0-9-]{0,12}", 0..4)) -> Vec<HeaderName> {
            names.iter().map(|n| n.parse().unwrap()).collect()
        }
    }

    prop_compose! {
        fn head()(
            key in prop::collection::vec(any::<u8>(), 0..40),
            status in 200_u16..1000,
            // Visible bytes, blanks and obs-text, with repeated names.
            fields in prop::collection::vec(("[a-c]", prop::collection::vec(0x20_u8..=0xff, 0..12)), 0..8),
            cc in "(max-age=[0-9]{1,4}|no-cache=\"[a-z]\"|private|public|, ){0,4}",
            (lifetime, age, time) in (any::<u32>(), any::<u32>(), any::<u32>()),
            variant in prop::option::of((any::<u64>(), names())),
        ) -> StoredHead {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
                }
            }
            let cc = [(http::header::CACHE_CONTROL, cc.parse().unwrap())].into_iter().collect();
            let at = |s: u32| SystemTime::UNIX_EPOCH + Duration::from_secs(s.into());
            StoredHead::response(CacheKey::from_bytes(key), ResponseHead {
                status: StatusCode::from_u16(status).unwrap(),
                headers,
                directives: Directives::of_response(&cc).into(),
                lifetime: Duration::from_secs(lifetime.into()),
                corrected_initial_age: Duration::from_millis(age.into()),
                response_time: Moment { wall: at(time), monotonic: None },
                date: at(time / 2).into(),
                content: u64::from(age) << 7,
                fetch: u64::from(time) << 20,
                found_valid: FoundValid::default(),
                rare: RareParts {
                    variant,
                    by_language: None,
                    groups: Membership {
                        named: vec![CacheKey::from_bytes(vec![7; usize::from(status % 3)])],
                        any: status % 5 == 0,
                        uri: (status % 2 == 0).then(|| Box::new(CacheKey::from_bytes(vec![8]))),
                    },
                    part: Parts::new(0..u64::from(age), u64::from(lifetime)),
                }
                .into(),
            })
        }
    }

    proptest! {
        #[test]
        fn a_head_survives_its_record_byte_for_byte(head in head()) {
            prop_assert_eq!(StoredHead::from_bytes(head.to_bytes()).unwrap(), head);
        }

        #[test]
        fn an_index_survives_its_record(
            generation: u64,
            shapes in prop::collection::vec(names(), 0..4),
            keys in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..9), prop::option::of(prop::collection::vec(any::<u8>(), 1..9))),
                0..4,
            ),
        ) {
            let key = |bytes: Vec<u8>| CacheKey::from_bytes(bytes);
            let keys = keys.into_iter().map(|(k, l)| (key(k), l.map(key))).collect();
            let index = VariantIndex::with(generation, shapes, keys);
            let head = StoredHead::variants(CacheKey::from_bytes(vec![1]), index);
            prop_assert_eq!(StoredHead::from_bytes(head.to_bytes()).unwrap(), head);
        }

        #[test]
        fn err_damaged_records_are_refused_or_read_but_never_panic(
            head in head(), at: prop::sample::Index, bit in 0_u8..8, cut: prop::sample::Index,
        ) {
            let mut record = head.to_bytes();
            let at = at.index(record.len());
            record[at] ^= 1 << bit;
            let _ = StoredHead::from_bytes(record.clone());
            let whole = head.to_bytes();
            prop_assert!(StoredHead::from_bytes(whole[..cut.index(whole.len())].to_vec()).is_err());
        }

        #[test]
        fn err_noise(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = StoredHead::from_bytes(noise);
        }
    }
}
