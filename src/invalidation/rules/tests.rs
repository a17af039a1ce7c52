use super::*;
use crate::{
    invalidation::{rule::Cause, target::Target},
    semantics::directives::Directives,
    stored::{FoundValid, Membership, Rare, RareParts},
};
use http::{HeaderMap, StatusCode};
use std::time::SystemTime;

const KEEP: Duration = Duration::from_secs(86_400);

fn key(uri: &str) -> CacheKey {
    crate::KeyPolicy::default().key_of_uri(&uri.parse().unwrap()).unwrap()
}

fn now() -> Moment {
    Moment { wall: SystemTime::UNIX_EPOCH + KEEP, monotonic: None }
}

/// As if it were fetched now.
fn head(primary: &CacheKey, tags: &[&str]) -> ResponseHead {
    let named = tags.iter().map(|tag| primary.group(tag)).collect();
    ResponseHead {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        directives: Directives::default().into(),
        lifetime: KEEP,
        corrected_initial_age: Duration::ZERO,
        response_time: now(),
        date: now().wall.into(),
        content: 0,
        fetch: sequence::next(),
        found_valid: FoundValid::default(),
        rare: of(Membership { named, any: false, uri: None }),
    }
}

fn of(groups: Membership) -> Rare {
    RareParts { groups, ..RareParts::default() }.into()
}

fn make(rules: &Rules, cause: Cause, targets: Vec<Target>) -> Made {
    rules.make(Draft { mode: Mode::Hard, cause, targets }, now(), KEEP)
}

fn tag(name: impl Into<String>) -> Target {
    Target::tag(&name.into()).unwrap()
}

#[test]
fn a_rule_concerns_what_was_asked_for_before() {
    let rules = Rules::default();
    let (a, b) = (key("http://h/a"), key("http://i/b?c"));
    let old = [head(&a, &["x"]), head(&b, &["y"])];
    let found = |old: &[ResponseHead; 2]| {
        [rules.validity(&a, &old[0]), rules.validity(&b, &old[1])]
            .map(|validity| validity == Validity::Valid)
    };
    assert_eq!(found(&old), [true, true]);
    make(&rules, Cause::Operator, vec![tag("x")]);
    assert_eq!(found(&old), [false, true]);
    let new = [head(&a, &["x"]), head(&b, &["y"])];
    assert_eq!(found(&new), [true, true]);
    make(&rules, Cause::Operator, vec![Target::path("/b*").unwrap().of_host("i").unwrap()]);
    assert_eq!(found(&new), [true, false]);
    make(&rules, Cause::Answer, vec![Target::Group(a.group("x"))]);
    assert_eq!(found(&new), [false, false]);
    let new = [head(&a, &[]), head(&b, &[])];
    make(&rules, Cause::Operator, vec![tag("x"), Target::path("/a?*").unwrap()]);
    assert_eq!(found(&new), [true, true]);
    make(&rules, Cause::Operator, vec![Target::Uri(b.clone())]);
    assert_eq!(found(&new), [true, false]);
    make(&rules, Cause::Operator, vec![Target::everything()]);
    assert_eq!(found(&new), [false, false]);
}

#[test]
fn what_has_too_many_tags_has_every_tag() {
    let rules = Rules::default();
    let a = key("http://h/a");
    let old = head(&a, &["x"]);
    let groups = Membership { any: true, ..old.rare.groups.clone() };
    let many = ResponseHead { rare: of(groups), ..old.clone() };
    make(&rules, Cause::Operator, vec![tag("else")]);
    assert_eq!(rules.validity(&a, &old), Validity::Valid);
    assert_eq!(rules.validity(&a, &many), Validity::Hard);
}

#[test]
fn two_layers_do_not_mistake_each_others_verdicts() {
    let (one, other) = (Rules::default(), Rules::default());
    let a = key("http://h/a");
    let old = head(&a, &[]);
    make(&one, Cause::Operator, vec![tag("x")]);
    make(&other, Cause::Operator, vec![Target::everything()]);
    assert_eq!(one.validity(&a, &old), Validity::Valid);
    assert_eq!(other.validity(&a, &old), Validity::Hard);
    assert_eq!(one.validity(&a, &old), Validity::Valid);
}

#[test]
fn memory_is_bounded_and_what_is_forgotten_still_holds() {
    let rules = Rules::default();
    let a = key("http://h/a");
    let (old, untagged) = (head(&a, &["0"]), head(&a, &[]));
    let many = 150_000_u32;
    let mut forgotten = 0;
    for n in 0..many {
        let made = make(&rules, Cause::Operator, vec![tag(n.to_string())]);
        forgotten += made.gone.len();
        assert_eq!(made.has_forgotten, !made.gone.is_empty());
    }
    assert_eq!(rules.len() + forgotten as u64, u64::from(many));
    assert!(rules.len() <= 131_072);
    assert_eq!(rules.validity(&a, &old), Validity::Hard, "forgotten, and in force");
    assert_eq!(rules.validity(&a, &untagged), Validity::Valid, "of other kinds");
    assert_eq!(rules.validity(&a, &head(&a, &["0"])), Validity::Valid, "asked for later");
}

#[test]
fn long_patterns_are_bounded_in_bytes() {
    let rules = Rules::default();
    let a = key("http://h/a");
    let old = head(&a, &[]);
    for n in 0..10_000 {
        let pattern = format!("/{n:05}{}*", "x".repeat(3_990));
        make(&rules, Cause::Operator, vec![Target::path(&pattern).unwrap()]);
    }
    assert!(rules.len() < 10_000);
    assert_eq!(rules.validity(&a, &old), Validity::Hard, "whatever it was that was forgotten");
}

#[test]
fn what_answers_name_does_not_drive_out_what_operators_name() {
    let rules = Rules::default();
    let a = key("http://h/a");
    let old = head(&a, &["t"]);
    make(&rules, Cause::Operator, vec![tag("u")]);
    for n in 0..40_000 {
        let uri = Target::Uri(key(&format!("http://h/{n}")));
        make(&rules, Cause::Answer, vec![uri]);
    }
    assert!(rules.len() <= 16_385);
    assert_eq!(rules.validity(&a, &old), Validity::Valid, "one with a key of its URI alone");
    let uri = Some(Box::new(a.clone()));
    let groups = Membership { uri, ..old.rare.groups.clone() };
    let more = ResponseHead { rare: of(groups), ..old.clone() };
    assert_eq!(rules.validity(&a, &more), Validity::Hard, "one that could not be deleted");
}

#[test]
fn a_target_that_is_named_again_takes_no_more() {
    let rules = Rules::default();
    let first = make(&rules, Cause::Operator, vec![tag("a"), tag("b"), tag("a")]);
    assert_eq!((rules.len(), first.gone), (2, vec![]));
    assert_eq!(make(&rules, Cause::Operator, vec![tag("a")]).gone, []);
    let last = make(&rules, Cause::Operator, vec![tag("b")]);
    assert_eq!((rules.len(), last.gone), (2, vec![first.rule.number]));
}

#[test]
fn rules_older_than_anything_fresh_are_forgotten() {
    let rules = Rules::default();
    let a = key("http://h/a");
    let old = head(&a, &["x"]);
    let at = |seconds| Moment { wall: now().wall + Duration::from_secs(seconds), ..now() };
    let draft = |name| Draft { mode: Mode::Hard, cause: Cause::Operator, targets: vec![tag(name)] };
    for (n, seconds) in [0, 10, 40_000].into_iter().enumerate() {
        rules.make(draft(["a", "b", "c"][n]), at(seconds), KEEP);
    }
    let made = rules.make(draft("d"), at(110_000), KEEP);
    assert_eq!((rules.len(), made.gone.len(), made.has_forgotten), (2, 2, true));
    assert_eq!(rules.validity(&a, &old), Validity::Hard);
}

#[test]
fn what_a_store_has_kept_is_in_force() {
    let rules = Rules::default();
    let a = key("http://h/a");
    let old = head(&a, &["x"]);
    let soft = Draft { mode: Mode::Soft, cause: Cause::Operator, targets: vec![tag("x")] };
    let first = rules.make(soft.clone(), now(), KEEP).rule;
    let second = rules.make(soft, now(), KEEP).rule;
    let restored = Rules::default();
    let gone = restored.restore(vec![second, first.clone()], Floors::default());
    assert_eq!(gone, [first.number], "it says nothing beside the second one");
    assert_eq!(restored.validity(&a, &old), Validity::Soft(Some(now())));
    let restored = Rules::default();
    restored.restore(Vec::new(), Floors::everything(sequence::next()));
    assert_eq!(restored.validity(&a, &old), Validity::Hard);
    assert_eq!(restored.validity(&a, &head(&a, &[])), Validity::Valid);
}
