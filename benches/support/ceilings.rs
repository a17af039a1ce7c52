//! `benches/ceilings.txt`: how much each case may cost. One line for each: name, instructions, allocations; `-` for what is not bounded.
use super::cases::CASES;
use std::{collections::BTreeMap, fs, path::PathBuf, process::ExitCode};

/// What a bench counts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    Instructions,
    Allocations,
}

pub(crate) struct Ceilings {
    column: Column,
    of: BTreeMap<String, [Option<f64>; 2]>,
}

/// What a ceiling is above what was counted when it was set.
const MARGIN: f64 = 1.10;

impl Ceilings {
    pub(crate) fn read(column: Column) -> Self {
        let text = fs::read_to_string(path()).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let of = lines.filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?.to_owned();
            let mut number = || words.next().and_then(|word| word.parse().ok());
            Some((name, [number(), number()]))
        });
        Self { column, of: of.collect() }
    }

    /// Prints the counts beside their ceilings. Fails if one is exceeded, or a case has none.
    pub(crate) fn judge(&self, counts: &[(&str, f64)]) -> ExitCode {
        println!("{:<26} {:>12} {:>12}", "each request or frame", "counted", "ceiling");
        let mut above = 0;
        for (name, count) in counts {
            let ceiling = self.of.get(*name).and_then(|both| both[self.column as usize]);
            let verdict = match ceiling {
                None => " no ceiling",
                Some(ceiling) if *count > ceiling => " ABOVE",
                Some(_) => "",
            };
            above += usize::from(!verdict.is_empty());
            let ceiling =
                ceiling.map_or_else(|| "-".to_owned(), |ceiling| self.column.show(ceiling));
            println!("{name:<26} {:>12} {ceiling:>12}{verdict}", self.column.show(*count));
        }
        if above > 0 {
            println!("{above} of {} are above their ceiling, or have none", counts.len());
        }
        if above == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Sets the ceilings a little above these counts.
    pub(crate) fn set(mut self, counts: &[(&str, f64)]) -> ExitCode {
        for (name, count) in counts {
            let both = self.of.entry((*name).to_owned()).or_default();
            both[self.column as usize] = Some(self.column.round_up(count * MARGIN));
        }
        let mut text = HEAD.to_owned();
        self.of.retain(|name, _| CASES.iter().any(|case| case.name == name));
        for (name, [instructions, allocations]) in &self.of {
            let show = |column: Column, number: &Option<f64>| {
                number.map_or_else(|| "-".to_owned(), |number| column.show(number))
            };
            text += &format!(
                "{name:<26} {:>12} {:>12}\n",
                show(Column::Instructions, instructions),
                show(Column::Allocations, allocations),
            );
        }
        fs::write(path(), text).expect("the file of ceilings can be written");
        ExitCode::SUCCESS
    }
}

impl Column {
    fn show(self, number: f64) -> String {
        match self {
            Self::Instructions => format!("{number:.0}"),
            Self::Allocations => format!("{number:.2}"),
        }
    }

    fn round_up(self, number: f64) -> f64 {
        match self {
            Self::Instructions => number.ceil(),
            Self::Allocations => (number * 100.0).ceil() / 100.0,
        }
    }
}

const HEAD: &str = "\
# What each request, or each frame of a long body, may cost at most, the harness taken off.
# A little above what was counted; `cargo bench --bench instructions -- --set` and `--bench allocations -- --set` write it anew.
# case                     instructions  allocations
";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/ceilings.txt")
}
