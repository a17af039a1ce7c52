//! All rules of a layer, and the one question that look-up asks of them.
use super::{
    ledger::Ledger,
    mark::{Mark, Mode},
    paths::{Paths, Text},
    record::State,
    sequence,
    table::Table,
    target::Target,
};
use crate::{
    CacheKey,
    clock::Moment,
    stored::{Membership, ResponseHead},
};
use std::{
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// Who has made a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Operator,
    /// The answer to an unsafe request (RFC 9111 section 4.4, RFC 9875 section 3).
    Answer,
}

/// A rule that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) mode: Mode,
    pub(crate) cause: Cause,
    pub(crate) targets: Vec<Target>,
}

/// A rule: what was asked for before it, and is named by it, is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) number: u64,
    pub(crate) at: SystemTime,
    pub(crate) mode: Mode,
    pub(crate) cause: Cause,
    pub(crate) targets: Vec<Target>,
}

/// What has to be told to the store about a rule that was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) rule: Rule,
    /// Rules that say nothing any more.
    pub(crate) gone: Vec<u64>,
    /// Some were forgotten, and are part of the [`State`] now.
    pub(crate) has_forgotten: bool,
}

/// What rules say of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    Valid,
    /// It is stale since then; it is not known since when if the rule was forgotten.
    Soft(Option<Moment>),
    /// As if it were not there.
    Hard,
}

/// What forgotten rules still say, of all that they might have named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Floors {
    /// Of URIs that answers have named: what the key of a response has beside its URI keeps it from being deleted, so that only those are concerned.
    pub(crate) uris: Mark,
    /// Of groups that answers have named: of responses with groups.
    pub(crate) groups: Mark,
    /// Of tags that operators have named: of responses with tags.
    pub(crate) tags: Mark,
    /// Of URIs and paths that operators have named: of all responses.
    pub(crate) rest: Mark,
}

#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Another one whenever a rule is made, and never the same in two layers; zero as long as there is no rule. A head remembers under which one it was
    /// found valid, so that most hits ask nothing else.
    stamp: AtomicU64,
    /// The number of the newest rule.
    newest: AtomicU64,
    book: RwLock<Book>,
}

#[derive(Debug, Default)]
struct Book {
    ledger: Ledger,
    /// Named by answers: all responses of an URI, and groups of an origin.
    uris: Table<CacheKey>,
    groups: Table<CacheKey>,
    /// Named by operators.
    tags: Table<Box<[u8]>>,
    host_tags: Table<Box<[u8]>>,
    targets: Table<CacheKey>,
    paths: Paths,
    newest_path: u64,
    floors: Floors,
}

impl Rules {
    /// What do the rules say of a response?
    pub(crate) fn validity(&self, primary: &CacheKey, head: &ResponseHead) -> Validity {
        let stamp = self.stamp.load(Ordering::Acquire);
        if stamp == 0 || head.found_valid.is(stamp) {
            return Validity::Valid;
        }
        let book = self.read();
        let uri = head.rare.groups.uri.as_deref();
        let mark =
            book.of_uri(primary, uri, head.fetch).or(book.of_tags(&head.rare.groups, head.fetch));
        match mark.concerns(head.fetch) {
            None => {
                head.found_valid.set(stamp);
                Validity::Valid
            }
            Some(Mode::Soft) => Validity::Soft(book.ledger.time_of(mark.soft)),
            Some(Mode::Hard) => Validity::Hard,
        }
    }

    /// Does a rule concern whatever is fetched for this key with this number? What tags it will have is not known.
    pub(crate) fn concern_key(&self, primary: &CacheKey, fetch: u64) -> bool {
        self.newest() > fetch && {
            let bare = primary.bare();
            self.read().of_uri(primary, bare.as_ref(), fetch).concerns(fetch).is_some()
        }
    }

    /// The number of the newest rule; what was asked for later is concerned by none.
    pub(crate) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// How many targets have rules.
    pub(crate) fn len(&self) -> u64 {
        self.read().ledger.len()
    }

    /// From now on nothing is reused that was asked for before and that the rule names: it is in force when this returns.
    pub(crate) fn make(&self, draft: Draft, now: Moment, keep: Duration) -> Made {
        let mut book = self.write();
        let Draft { mode, cause, targets } = draft;
        // Drawn under the lock, so that who sees a number sees all rules with lower ones.
        let rule = Rule { number: sequence::next(), at: now.wall, mode, cause, targets };
        let mut gone = book.add(&rule, now);
        let has_forgotten = book.forget_old(&now, keep, &mut gone);
        self.publish(rule.number);
        Made { rule, gone, has_forgotten }
    }

    /// Rules and floors that a store has kept. Those that say nothing any more are given back.
    pub(crate) fn restore(&self, rules: Vec<Rule>, floors: Floors) -> Vec<u64> {
        let mut book = self.write();
        book.floors = floors;
        let mut gone = Vec::new();
        let mut newest = floors.all().map(Mark::newest).into_iter().max().unwrap_or_default();
        for rule in &rules {
            gone.extend(book.add(rule, Moment { wall: rule.at, monotonic: None }));
            newest = newest.max(rule.number);
        }
        if newest > 0 {
            self.publish(newest);
        }
        gone
    }

    pub(crate) fn floors(&self) -> Floors {
        self.read().floors
    }

    /// What is to be kept beside the rules, if no number up to this one may be given again.
    pub(crate) fn state(&self, reserved: u64) -> State {
        State { reserved, floors: self.floors() }
    }

    /// Called with the book locked.
    fn publish(&self, number: u64) {
        static STAMPS: AtomicU64 = AtomicU64::new(0);
        self.newest.fetch_max(number, Ordering::Release);
        let stamp = STAMPS.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        self.stamp.store(stamp, Ordering::Release);
    }

    fn read(&self) -> RwLockReadGuard<'_, Book> {
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Book> {
        self.book.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// What is said of an URI: of the key itself, and of the URI if the key has more than it.
    fn of_uri(&self, primary: &CacheKey, uri: Option<&CacheKey>, fetch: u64) -> Mark {
        let mut mark = self.floors.rest;
        let bare = uri.unwrap_or(primary);
        if uri.is_some() {
            mark = mark.or(self.floors.uris);
        }
        if self.uris.may_concern(fetch) {
            mark = mark.or(self.uris.find(bare));
        }
        if self.targets.may_concern(fetch) {
            mark = mark.or(self.targets.find(bare));
        }
        if fetch < self.newest_path {
            let parts = primary.target();
            mark = mark.or(self.paths.find(parts.host, Text::new(parts.path, parts.query)));
        }
        mark
    }

    fn of_tags(&self, groups: &Membership, fetch: u64) -> Mark {
        if groups.named.is_empty() && !groups.any {
            return Mark::default();
        }
        let mut mark = self.floors.groups.or(self.floors.tags);
        // It has more tags than are kept: each of them may be meant.
        if groups.any {
            let tags = self.tags.newest().or(self.host_tags.newest());
            return mark.or(tags).or(self.groups.newest());
        }
        if self.groups.may_concern(fetch) {
            for group in &groups.named {
                mark = mark.or(self.groups.find(group));
            }
        }
        let (everywhere, of_hosts) =
            (self.tags.may_concern(fetch), self.host_tags.may_concern(fetch));
        if everywhere || of_hosts {
            for parts in groups.named.iter().map(CacheKey::target) {
                let Some(name) = parts.group else { continue };
                mark = mark.or(self.tags.find(name));
                if of_hosts {
                    mark = mark.or(self.host_tags.find(tag_key(parts.host, name).as_slice()));
                }
            }
        }
        mark
    }

    /// The rules that say nothing any more are given back.
    fn add(&mut self, rule: &Rule, at: Moment) -> Vec<u64> {
        let Rule { number, mode, .. } = *rule;
        self.ledger.open(rule, at);
        let mut gone = Vec::new();
        let mut say_gone = |number| gone.push(number);
        for target in &rule.targets {
            let gone = &mut say_gone;
            match target {
                Target::Uri(key) if rule.cause == Cause::Answer => {
                    self.uris.add(key.clone(), number, mode, gone);
                }
                Target::Uri(key) => self.targets.add(key.clone(), number, mode, gone),
                Target::Group(key) => self.groups.add(key.clone(), number, mode, gone),
                Target::Tag { host, name } => {
                    let name = name.as_bytes();
                    match host {
                        None => self.tags.add(name.into(), number, mode, gone),
                        Some(host) => {
                            let key = tag_key(host.as_bytes(), name).into_boxed_slice();
                            self.host_tags.add(key, number, mode, gone);
                        }
                    }
                }
                Target::Path { host, text, is_prefix } => {
                    self.newest_path = self.newest_path.max(number);
                    let mark = self.paths.at(host.as_deref(), text.as_bytes(), *is_prefix);
                    mark.add(number, mode, gone);
                }
            }
        }
        self.ledger.settle(gone)
    }

    /// Forgets what is older than anything that is fresh, and the older half of what is too much: what was asked for before that is invalid then, whatever it is.
    fn forget_old(&mut self, now: &Moment, keep: Duration, gone: &mut Vec<u64>) -> bool {
        let mut has_forgotten = false;
        for cause in [Cause::Operator, Cause::Answer] {
            let Some(last) = self.ledger.last_to_forget(cause, now, keep) else { continue };
            let mut taken = Vec::new();
            let floors = &mut self.floors;
            let mut into = |floor: &mut Mark, mark: Mark| {
                *floor = floor.or(mark);
                taken.extend(mark.numbers());
            };
            match cause {
                Cause::Answer => {
                    self.uris.forget(last, &mut |mark| into(&mut floors.uris, mark));
                    self.groups.forget(last, &mut |mark| into(&mut floors.groups, mark));
                }
                Cause::Operator => {
                    self.tags.forget(last, &mut |mark| into(&mut floors.tags, mark));
                    self.host_tags.forget(last, &mut |mark| into(&mut floors.tags, mark));
                    self.targets.forget(last, &mut |mark| into(&mut floors.rest, mark));
                    self.paths.forget(last, &mut |mark| into(&mut floors.rest, mark));
                }
            }
            has_forgotten |= !taken.is_empty();
            gone.extend(self.ledger.settle(taken));
        }
        has_forgotten
    }
}

impl Floors {
    pub(super) fn all(&self) -> [Mark; 4] {
        [self.uris, self.groups, self.tags, self.rest]
    }

    /// Everything that was asked for before is invalid.
    pub(crate) fn everything(number: u64) -> Self {
        Self { rest: Mark { hard: number, soft: 0 }, ..Self::default() }
    }
}

/// A tag of a host. No host has the byte between them.
fn tag_key(host: &[u8], name: &[u8]) -> Vec<u8> {
    [host, name].join(&0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        semantics::directives::Directives,
        stored::{FoundValid, Rare, RareParts},
    };
    use http::{HeaderMap, StatusCode};

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
        let draft =
            |name| Draft { mode: Mode::Hard, cause: Cause::Operator, targets: vec![tag(name)] };
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
}
