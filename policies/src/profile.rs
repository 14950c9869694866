//! Profiles: rule sets compiled into the binary, over the facts that muster collects.
//!
//! A rule is one package. It names its `resources` and sorts each of them, with a message, into one of `pass`, `fail`,
//! `warn`, `unknown` and `not_applicable`. A pass must be proven like everything else: a resource that a rule names and
//! does not sort, or sorts twice, is an `error`, and so is a rule without resources. See `docs/format/facts.md`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use time::OffsetDateTime;

use crate::builtins::World;
use crate::check::reference;
use crate::engine::{Engine, Module, Session, on_deep_stack};
use crate::metadata::{self, Rule};
use crate::report::{Finding, Report, Verdict};
use crate::sandbox::Sandbox;
use crate::sources::{PolicyError, RegoVersion};

/// The schema name of the facts document.
pub const FACTS_SCHEMA: &str = "muster.facts/1";

/// A profile: its name and the Rego files in it, tests aside.
pub(crate) struct Profile {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// For each rule's file, by name, documents with the verdict that it gives them.
    examples: &'static [(&'static str, &'static str)],
}

/// The files of a profile's folder (`lib` and rules with their examples), as they were when muster was built.
macro_rules! profile {
    ($name:literal: $($file:literal)*) => {
        Profile {
            name: $name,
            files: &[
                (
                    concat!($name, "/lib.rego"),
                    include_str!(concat!("../profiles/", $name, "/lib.rego")),
                ),
                $((
                    concat!($name, "/", $file, ".rego"),
                    include_str!(concat!("../profiles/", $name, "/", $file, ".rego")),
                )),*
            ],
            examples: &[$((
                concat!($name, "/", $file, ".rego"),
                include_str!(concat!("../profiles/", $name, "/", $file, ".json")),
            )),*],
        }
    };
}

static PROFILES: [Profile; 3] = [
    profile!("dr-baseline":
        "backup_role_least_privilege"
        "checks_configured"
        "duties_separated"
        "objectives_set"
        "postgres_archive_mode"
        "postgres_archiver_works"
        "postgres_data_checksums"
        "postgres_fsync"
        "postgres_full_page_writes"
        "postgres_slots_active"
        "postgres_wal_level"
        "recovery_point_complete"
        "recovery_point_exists"
        "recovery_point_within_rpo"
        "rehearsal_depth"
        "rehearsal_isolated"
        "rehearsal_met_rpo"
        "rehearsal_met_rto"
        "rehearsed_recently"
        "repository_elsewhere"
        "repository_encrypted"
        "repository_immutable"
        "repository_whole"
        "root_key_offline"
        "size_plausible"
        "stores_audited"
    ),
    profile!("object-storage":
        "acl_not_public"
        "encrypted_by_default"
        "locked_by_default"
        "nothing_expires"
        "old_versions_expire"
        "policy_not_public"
        "public_access_blocked"
        "reached_over_tls"
        "replicated_elsewhere"
        "versioning_on"
    ),
    profile!("postgres":
        "access_rules_parse"
        "connections_logged"
        "encrypted_connections"
        "extensions_current"
        "few_superusers"
        "fsync_on"
        "full_pages_logged"
        "log_archived"
        "log_enough_for_recovery"
        "modern_tls"
        "network_means_tls"
        "no_trust"
        "no_untrusted_languages"
        "no_weak_authentication"
        "not_the_whole_world"
        "pages_checksummed"
        "passwords_as_scram"
        "public_cannot_create"
        "row_policies_enforced"
        "slots_hold_no_log"
        "version_supported"
    ),
];

pub(crate) const OUTCOMES: [(&str, Verdict); 5] = [
    ("fail", Verdict::Fail),
    ("unknown", Verdict::Unknown),
    ("warn", Verdict::Warn),
    ("not_applicable", Verdict::NotApplicable),
    ("pass", Verdict::Pass),
];

/// The names of the profiles.
pub fn profiles() -> Vec<&'static str> {
    PROFILES.iter().map(|profile| profile.name).collect()
}

/// The Rego files of a profile as `(path, text)`, for a bundle to carry.
pub fn sources(profile: &str) -> Result<Vec<(&'static str, &'static str)>, PolicyError> {
    let mut files = exists(profile)?.files.to_vec();
    files.sort_unstable();
    Ok(files)
}

/// The documents beside a rule's file, by the verdict that it gives them.
pub(crate) fn examples(profile: &str, file: &str) -> Result<Option<Value>, PolicyError> {
    let found = exists(profile)?.examples.iter().find(|(name, _)| *name == file);
    let read = |(name, text): &(&str, &str)| {
        serde_json::from_str(text).map_err(|error| PolicyError::refused(name, None, error.to_string()))
    };
    found.map(read).transpose()
}

/// The rules of a profile, in the order of their ids.
pub fn rules(profile: &str) -> Result<Vec<Rule>, PolicyError> {
    let files = exists(profile)?.files;
    on_deep_stack(|| {
        let mut engine = Engine::new(OffsetDateTime::UNIX_EPOCH)?;
        load(&mut engine, files)?;
        let mut rules: Vec<Rule> = engine.modules().iter().filter_map(rule_of).collect();
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(rules)
    })?
}

/// Judges a facts document by these profiles, with the clock at `now`.
pub fn evaluate_profile(names: &[&str], facts: &Value, now: OffsetDateTime) -> Result<Report, PolicyError> {
    if names.is_empty() {
        return Err(PolicyError::NothingSelected);
    }
    let found = on_deep_stack(|| evaluate(names, facts, now))??;
    Ok(Report::new(found.findings, found.prints).about(found.rules))
}

/// Whether a document claims to hold facts.
pub(crate) fn is_facts(document: &Value) -> bool {
    document.get("schema").and_then(Value::as_str) == Some(FACTS_SCHEMA)
}

/// What profiles found, what they printed, and the rules that judged.
#[derive(Default)]
pub(crate) struct Evaluated {
    pub(crate) findings: Vec<Finding>,
    pub(crate) prints: Vec<String>,
    pub(crate) rules: Vec<Rule>,
}

pub(crate) fn evaluate(names: &[&str], facts: &Value, now: OffsetDateTime) -> Result<Evaluated, PolicyError> {
    let mut found = Evaluated::default();
    for name in names.iter().collect::<BTreeSet<_>>() {
        let mut engine = Engine::new(now)?;
        load(&mut engine, exists(name)?.files)?;
        found.add(name, engine, facts)?;
    }
    Ok(found)
}

impl Evaluated {
    /// Judges by the profile that the engine has loaded.
    fn add(&mut self, name: &str, mut engine: Engine, facts: &Value) -> Result<(), PolicyError> {
        engine.compile()?;
        if !is_facts(facts) {
            let why = format!("the facts document is not {FACTS_SCHEMA}");
            self.findings.push(Finding::error(name, name, why));
            return Ok(());
        }
        let mut session = engine.session(Some(facts));
        for module in engine.modules() {
            if let Some(rule) = rule_of(module) {
                let findings = judge(&rule, module, &mut session, &mut self.prints);
                self.findings.extend(findings);
                self.rules.push(rule);
            }
        }
        Ok(())
    }
}

/// Judges a facts document once more, by the texts of profiles as a bundle carries them: `files` by path, `<profile>/<rule>.rego`.
///
/// These texts came from elsewhere: they are evaluated in the sandbox.
///
/// # Errors
/// A profile of which there is no file, or files that do not load.
pub fn replay_profile(
    files: &BTreeMap<String, String>,
    names: &[&str],
    facts: &Value,
    now: OffsetDateTime,
    sandbox: &Sandbox,
) -> Result<Report, PolicyError> {
    if names.is_empty() {
        return Err(PolicyError::NothingSelected);
    }
    let replay = || -> Result<Evaluated, PolicyError> {
        let mut found = Evaluated::default();
        for name in names.iter().collect::<BTreeSet<_>>() {
            let beneath = format!("{name}/");
            let of_profile = files.iter().filter(|(path, _)| path.starts_with(&beneath));
            let of_profile: Vec<(&str, &str)> = of_profile.map(|(path, text)| (path.as_str(), text.as_str())).collect();
            if of_profile.is_empty() {
                return Err(PolicyError::NoPolicy(beneath));
            }
            let mut engine = Engine::apart(World::default(), now, Some(sandbox))?;
            load(&mut engine, &of_profile)?;
            found.add(name, engine, facts)?;
        }
        Ok(found)
    };
    let found = on_deep_stack(replay)??;
    Ok(Report::new(found.findings, found.prints).about(found.rules))
}

pub(crate) fn exists(name: &str) -> Result<&'static Profile, PolicyError> {
    let known = || profiles().join(", ");
    PROFILES
        .iter()
        .find(|profile| profile.name == name)
        .ok_or_else(|| PolicyError::UnknownProfile {
            name: name.to_owned(),
            known: known(),
        })
}

pub(crate) fn load(engine: &mut Engine, files: &[(&str, &str)]) -> Result<(), PolicyError> {
    files
        .iter()
        .try_for_each(|(path, text)| engine.add_module(path, text, RegoVersion::V1))
}

/// The rule that a module holds; a module whose package has no id is a library.
pub(crate) fn rule_of(module: &Module) -> Option<Rule> {
    let rule = metadata::describe(&module.package, "", &module.path, &module.annotations);
    module
        .annotations
        .iter()
        .any(|annotation| annotation.has_id())
        .then_some(rule)
}

/// One finding for each resource that the rule names.
fn judge(rule: &Rule, module: &Module, session: &mut Session, prints: &mut Vec<String>) -> Vec<Finding> {
    let mut evaluate = |name: &str| -> Result<Vec<Value>, String> {
        if !module.rules.iter().any(|head| head.name == name) {
            return Ok(Vec::new());
        }
        let evaluation = session.evaluate(&reference(&module.package, name))?;
        prints.extend(evaluation.prints);
        if let Some(why) = evaluation.suppressed {
            return Err(format!("{name} leaned on a suppressed error: {why}"));
        }
        match evaluation.value {
            Some(Value::Array(items)) => Ok(items),
            None => Ok(Vec::new()),
            Some(_) => Err(format!("{name} is not a set")),
        }
    };
    let whole = |why: String| vec![Finding::new(rule, Verdict::Error, &rule.package, why)];
    let mut sorted: BTreeMap<String, BTreeMap<Verdict, Vec<String>>> = BTreeMap::new();
    match evaluate("resources") {
        Ok(resources) => {
            sorted.extend(
                resources
                    .iter()
                    .filter_map(Value::as_str)
                    .map(|name| (name.to_owned(), BTreeMap::new())),
            );
        }
        Err(why) => return whole(why),
    }
    if sorted.is_empty() {
        return whole("names no resource: nothing was evaluated".to_owned());
    }
    for (name, verdict) in OUTCOMES {
        let items = match evaluate(name) {
            Ok(items) => items,
            Err(why) => return whole(why),
        };
        for item in items {
            let text = |key: &str| item.get(key).and_then(Value::as_str);
            let (Some(resource), Some(message)) = (text("resource"), text("message")) else {
                return whole(format!("{name} holds {item}, which is not a resource with a message"));
            };
            let Some(verdicts) = sorted.get_mut(resource) else {
                return whole(format!("{name} judges {resource}, which is not among its resources"));
            };
            verdicts.entry(verdict).or_default().push(message.to_owned());
        }
    }
    sorted
        .into_iter()
        .map(|(resource, verdicts)| single(rule, &resource, verdicts))
        .collect()
}

fn single(rule: &Rule, resource: &str, mut verdicts: BTreeMap<Verdict, Vec<String>>) -> Finding {
    let error = |why: String| Finding::new(rule, Verdict::Error, resource, why);
    match (verdicts.pop_first(), verdicts.is_empty()) {
        (None, _) => error("the rule says nothing about this resource: a fact that it needs is missing".to_owned()),
        (Some((verdict, messages)), true) => Finding::new(rule, verdict, resource, messages.join("; ")),
        (Some(_), false) => error("the rule gives this resource more than one verdict".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What a rule of this text finds on the stores `a` and `b`.
    fn found(body: &str, facts: &Value) -> Vec<(String, Verdict, String)> {
        let text = format!(
            "# METADATA\n# title: t\n# custom: {{id: X-1}}\npackage p.x\n\nimport rego.v1\n\nresources := {{\"a\", \"b\"}}\n\n{body}\n"
        );
        let judged = on_deep_stack(|| -> Result<Evaluated, PolicyError> {
            let mut engine = Engine::new(OffsetDateTime::UNIX_EPOCH)?;
            load(&mut engine, &[("p/x.rego", &text)])?;
            let mut found = Evaluated::default();
            found.add("p", engine, facts)?;
            Ok(found)
        });
        let findings = judged.unwrap().unwrap().findings.into_iter();
        findings
            .map(|finding| (finding.resource, finding.verdict, finding.message))
            .collect()
    }

    fn outcome(outcome: &str, resource: &str, message: &str) -> String {
        format!("{outcome} contains {{\"resource\": \"{resource}\", \"message\": \"{message}\"}} if input.schema\n")
    }

    #[test]
    fn a_resource_that_is_sorted_nowhere_or_twice_or_that_nobody_named_is_an_error() {
        let facts = json!({"schema": FACTS_SCHEMA});
        let (a, b) = (outcome("pass", "a", "holds"), outcome("pass", "b", "holds"));
        let both = found(&format!("{a}{b}"), &facts);
        assert!(
            both.iter().all(|one| one.1 == Verdict::Pass) && both.len() == 2,
            "{both:?}"
        );
        let cases = [
            (a.clone(), "says nothing about this resource"),
            (
                format!("{a}{b}{}", outcome("fail", "b", "too")),
                "more than one verdict",
            ),
            (
                format!("{a}{b}{}", outcome("warn", "c", "who")),
                "not among its resources",
            ),
            (
                format!("{a}{}", b.replace("if input.schema", "if not to_number(\"x\") == 1")),
                "leaned on a suppressed error",
            ),
        ];
        for (body, why) in cases {
            let found = found(&body, &facts);
            let told = |one: &(String, Verdict, String)| one.1 == Verdict::Error && one.2.contains(why);
            assert!(found.iter().any(told), "{why}: {found:?}");
            assert!(
                !found.iter().any(|one| one.0 == "b" && one.1 == Verdict::Pass),
                "{found:?}"
            );
        }
        let joined = found(&format!("{a}{b}{}", outcome("pass", "a", "also")), &facts);
        assert_eq!(joined[0].2, "also; holds");
    }

    #[test]
    fn facts_of_another_schema_are_not_judged() {
        let all = outcome("pass", "a", "holds") + &outcome("pass", "b", "holds");
        let other = found(&all, &json!({"schema": "muster.facts/2"}));
        assert_eq!(other.len(), 1, "{other:?}");
        assert!(
            other[0].1 == Verdict::Error && other[0].2.contains(FACTS_SCHEMA),
            "{other:?}"
        );
    }
}
