//! Policies: configuration and facts in, verdicts out.
//!
//! Rego is evaluated by regorus behind one module (`engine`), with the clock pinned, no network and no environment:
//! a verdict can be replayed from its inputs. Nothing evaluated is never a pass, an evaluation error is never lost, and
//! what would silently mean something else than under OPA is refused by name where that can be seen at load.
//! Two front doors: [`check`] judges files by Conftest's conventions, [`evaluate_profile`] judges the facts that muster
//! collects (`docs/format/facts.md`) by a profile compiled into the binary.

mod builtins;
mod bundles;
mod catalogue;
mod check;
pub mod conftest;
mod coverage;
mod engine;
mod explain;
#[doc(hidden)]
pub mod fuzzing;
mod input;
mod metadata;
mod output;
mod profile;
mod rego;
mod report;
pub mod sandbox;
pub mod selftest;
mod sources;
mod unit_tests;
mod waivers;

pub use catalogue::{
    ControlView, FrameworkView, RuleView, Standing, Unlisted, catalogue_source, framework_report, framework_rules,
    frameworks,
};
pub use check::{CheckOptions, Namespaces, check};
pub use coverage::{Coverage, FileCoverage, Lines, RuleCoverage};
pub use explain::{Document, ExplainOptions, Explained, Holding, Listed, Looked, Outcome, Stage, explain, list};
pub use metadata::{Rule, Severity};
pub use output::{Form, Rendered, Run, fingerprint, render};
pub use profile::{FACTS_SCHEMA, evaluate_profile, profiles, replay_profile, rules, sources};
pub use report::{Finding, Report, Status, Summary, Verdict};
pub use sources::{PolicyError, RegoVersion};
pub use unit_tests::{TestOptions, TestOutcome, TestReport, TestResult, TestSummary, test_policies};
pub use waivers::Waivers;
