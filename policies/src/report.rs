//! Verdicts, findings and what a run of them means as a whole.
//!
//! A report always says how much was judged: a selected rule or profile that evaluated nothing stands in it as an
//! `error`, so that an empty report cannot be taken for a green one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::input::Origin;
use crate::metadata::{Rule, Severity};
use crate::output::fingerprint;
use crate::waivers::Waivers;

/// The baseline state of what stood in the base of a comparison already.
const UNCHANGED: &str = "unchanged";

/// The answer for one rule, resource and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The rule was evaluated and holds.
    Pass,
    /// The rule was evaluated and does not hold.
    Fail,
    /// The rule found something to look at that does not gate.
    Warn,
    /// The rule says nothing about this resource, and says why.
    NotApplicable,
    /// What the rule needs is not known.
    Unknown,
    /// The rule could not be evaluated, or evaluated nothing.
    Error,
    /// The rule does not hold and somebody answers for that.
    Waived,
}

/// One verdict, with the keys of `muster.check/1`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The rule's id from its METADATA, else `<package>.<rule>`.
    pub rule: String,
    /// The verdict.
    pub verdict: Verdict,
    /// How bad a failure is, where the rule or its message says so.
    pub severity: Option<Severity>,
    /// The controls that the rule speaks for, as `<framework>:<id>`.
    pub controls: Vec<String>,
    /// What was judged: a store, the repository, a Kubernetes object, else the file.
    pub resource: String,
    /// Why, in one sentence; empty for a plain pass.
    pub message: String,
    /// The file that holds the resource; facts have none.
    pub file: Option<String>,
    /// The line in that file, one-based, where it is known.
    pub line: Option<u32>,
    /// The column of that line, one-based, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The JSON pointer of the value in the document, where the rule names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Against the base of a comparison: `new` or `unchanged`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<&'static str>,
    /// Who answers for a `waived` finding, and why; else null.
    pub waiver: Option<Value>,
    /// The built-in error that OPA's lenient evaluation suppressed on the way to this verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
    /// Which part of the file was judged; the path begins there.
    #[serde(skip)]
    pub(crate) origin: Origin,
}

impl Finding {
    /// Whether it counts. Against a base only what is new does, and what was never evaluated: a namespace without rules is no better
    /// for having had none before.
    pub fn counts(&self) -> bool {
        self.baseline != Some(UNCHANGED) || self.verdict == Verdict::Error && self.file.is_none()
    }

    /// A finding of a rule about a resource; the rest is filled in by the caller.
    pub(crate) fn new(rule: &Rule, verdict: Verdict, resource: &str, message: String) -> Self {
        Self {
            rule: rule.id.clone(),
            verdict,
            severity: rule.severity,
            controls: rule.controls.clone(),
            resource: resource.to_owned(),
            message,
            file: None,
            line: None,
            column: None,
            path: None,
            baseline: None,
            waiver: None,
            suppressed: None,
            origin: Origin::default(),
        }
    }

    /// Something that should have been judged and was not.
    pub(crate) fn error(rule: &str, resource: &str, message: String) -> Self {
        Self {
            rule: rule.to_owned(),
            verdict: Verdict::Error,
            severity: None,
            controls: Vec::new(),
            resource: resource.to_owned(),
            message,
            file: None,
            line: None,
            column: None,
            path: None,
            baseline: None,
            waiver: None,
            suppressed: None,
            origin: Origin::default(),
        }
    }
}

/// How many findings there are of each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each field counts the verdict of its name")]
pub struct Summary {
    pub pass: usize,
    pub fail: usize,
    pub warn: usize,
    pub not_applicable: usize,
    pub unknown: usize,
    pub error: usize,
    pub waived: usize,
}

/// What a run means as a whole, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// At least one rule does not hold.
    Failed,
    /// Something could not be evaluated, or nothing was.
    Incomplete,
    /// Something is not known.
    Unknown,
    /// Everything was evaluated and nothing fails.
    Clean,
}

impl Status {
    /// The process exit code that the command line gives for this status.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 6,
            Self::Incomplete => 8,
            Self::Unknown => 3,
            Self::Clean => 0,
        }
    }
}

/// All findings of a run, in a stable order, and what the policies printed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    schema: &'static str,
    /// The count of each verdict.
    pub summary: Summary,
    /// Every finding.
    pub results: Vec<Finding>,
    /// What policies printed, as `file:line: text`; for diagnostics, not part of the document.
    #[serde(skip)]
    pub prints: Vec<String>,
    /// What is known of the rules that judged, by id; for forms that describe them.
    #[serde(skip)]
    pub(crate) rules: BTreeMap<String, Rule>,
}

impl Report {
    /// Sorts and counts the findings; none at all is an `error`.
    pub(crate) fn new(mut results: Vec<Finding>, prints: Vec<String>) -> Self {
        if results.is_empty() {
            results.push(Finding::error("muster", "", "nothing was evaluated".to_owned()));
        }
        results.sort_by(|a, b| {
            (&a.file, a.line, &a.resource, &a.rule, a.verdict, &a.message).cmp(&(
                &b.file,
                b.line,
                &b.resource,
                &b.rule,
                b.verdict,
                &b.message,
            ))
        });
        let mut summary = Summary::default();
        for finding in &results {
            let count = match finding.verdict {
                Verdict::Pass => &mut summary.pass,
                Verdict::Fail => &mut summary.fail,
                Verdict::Warn => &mut summary.warn,
                Verdict::NotApplicable => &mut summary.not_applicable,
                Verdict::Unknown => &mut summary.unknown,
                Verdict::Error => &mut summary.error,
                Verdict::Waived => &mut summary.waived,
            };
            *count += 1;
        }
        Self {
            schema: "muster.check/1",
            summary,
            results,
            prints,
            rules: BTreeMap::new(),
        }
    }

    /// The same, with what its rules say of themselves.
    pub(crate) fn about(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.rules.extend(rules.into_iter().map(|rule| (rule.id.clone(), rule)));
        self
    }

    /// The same, with what these waivers cover waived, and with what is wrong with them. Those of rules that were not judged here are
    /// nobody's orphans: another run judges by them.
    #[must_use]
    pub fn waived(self, waivers: Waivers, now: OffsetDateTime) -> Self {
        let Self {
            mut results,
            prints,
            rules,
            ..
        } = self;
        waivers.apply(&mut results, now, &|rule| !rules.contains_key(rule));
        Self::new(results, prints).about(rules.into_values())
    }

    /// What the findings that count mean together.
    pub fn status(&self) -> Status {
        let any = |verdict| {
            let mut counted = self.results.iter().filter(|finding| finding.counts());
            counted.any(|finding| finding.verdict == verdict)
        };
        if any(Verdict::Fail) {
            Status::Failed
        } else if any(Verdict::Error) {
            Status::Incomplete
        } else if any(Verdict::Unknown) {
            Status::Unknown
        } else {
            Status::Clean
        }
    }

    /// Takes a folder off the front of all files and resources, so that two runs over copies of one tree can be compared.
    pub fn relocate(&mut self, root: &Path) {
        let root = format!("{}/", root.components().as_path().display());
        for finding in &mut self.results {
            for text in [
                Some(&mut finding.resource),
                finding.file.as_mut(),
                Some(&mut finding.message),
            ]
            .into_iter()
            .flatten()
            {
                *text = text.replace(&root, "");
            }
        }
    }

    /// Marks what stands in `base` too, judged by the same policies: as often as it stands there.
    pub fn compare(&mut self, base: &Self) {
        let mut known: BTreeMap<(Verdict, String), usize> = BTreeMap::new();
        for finding in &base.results {
            *known.entry((finding.verdict, fingerprint(finding))).or_default() += 1;
        }
        for finding in &mut self.results {
            let left = known
                .get_mut(&(finding.verdict, fingerprint(finding)))
                .filter(|left| **left > 0);
            finding.baseline = Some(match left {
                Some(left) => {
                    *left -= 1;
                    UNCHANGED
                }
                None => "new",
            });
        }
    }

    /// The rules that stand in this report.
    pub fn rules(&self) -> BTreeSet<&str> {
        self.results.iter().map(|finding| finding.rule.as_str()).collect()
    }
}
