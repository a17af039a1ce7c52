//! The form in which a store keeps rules: a version byte, then parts with their lengths. Whatever is wrong with one is an error.
use super::{
    mark::{Mark, Mode},
    rule::{Cause, Floors, Rule},
    sequence::HIGHEST,
    target::Target,
};
use crate::CacheKey;
use bytes::{Buf, BufMut, Bytes};
use std::time::{Duration, SystemTime};

const VERSION: u8 = 1;
const RULE: u8 = b'r';
const STATE: u8 = b's';

/// The number under which a store keeps the state; no rule has it.
pub(crate) const STATE_NUMBER: u64 = 0;

/// What has to be known beside the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// No number up to this one is given again.
    pub(crate) reserved: u64,
    pub(crate) floors: Floors,
}

/// A note that cannot be read: damaged, or of another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// The number is not part of it: it is that of the note.
pub(crate) fn encode_rule(rule: &Rule) -> Bytes {
    let mut out = vec![VERSION, RULE];
    out.put_u8(match rule.cause {
        Cause::Operator => 0,
        Cause::Answer => 1,
    });
    out.put_u8(match rule.mode {
        Mode::Hard => 0,
        Mode::Soft => 1,
    });
    let at = rule.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    out.put_u64(at.as_secs());
    out.put_u32(at.subsec_nanos());
    put_length(&mut out, rule.targets.len());
    for target in &rule.targets {
        match target {
            Target::Uri(key) => put(&mut out, b'u', None, key.as_bytes()),
            Target::Group(key) => put(&mut out, b'g', None, key.as_bytes()),
            Target::Tag { host, name } => put(&mut out, b't', Some(host), name.as_bytes()),
            Target::Path { host, text, is_prefix } => {
                let kind = if *is_prefix { b'*' } else { b'/' };
                put(&mut out, kind, Some(host), text.as_bytes());
            }
        }
    }
    out.into()
}

pub(crate) fn decode_rule(number: u64, note: Bytes) -> Result<Rule, Damaged> {
    let mut input = begin(note, RULE)?;
    if number == STATE_NUMBER || number > HIGHEST {
        return Err(Damaged);
    }
    let cause = match get_u8(&mut input)? {
        0 => Cause::Operator,
        1 => Cause::Answer,
        _ => return Err(Damaged),
    };
    let mode = match get_u8(&mut input)? {
        0 => Mode::Hard,
        1 => Mode::Soft,
        _ => return Err(Damaged),
    };
    let seconds = get_u64(&mut input)?;
    let nanos = input.try_get_u32().map_err(|_| Damaged)?;
    if nanos >= 1_000_000_000 {
        return Err(Damaged);
    }
    let since = Duration::new(seconds, nanos);
    let at = SystemTime::UNIX_EPOCH.checked_add(since).ok_or(Damaged)?;
    // Not reserved in advance: a damaged count must not cost memory.
    let count = input.try_get_u32().map_err(|_| Damaged)?;
    let targets = (0..count).map(|_| get_target(&mut input)).collect::<Result<Vec<_>, _>>()?;
    if targets.is_empty() || input.has_remaining() {
        return Err(Damaged);
    }
    Ok(Rule { number, at, mode, cause, targets })
}

pub(crate) fn encode_state(state: &State) -> Bytes {
    let mut out = vec![VERSION, STATE];
    out.put_u64(state.reserved);
    for mark in state.floors.all() {
        out.put_u64(mark.hard);
        out.put_u64(mark.soft);
    }
    out.into()
}

pub(crate) fn decode_state(note: Bytes) -> Result<State, Damaged> {
    let mut input = begin(note, STATE)?;
    let mut number = || get_u64(&mut input).ok().filter(|number| *number <= HIGHEST).ok_or(Damaged);
    let reserved = number()?;
    let mut mark = || Ok(Mark { hard: number()?, soft: number()? });
    let floors = Floors { uris: mark()?, groups: mark()?, tags: mark()?, rest: mark()? };
    if input.has_remaining() { Err(Damaged) } else { Ok(State { reserved, floors }) }
}

fn begin(mut note: Bytes, kind: u8) -> Result<Bytes, Damaged> {
    let begins = (get_u8(&mut note)?, get_u8(&mut note)?);
    if begins == (VERSION, kind) { Ok(note) } else { Err(Damaged) }
}

/// What has no place for a host, has none; an empty one is none.
fn put(out: &mut Vec<u8>, kind: u8, host: Option<&Option<Box<str>>>, what: &[u8]) {
    out.put_u8(kind);
    if let Some(host) = host {
        put_bytes(out, host.as_deref().unwrap_or_default().as_bytes());
    }
    put_bytes(out, what);
}

fn get_target(input: &mut Bytes) -> Result<Target, Damaged> {
    let kind = get_u8(input)?;
    Ok(match kind {
        b'u' => Target::Uri(CacheKey::from_bytes(get_bytes(input)?)),
        b'g' => Target::Group(CacheKey::from_bytes(get_bytes(input)?)),
        b't' => Target::Tag { host: get_host(input)?, name: get_text(input)? },
        b'/' | b'*' => {
            let is_prefix = kind == b'*';
            Target::Path { host: get_host(input)?, text: get_text(input)?, is_prefix }
        }
        _ => return Err(Damaged),
    })
}

fn get_host(input: &mut Bytes) -> Result<Option<Box<str>>, Damaged> {
    get_text(input).map(|host| Some(host).filter(|host| !host.is_empty()))
}

fn get_text(input: &mut Bytes) -> Result<Box<str>, Damaged> {
    str::from_utf8(&get_bytes(input)?).map(Into::into).map_err(|_| Damaged)
}

/// Nothing here comes near four thousand million bytes; if it did, the note would be refused when read.
fn put_length(out: &mut Vec<u8>, length: usize) {
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.put_slice(bytes);
}

fn get_bytes(input: &mut Bytes) -> Result<Bytes, Damaged> {
    let length = input.try_get_u32().map_err(|_| Damaged)?;
    let length = usize::try_from(length).map_err(|_| Damaged)?;
    if length > input.remaining() { Err(Damaged) } else { Ok(input.split_to(length)) }
}

fn get_u8(input: &mut Bytes) -> Result<u8, Damaged> {
    input.try_get_u8().map_err(|_| Damaged)
}

fn get_u64(input: &mut Bytes) -> Result<u64, Damaged> {
    input.try_get_u64().map_err(|_| Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target() -> impl Strategy<Value = Target> {
        let host = || prop::option::of("[a-z.]{1,9}".prop_map(String::into_boxed_str));
        let text = || "[ -~é]{0,40}".prop_map(String::into_boxed_str);
        let key = || prop::collection::vec(any::<u8>(), 0..200).prop_map(CacheKey::from_bytes);
        prop_oneof![
            key().prop_map(Target::Uri),
            key().prop_map(Target::Group),
            (host(), text()).prop_map(|(host, name)| Target::Tag { host, name }),
            (host(), text(), any::<bool>()).prop_map(|(host, text, is_prefix)| Target::Path {
                host,
                text,
                is_prefix
            }),
        ]
    }

    prop_compose! {
        fn rule()(
            number in 1..=HIGHEST,
            (seconds, nanos) in (any::<u32>(), 0_u32..1_000_000_000),
            is_soft: bool,
            is_answer: bool,
            targets in prop::collection::vec(target(), 1..5),
        ) -> Rule {
            Rule {
                number,
                at: SystemTime::UNIX_EPOCH + Duration::new(seconds.into(), nanos),
                mode: if is_soft { Mode::Soft } else { Mode::Hard },
                cause: if is_answer { Cause::Answer } else { Cause::Operator },
                targets,
            }
        }
    }

    prop_compose! {
        fn state()(numbers in prop::array::uniform9(0..=HIGHEST)) -> State {
            let [reserved, marks @ ..] = numbers;
            let mark = |at: usize| Mark { hard: marks[at], soft: marks[at + 1] };
            let floors = Floors { uris: mark(0), groups: mark(2), tags: mark(4), rest: mark(6) };
            State { reserved, floors }
        }
    }

    proptest! {
        #[test]
        fn a_rule_survives_its_note(rule in rule()) {
            prop_assert_eq!(decode_rule(rule.number, encode_rule(&rule)), Ok(rule));
        }

        #[test]
        fn the_state_survives_its_note(state in state()) {
            prop_assert_eq!(decode_state(encode_state(&state)), Ok(state));
        }

        #[test]
        fn err_damaged_notes_are_refused_or_read_but_never_panic(
            rule in rule(), state in state(), at: prop::sample::Index, bit in 0_u8..8, cut: prop::sample::Index,
        ) {
            for note in [encode_rule(&rule), encode_state(&state)] {
                let mut damaged = note.to_vec();
                damaged[at.index(note.len())] ^= 1 << bit;
                _ = (decode_rule(1, damaged.clone().into()), decode_state(damaged.into()));
                let cut = note.slice(..cut.index(note.len()));
                prop_assert_eq!(decode_rule(1, cut.clone()), Err(Damaged));
                prop_assert_eq!(decode_state(cut), Err(Damaged));
            }
        }

        #[test]
        fn err_noise(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let noise = Bytes::from(noise);
            _ = (decode_rule(1, noise.clone()), decode_state(noise));
        }
    }

    #[test]
    fn err_numbers_that_no_rule_has() {
        let rule = Rule {
            number: 1,
            at: SystemTime::UNIX_EPOCH,
            mode: Mode::Hard,
            cause: Cause::Operator,
            targets: vec![Target::everything()],
        };
        for number in [STATE_NUMBER, HIGHEST + 1, u64::MAX] {
            assert_eq!(decode_rule(number, encode_rule(&rule)), Err(Damaged));
        }
    }
}
