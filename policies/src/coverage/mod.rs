//! What tests reach of the policies that they test: lines, and for each body of a rule whether it was ever true and ever false.
//!
//! Files of tests (`…_test.rego`) and tests elsewhere do not count: they always run. A line counts when a statement begins on it, or a
//! rule with none on that line; it is reached when the statement was evaluated or the rule held. A rule that was never true is dead or
//! untested; one that was never false was never seen to refuse anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use crate::builtins::Seen;
use crate::engine::{Engine, Evaluation, Session};
use crate::sources::is_test;

/// What the tests reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coverage {
    /// The part of the lines that was reached, in percent, two digits behind the point. Without a line it is 0.
    pub percent: f64,
    /// How many lines were reached.
    pub covered_lines: usize,
    /// How many lines count.
    pub lines: usize,
    /// The part of the rules' bodies that was true at least once, in percent.
    pub rules_percent: f64,
    /// What was asked for, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Whether that many lines were reached; nothing where nothing was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
    /// Each file of policies, by name.
    pub files: Vec<FileCoverage>,
    /// Bodies that no test saw hold.
    pub never_true: Vec<RuleCoverage>,
    /// Bodies that tests saw hold, and never saw not to.
    pub never_false: Vec<RuleCoverage>,
}

/// What the tests reached of one file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileCoverage {
    /// The file.
    pub file: String,
    /// The part of its lines that was reached, in percent.
    pub percent: f64,
    /// Lines that were reached.
    pub covered: Vec<Lines>,
    /// Lines that were not.
    pub not_covered: Vec<Lines>,
}

/// Lines from one to another, both included, one-based. Lines that do not count may lie between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Lines {
    pub start: u32,
    pub end: u32,
}

/// One body of a rule, or a rule without one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RuleCoverage {
    /// The file that holds it.
    pub file: String,
    /// Its line, one-based.
    pub line: u32,
    /// The package, without `data.`.
    pub package: String,
    /// The rule's name.
    pub name: String,
    /// Whether a test began to evaluate it.
    pub reached: bool,
}

/// Gathers what evaluations reach.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    lines: BTreeMap<String, BTreeSet<u32>>,
    bodies: BTreeMap<u32, (bool, bool)>,
}

impl Collector {
    /// Takes in what one evaluation reached in a session that watches.
    pub(crate) fn take(&mut self, session: &mut Session, evaluation: &Evaluation) {
        for (file, lines) in session.reached() {
            self.lines.entry(file).or_default().extend(lines);
        }
        for (body, Seen { held, failed, .. }) in &evaluation.bodies {
            let known = self.bodies.entry(*body).or_default();
            known.0 |= held;
            known.1 |= failed;
        }
    }

    /// What was reached of all that the engine holds.
    pub(crate) fn report(&self, engine: &Engine, threshold: Option<f64>) -> Coverage {
        let (mut files, mut never_true, mut never_false) = (Vec::new(), Vec::new(), Vec::new());
        let (mut covered_lines, mut lines, mut held_bodies, mut bodies) = (0, 0, 0, 0);
        for (place, module) in engine.modules().iter().enumerate() {
            if is_test(Path::new(&module.path)) {
                continue;
            }
            let reached = self.lines.get(&module.path);
            let is_reached = |line: &u32| reached.is_some_and(|reached| reached.contains(line));
            let counted = module.lines();
            let mut state: BTreeMap<u32, bool> = counted.iter().map(|line| (*line, is_reached(line))).collect();
            let probes = engine.probes().iter().zip(0u32..);
            for (probe, number) in probes.filter(|(probe, _)| probe.place == place) {
                let seen = self.bodies.get(&number);
                let (held, failed) = seen.copied().unwrap_or_default();
                if !counted.contains(&probe.line) {
                    *state.entry(probe.line).or_default() |= held;
                }
                bodies += 1;
                held_bodies += usize::from(held);
                let rule = || RuleCoverage {
                    file: module.path.clone(),
                    line: probe.line,
                    package: module.package.clone(),
                    name: probe.name.clone(),
                    reached: seen.is_some(),
                };
                if !held {
                    never_true.push(rule());
                } else if probe.conditional && !failed {
                    never_false.push(rule());
                }
            }
            let covered = state.values().filter(|reached| **reached).count();
            covered_lines += covered;
            lines += state.len();
            if !state.is_empty() {
                files.push(FileCoverage {
                    file: module.path.clone(),
                    percent: percent(covered, state.len()),
                    covered: ranges(&state, true),
                    not_covered: ranges(&state, false),
                });
            }
        }
        files.sort_by(|a, b| a.file.cmp(&b.file));
        never_true.sort();
        never_false.sort();
        let reached = percent(covered_lines, lines);
        Coverage {
            percent: reached,
            covered_lines,
            lines,
            rules_percent: percent(held_bodies, bodies),
            threshold,
            met: threshold.map(|least| reached >= least),
            files,
            never_true,
            never_false,
        }
    }
}

/// Rounded down, so that what is not whole is never told as whole.
#[expect(clippy::cast_precision_loss, reason = "a file of more than 2^52 lines is not read")]
fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (part as f64 * 10_000.0 / whole as f64).floor() / 100.0
}

/// Runs of counted lines of one state, between which no line of the other state lies.
fn ranges(state: &BTreeMap<u32, bool>, wanted: bool) -> Vec<Lines> {
    let mut ranges: Vec<Lines> = Vec::new();
    let mut open = false;
    for (line, reached) in state {
        match (*reached == wanted, ranges.last_mut().filter(|_| open)) {
            (true, Some(last)) => last.end = *line,
            (true, None) => ranges.push(Lines {
                start: *line,
                end: *line,
            }),
            (false, _) => {}
        }
        open = *reached == wanted;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rego::Options;
    use crate::selftest::{agree, answer, answer_by, cases};

    /// The cases to which another answer is given with these options.
    fn changed(options: Options) -> Vec<String> {
        let cases = cases().unwrap().into_iter();
        let changed = cases.filter(|case| {
            let plain = answer(&case.question, false);
            !agree(&plain, &answer_by(&case.question, false, options))
        });
        changed.map(|case| case.id).collect()
    }

    #[test]
    fn marks_change_no_answer_of_any_case() {
        let options = Options {
            probes: true,
            ..Options::default()
        };
        assert_eq!(changed(options), [""; 0]);
    }

    #[test]
    fn steps_change_no_answer_but_that_of_a_whole_package_which_they_stand_in() {
        let options = Options {
            steps: true,
            keep: true,
            ..Options::default()
        };
        assert_eq!(changed(options), ["data_overlap"]);
    }

    #[test]
    fn lines_of_one_state_are_one_range_until_another_state_is_met() {
        let state = BTreeMap::from([(3, true), (4, true), (7, true), (8, false), (9, true)]);
        let range = |start, end| Lines { start, end };
        assert_eq!(ranges(&state, true), [range(3, 7), range(9, 9)]);
        assert_eq!(ranges(&state, false), [range(8, 8)]);
    }

    #[test]
    fn a_share_is_never_rounded_up_and_nothing_is_no_success() {
        assert_eq!(percent(99_999, 100_000), 99.99);
        assert_eq!(percent(2, 3), 66.66);
        assert_eq!(percent(0, 0), 0.0);
    }
}
