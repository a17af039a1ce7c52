//! The counts, as the reference runner prints them.
use crate::{
    definition::Kind,
    preset::{Replay, Standing},
};

pub(crate) fn print(replay: &Replay) {
    println!("preset {}", replay.preset.name());
    for kind in [Kind::Required, Kind::Optimal] {
        let (mut passed, mut failed, mut known) = (0, 0, 0);
        for (id, standing) in standings(replay, kind) {
            match standing {
                Standing::Passed => passed += 1,
                _ if replay.expected.reason(id).is_some() => known += 1,
                _ => failed += 1,
            }
        }
        println!("  {}: {passed} passed, {failed} failed, {known} skipped", kind.name());
    }
    checks(replay);
    println!();
}

/// There is no right answer to these.
fn checks(replay: &Replay) {
    let (mut yes, mut no, mut silent) = (0, Vec::new(), 0);
    for (id, standing) in standings(replay, Kind::Check) {
        match standing {
            Standing::Passed => yes += 1,
            Standing::NotPassed(_) => no.push(id),
            Standing::Blocked(_) => silent += 1,
        }
    }
    println!("  check: {yes} yes, {} no, {silent} n/a; no: {}", no.len(), no.join(", "));
}

fn standings(replay: &Replay, kind: Kind) -> impl Iterator<Item = (&str, Standing<'_>)> {
    let counted = move |case: &crate::definition::Case| case.kind == kind && !case.dependency_only;
    replay
        .cases
        .iter()
        .enumerate()
        .filter(move |(_, case)| counted(case))
        .map(|(index, case)| (case.id.as_str(), replay.standing(index)))
}
