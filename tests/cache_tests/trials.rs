//! One trial for each test that has a right answer, and one for the list of those that are known not to pass.
use crate::{
    REQUIRE, Unread,
    definition::Kind,
    preset::{Preset, Replay, Standing},
};
use libtest_mimic::{Completion, Failed, Trial};
use std::{env, sync::Arc};

type Judged = Result<Completion, Failed>;

pub(crate) fn of(replay: &Arc<Replay>) -> Vec<Trial> {
    let preset = replay.preset.name();
    let mut trials = Vec::new();
    for (index, case) in replay.cases.iter().enumerate().filter(|(_, case)| case.is_judged()) {
        let name = format!("{preset}::{}::{}", case.suite, case.id);
        let replay = Arc::clone(replay);
        let trial = Trial::ignorable_test(name, move || judged(&replay, index));
        trials.push(trial.with_kind(case.kind.name()));
    }
    let replay = Arc::clone(replay);
    trials.push(Trial::test(format!("{preset}::list"), move || list_is_sound(&replay)));
    trials
}

/// What stands for all trials of a preset where there is no data.
pub(crate) fn without_data(preset: Preset, unread: Unread) -> Trial {
    Trial::ignorable_test(preset.name(), move || {
        let required = env::var_os(REQUIRE).is_some_and(|value| value == "1");
        match unread {
            Unread::Malformed(why) => Err(format!("cannot read {}: {why}", crate::DATA).into()),
            Unread::Absent if required => Err(format!("{} is absent", crate::DATA).into()),
            Unread::Absent => Ok(Completion::ignored_with(format!("{} is absent", crate::DATA))),
        }
    })
}

fn judged(replay: &Replay, index: usize) -> Judged {
    let known = replay.expected.reason(&replay.cases[index].id);
    match (replay.standing(index), known) {
        (Standing::Passed, None) | (Standing::NotPassed(_), Some(_)) => Ok(Completion::Completed),
        (Standing::Passed, Some(reason)) => {
            Err(format!("passes, but is known not to: {reason}").into())
        }
        (Standing::NotPassed(outcome), None) => Err(outcome.report.clone().into()),
        (Standing::Blocked(dependency), Some(_)) => {
            Ok(Completion::ignored_with(format!("{dependency} did not pass")))
        }
        (Standing::Blocked(dependency), None) => {
            Err(format!("says nothing, because {dependency} did not pass").into())
        }
    }
}

/// Every line of the list has a reason and names a test that is judged.
fn list_is_sound(replay: &Replay) -> Result<(), Failed> {
    let is_judged = |id| replay.position(id).is_some_and(|index| replay.cases[index].is_judged());
    let strangers = replay.expected.ids().filter(|id| !is_judged(id));
    let strangers = strangers.map(|id| format!("{id}: there is no such test, or it is not judged"));
    let faults: Vec<_> = replay.expected.faults.iter().cloned().chain(strangers).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optimal => "optimal",
            Self::Check => "check",
        }
    }
}
