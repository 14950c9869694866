//! Rules and their results, sorted by the controls that the rules speak for.
//!
//! How a control stands follows from the results alone (`docs/format/evidence.md`, "Standing"): the worst of its rules' verdicts. That
//! no rule speaks for it, or that none of its rules was judged, are standings of their own, and never green.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Catalogue, catalogue};
use crate::explain::{Listed, list};
use crate::profile;
use crate::report::{Report, Verdict};
use crate::sources::{PolicyError, RegoVersion};

/// How a rule or a control stands, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// A rule does not hold.
    Fail,
    /// A rule could not be evaluated, or has no result.
    Error,
    /// What a rule needs is not known.
    Unknown,
    /// A rule found something to look at.
    Warn,
    /// A rule does not hold, and somebody answers for that.
    Waived,
    /// What was judged holds.
    Pass,
    /// There is nothing that its rules speak of.
    NotApplicable,
    /// There are rules, and none was judged.
    NotEvaluated,
    /// No rule speaks for it: it must be shown by other means.
    NoRule,
}

impl From<Verdict> for Standing {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Fail => Self::Fail,
            Verdict::Error => Self::Error,
            Verdict::Unknown => Self::Unknown,
            Verdict::Warn => Self::Warn,
            Verdict::Waived => Self::Waived,
            Verdict::Pass => Self::Pass,
            Verdict::NotApplicable => Self::NotApplicable,
        }
    }
}

/// A framework, control by control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameworkView {
    /// Its name.
    pub framework: String,
    /// What it is called.
    pub title: String,
    /// Which text is meant, with its version.
    pub source: String,
    /// Which part of it the catalogue covers.
    pub scope: String,
    /// The number of controls of each standing.
    pub summary: BTreeMap<Standing, u64>,
    /// Every control of the catalogue, in its order.
    pub controls: Vec<ControlView>,
    /// Controls that rules name and the catalogue does not know.
    pub unlisted: Vec<Unlisted>,
}

/// A control, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlView {
    /// Its id.
    pub control: String,
    /// What it asks for, in our own words.
    pub title: String,
    /// How it stands.
    pub verdict: Standing,
    /// The rules that speak for it.
    pub rules: Vec<RuleView>,
    /// What muster can show for it; empty: nothing.
    pub shows: String,
    /// What must be shown by other means.
    pub not_shown: String,
}

/// A rule that speaks for a control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleView {
    /// Its id.
    pub rule: String,
    /// The profile that it belongs to, if any.
    pub profile: Option<String>,
    /// How it stands.
    pub verdict: Standing,
}

/// A control that is in no catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlisted {
    /// The rule that names it.
    pub rule: String,
    /// Its id, as the rule has it.
    pub control: String,
}

/// These frameworks by a report over these profiles. Rules of other profiles stand there as not evaluated.
///
/// # Errors
/// A framework or a profile that muster does not know.
pub fn framework_report(
    frameworks: &[&str],
    profiles: &[&str],
    report: &Report,
) -> Result<Vec<FrameworkView>, PolicyError> {
    let rules = list(&profile::profiles(), &[], RegoVersion::V1)?;
    let mut worst: BTreeMap<&str, Standing> = BTreeMap::new();
    for finding in &report.results {
        let found = Standing::from(finding.verdict);
        let known = worst.entry(&finding.rule).or_insert(found);
        *known = found.min(*known);
    }
    let standing = |listed: &Listed| {
        let judged = listed.profile.as_deref().is_some_and(|name| profiles.contains(&name));
        // What was to be judged and did not report is no pass.
        let silent = if judged {
            Standing::Error
        } else {
            Standing::NotEvaluated
        };
        worst.get(listed.rule.as_str()).copied().unwrap_or(silent)
    };
    views(frameworks, &rules, &standing)
}

/// These frameworks by rules of which none was judged.
///
/// # Errors
/// A framework that muster does not know.
pub fn framework_rules(frameworks: &[&str], rules: &[Listed]) -> Result<Vec<FrameworkView>, PolicyError> {
    views(frameworks, rules, &|_| Standing::NotEvaluated)
}

fn views(
    frameworks: &[&str],
    rules: &[Listed],
    standing: &dyn Fn(&Listed) -> Standing,
) -> Result<Vec<FrameworkView>, PolicyError> {
    let mut seen = BTreeSet::new();
    let wanted = frameworks.iter().filter(|name| seen.insert(**name));
    wanted.map(|name| Ok(view(catalogue(name)?, rules, standing))).collect()
}

fn view<'a>(catalogue: Catalogue, rules: &'a [Listed], standing: &dyn Fn(&Listed) -> Standing) -> FrameworkView {
    let mut speaking: BTreeMap<&'a str, Vec<RuleView>> = BTreeMap::new();
    for listed in rules {
        let of_here = |named: &'a String| named.strip_prefix(catalogue.framework.as_str())?.strip_prefix(':');
        let named = listed.about.controls.iter().filter_map(of_here);
        for control in named.collect::<BTreeSet<_>>() {
            speaking.entry(control).or_default().push(RuleView {
                rule: listed.rule.clone(),
                profile: listed.profile.clone(),
                verdict: standing(listed),
            });
        }
    }
    let mut summary: BTreeMap<Standing, u64> = BTreeMap::new();
    let mut controls = Vec::new();
    for control in catalogue.controls {
        let mut rules = speaking.remove(control.id.as_str()).unwrap_or_default();
        rules.sort_by(|a, b| (&a.rule, &a.profile).cmp(&(&b.rule, &b.profile)));
        rules.dedup();
        let verdict = rules.iter().map(|rule| rule.verdict).min().unwrap_or(Standing::NoRule);
        *summary.entry(verdict).or_default() += 1;
        controls.push(ControlView {
            control: control.id,
            title: control.title,
            verdict,
            rules,
            shows: control.shows,
            not_shown: control.not_shown,
        });
    }
    let unlisted = speaking.into_iter().flat_map(|(control, rules)| {
        rules.into_iter().map(move |rule| Unlisted {
            rule: rule.rule,
            control: control.to_owned(),
        })
    });
    FrameworkView {
        framework: catalogue.framework,
        title: catalogue.title,
        source: catalogue.source,
        scope: catalogue.scope,
        summary,
        controls,
        unlisted: unlisted.collect(),
    }
}
