//! Files judged by Conftest's conventions.
//!
//! `deny`, `violation` and `warn`, each also with a `_suffix`, are sets of messages: one finding per message, and one
//! `pass` per rule and document without any. Where Conftest is silent (a namespace without rules, a rule that is no
//! set, a file that does not parse) the answer is an `error` finding.

mod documents;
mod judge;
mod names;
mod unknown;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;

use serde_json::Value;
use time::OffsetDateTime;

use crate::builtins::{Files, World};
use crate::engine::{Engine, on_deep_stack};
use crate::input::Origin;
use crate::metadata::{self, Rule};
use crate::profile;
use crate::rego;
use crate::report::{Finding, Report, Verdict};
use crate::sandbox::Sandbox;
use crate::sources::{self, PolicyError, RegoVersion};
use crate::waivers::Waivers;
use documents::{Named, Selection, combined};
use judge::Judge;

/// Which packages hold the rules to judge by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// These packages; each must hold a rule.
    Named(Vec<String>),
    /// Every package that holds a rule.
    All,
}

impl Default for Namespaces {
    fn default() -> Self {
        Self::Named(vec!["main".to_owned()])
    }
}

/// What to judge by.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// Files and folders of `.rego` policies.
    pub policies: Vec<PathBuf>,
    /// Profiles compiled into muster; they judge the facts documents among the inputs.
    pub profiles: Vec<String>,
    /// Files and folders of JSON and YAML that become `data`.
    pub data: Vec<PathBuf>,
    /// Which packages count.
    pub namespaces: Namespaces,
    /// Which version of Rego the policies are written in.
    pub rego_version: RegoVersion,
    /// The time that `time.now_ns()` gives.
    pub now: OffsetDateTime,
    /// Whether a verdict that leaned on a suppressed built-in error is an `error`.
    pub strict: bool,
    /// The bytes behind the path `-`.
    pub stdin: Vec<u8>,
    /// The format of every input, whatever the files are called.
    pub parser: Option<String>,
    /// Judge all inputs as one list of `{path, contents}`.
    pub combine: bool,
    /// Paths that match are left out of folders.
    pub ignore: Option<String>,
    /// Folders of the `.proto` files by which text forms of Protocol Buffers are read.
    pub protos: Vec<PathBuf>,
    /// Rules, by id, that must report; one that does not is an `error`.
    pub required: Vec<String>,
    /// A file of waivers.
    pub waivers: Option<PathBuf>,
    /// Where the policies are evaluated; none is this process. Profiles always are.
    pub sandbox: Option<Sandbox>,
}

impl CheckOptions {
    /// The defaults at this time: nothing selected, namespace `main`.
    pub fn new(now: OffsetDateTime) -> Self {
        Self {
            policies: Vec::new(),
            profiles: Vec::new(),
            data: Vec::new(),
            namespaces: Namespaces::default(),
            rego_version: RegoVersion::Auto,
            now,
            strict: false,
            stdin: Vec::new(),
            parser: None,
            combine: false,
            ignore: None,
            protos: Vec::new(),
            required: Vec::new(),
            waivers: None,
            sandbox: None,
        }
    }
}

/// Judges the files behind the paths. Policies that do not load are the only error; all else stands in the report.
pub fn check(paths: &[PathBuf], options: &CheckOptions) -> Result<Report, PolicyError> {
    if options.policies.is_empty() && options.profiles.is_empty() {
        return Err(PolicyError::NothingSelected);
    }
    on_deep_stack(|| {
        let mut run = Run {
            options,
            findings: Vec::new(),
            prints: Vec::new(),
            rules: Vec::new(),
            parts: Vec::new(),
        };
        let waivers = options.waivers.as_deref().map(Waivers::read).transpose()?;
        let selection = Selection::new(options)?;
        let documents = run.documents(paths, &selection);
        let documents = if options.combine {
            let (all, parts) = combined(documents);
            run.parts = parts;
            vec![all]
        } else {
            documents
        };
        if !options.policies.is_empty() {
            run.policies(&documents)?;
        }
        if !options.profiles.is_empty() {
            run.profiles(&documents)?;
        }
        run.require(&options.required);
        // Taking a large document apart is a tenth of the whole, and nobody waits for it.
        drop(thread::Builder::new().spawn(move || drop(documents)));
        run.locate(&selection);
        let Run {
            mut findings,
            prints,
            rules,
            ..
        } = run;
        if let Some(waivers) = waivers {
            let of_others = OnceLock::new();
            let elsewhere = |rule: &str| of_others.get_or_init(|| others(options)).contains(rule);
            waivers.apply(&mut findings, options.now, &elsewhere);
        }
        Ok(Report::new(findings, prints).about(rules))
    })?
}

/// A bundle says who made it, and nobody looked whether that is so.
fn signature_unverified(bundle: String) -> Finding {
    let why =
        "the bundle is signed, and its signature is not verified: verify it before, as `opa sign` made it".to_owned();
    Finding {
        verdict: Verdict::Warn,
        ..Finding::error("muster", &bundle, why)
    }
}

/// A rule to evaluate on every document.
struct Check {
    name: String,
    reference: String,
    exceptions: String,
    rule: Rule,
    verdict: Verdict,
    /// What of the input it looks at; found out when it matters.
    reads: OnceLock<Vec<rego::Read>>,
}

struct Run<'a> {
    options: &'a CheckOptions,
    findings: Vec<Finding>,
    prints: Vec<String>,
    rules: Vec<Rule>,
    /// What was combined into one, in its order.
    parts: Vec<(String, Origin)>,
}

impl Run<'_> {
    fn policies(&mut self, documents: &[Named]) -> Result<(), PolicyError> {
        let options = self.options;
        let mut engine = Engine::apart(World::of(Files::Beneath), options.now, options.sandbox.as_ref())?;
        let unverified = sources::load_policies(&mut engine, &options.policies, options.rego_version, false)?;
        self.findings.extend(unverified.into_iter().map(signature_unverified));
        sources::load_data(&mut engine, &options.data)?;
        engine.place();
        let strict = rego::Options {
            strict: options.strict,
            keep: documents.iter().any(|named| named.unknown.is_some()),
            ..rego::Options::default()
        };
        engine.compile_with(strict, &|_| true)?;
        let checks = self.checks(&engine);
        self.rules.extend(checks.iter().map(|check| check.rule.clone()));
        let judge = Judge {
            engine: &engine,
            documents,
            checks: &checks,
            strict: options.strict,
        };
        for judged in judge.all()? {
            self.findings.extend(judged.findings);
            self.prints.extend(judged.prints);
        }
        Ok(())
    }

    /// The rules of the selected namespaces; a namespace without any is a finding.
    fn checks(&mut self, engine: &Engine) -> Vec<Check> {
        let mut checks: BTreeMap<(String, String), Check> = BTreeMap::new();
        let namespaces = &self.options.namespaces;
        let selected = |package: &str| match namespaces {
            Namespaces::All => true,
            Namespaces::Named(names) => names.iter().any(|name| is_selected(name, package)),
        };
        for module in engine.modules() {
            let judges = selected(&module.package);
            for head in module.rules.iter().filter(|head| judges && !head.function) {
                let Some((verdict, _)) = convention(&head.name) else {
                    continue;
                };
                let key = (module.package.clone(), head.name.clone());
                let rule = metadata::describe(&module.package, &head.name, &module.path, &module.annotations);
                let check = Check {
                    name: head.name.clone(),
                    reference: reference(&module.package, &head.name),
                    exceptions: reference(&module.package, "exception"),
                    rule,
                    verdict,
                    reads: OnceLock::new(),
                };
                checks.entry(key).or_insert(check);
            }
        }
        let wanted = match &self.options.namespaces {
            Namespaces::All if checks.is_empty() => vec!["any namespace".to_owned()],
            Namespaces::All => Vec::new(),
            Namespaces::Named(names) => names.clone(),
        };
        for namespace in wanted
            .iter()
            .filter(|name| !checks.keys().any(|(package, _)| is_selected(name, package)))
        {
            let why = format!("no deny, violation or warn rule in {namespace}: nothing was evaluated");
            self.findings.push(Finding::error(namespace, namespace, why));
        }
        let (warnings, notes) = names::strange(engine.modules(), &selected);
        self.findings.extend(warnings);
        self.prints.extend(notes);
        checks.into_values().collect()
    }

    /// A rule that was renamed, moved or lost judges nothing, and nobody sees it.
    fn require(&mut self, rules: &[String]) {
        for rule in rules {
            if !self.findings.iter().any(|finding| finding.rule == *rule) {
                let why = "it is required and did not report: no policy that was selected has this id".to_owned();
                self.findings.push(Finding::error(rule, rule, why));
            }
        }
    }

    /// Facts documents among the inputs go to the profiles; none at all is a finding.
    fn profiles(&mut self, documents: &[Named]) -> Result<(), PolicyError> {
        let mut judged = false;
        for named in documents
            .iter()
            .filter(|named| profile::is_facts(&named.document.value))
        {
            let names: Vec<&str> = self.options.profiles.iter().map(String::as_str).collect();
            let found = profile::evaluate(&names, &named.document.value, self.options.now)?;
            self.findings.extend(found.findings.into_iter().map(|f| Finding {
                file: Some(named.file.clone()),
                ..f
            }));
            self.prints.extend(found.prints);
            self.rules.extend(found.rules);
            judged = true;
        }
        if !judged {
            for name in &self.options.profiles {
                profile::exists(name)?;
                let why = format!("none of the inputs is a facts document ({})", profile::FACTS_SCHEMA);
                self.findings.push(Finding::error(name, name, why));
            }
        }
        Ok(())
    }
}

/// The rules of profiles that do not judge here.
fn others(options: &CheckOptions) -> BTreeSet<String> {
    let names = profile::profiles().into_iter();
    let names = names.filter(|name| !options.profiles.iter().any(|chosen| chosen == name));
    let rules = names.filter_map(|name| profile::rules(name).ok()).flatten();
    rules.map(|rule| rule.id).collect()
}

/// Whether a namespace, in which `*` stands for anything, is this package.
fn is_selected(name: &str, package: &str) -> bool {
    let Some((first, rest)) = name.split_once('*') else {
        return name == package;
    };
    let Some(mut left) = package.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = rest.split('*').collect();
    let Some((last, middle)) = parts.split_last() else {
        return true;
    };
    for part in middle {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

/// `deny`, `violation` and `warn` with any `_suffix`, and what the suffix is.
pub(crate) fn convention(name: &str) -> Option<(Verdict, &str)> {
    [
        ("deny", Verdict::Fail),
        ("violation", Verdict::Fail),
        ("warn", Verdict::Warn),
    ]
    .into_iter()
    .find_map(|(stem, verdict)| {
        let suffix = name.strip_prefix(stem)?;
        let plain = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric());
        match suffix.strip_prefix('_') {
            None => suffix.is_empty().then_some((verdict, "")),
            Some(suffix) => suffix.split('_').all(plain).then_some((verdict, suffix)),
        }
    })
}

/// A rule of a package as a reference: `data.a["b-c"].deny`.
pub(crate) fn reference(package: &str, name: &str) -> String {
    let mut reference = "data".to_owned();
    for part in package.split('.').chain(name.split('.')) {
        let bare = part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if bare && !part.starts_with(|c: char| c.is_ascii_digit()) {
            reference.push('.');
            reference.push_str(part);
        } else {
            reference.push_str(&format!("[{}]", Value::from(part)));
        }
    }
    reference
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_conftest_names_are_rules() {
        let verdict = |name| convention(name).map(|(verdict, suffix)| (verdict, suffix.to_owned()));
        assert_eq!(verdict("deny"), Some((Verdict::Fail, String::new())));
        assert_eq!(
            verdict("violation_run_as_root"),
            Some((Verdict::Fail, "run_as_root".to_owned()))
        );
        assert_eq!(verdict("warn_x1"), Some((Verdict::Warn, "x1".to_owned())));
        assert_eq!(
            [
                verdict("denying"),
                verdict("deny_"),
                verdict("deny__x"),
                verdict("test_deny")
            ],
            [None, None, None, None]
        );
    }

    #[test]
    fn a_namespace_may_hold_wildcards() {
        for (name, package, selected) in [
            ("main", "main", true),
            ("main", "main.gke", false),
            ("*", "any.thing", true),
            ("c*", "commands", true),
            ("c*", "main", false),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("*.deny", "x.deny", true),
        ] {
            assert_eq!(is_selected(name, package), selected, "{name} {package}");
        }
    }

    #[test]
    fn packages_with_odd_names_are_quoted() {
        assert_eq!(reference("a.b-c", "deny"), "data.a[\"b-c\"].deny");
    }
}
