//! Every rule of every profile, shown red once on a live server or repository that was made wrong for it, and again once the
//! same was made right.
//!
//! Invariant: what a group of rules claims to show is what its tests showed, and together the groups are the whole profiles.

mod buckets;
mod postgres;
mod repository;
mod servers;
mod stores;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use muster_testkit::env::{Outcome, TestEnv};

use crate::env;

/// What `muster audit` says: a verdict and a message for each rule on each resource.
struct Audit(BTreeMap<(String, String), (String, String)>);

impl Audit {
    fn of(env: &TestEnv) -> Self {
        Self::from(env.run("audit --json"))
    }

    /// The same by another profile.
    fn by(profile: &str, env: &TestEnv) -> Self {
        Self::from(env.run(&format!("audit --profile {profile} --json")))
    }

    /// Takes an audit's document in, and holds its exit code to its findings.
    #[track_caller]
    fn from(outcome: Outcome) -> Self {
        let document = outcome.json();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let results = document["results"].as_array().unwrap();
        let found: BTreeMap<_, _> = results
            .iter()
            .map(|one| {
                let key = (text(&one["rule"]), text(&one["resource"]));
                (key, (text(&one["verdict"]), text(&one["message"])))
            })
            .collect();
        assert_eq!(
            found.len(),
            results.len(),
            "a rule judged one resource twice: {document}"
        );
        let any = |verdict: &str| found.values().any(|(found, _)| found == verdict);
        let code = match () {
            () if any("fail") => 6,
            () if any("error") => 8,
            () if any("unknown") => 3,
            () => 0,
        };
        outcome.expect_code(code);
        Self(found)
    }

    #[track_caller]
    fn expect(&self, resource: &str, verdict: &str, rules: &[&str]) {
        for rule in rules {
            let found = self.0.get(&((*rule).to_owned(), resource.to_owned()));
            let found = found.unwrap_or_else(|| panic!("{rule} says nothing of {resource}"));
            assert_eq!(found.0, verdict, "{rule} on {resource}: {}", found.1);
        }
    }

    /// Demands that what these rules say holds these words: what to do about it.
    #[track_caller]
    fn expect_words(&self, resource: &str, words: &str, rules: &[&str]) {
        for rule in rules {
            let said = &self.0[&((*rule).to_owned(), resource.to_owned())].1;
            assert!(said.contains(words), "{rule} on {resource}: {said}");
        }
    }

    fn has_fail(&self) -> bool {
        self.0.values().any(|(verdict, _)| verdict == "fail")
    }
}

/// Which rules were seen red, and which of them also on what was made right.
#[derive(Default)]
struct Shown {
    red: BTreeSet<&'static str>,
    right: BTreeSet<&'static str>,
}

impl Shown {
    #[track_caller]
    fn red(&mut self, audit: &Audit, resource: &str, verdict: &str, rules: &[&'static str]) {
        assert!(matches!(verdict, "fail" | "warn"), "{verdict} is not red");
        audit.expect(resource, verdict, rules);
        self.red.extend(rules);
    }

    #[track_caller]
    fn right(&mut self, audit: &Audit, resource: &str, verdict: &str, rules: &[&'static str]) {
        audit.expect(resource, verdict, rules);
        self.right.extend(rules);
    }

    /// Demands that these, and no others, were shown; all but `never_right` in both directions.
    #[track_caller]
    fn demand(&self, rules: &[&'static str], never_right: &[&'static str]) {
        assert_eq!(self.red, rules.iter().copied().collect(), "seen red");
        let right = rules.iter().copied().filter(|rule| !never_right.contains(rule));
        assert_eq!(self.right, right.collect(), "seen right");
    }
}

/// `muster LINE` beneath another program: `wrapper muster LINE`, in the environment of the test.
fn beneath(wrapper: &[&str], env: &TestEnv, line: &str) -> Command {
    let muster = env.command();
    let mut command = Command::new(wrapper[0]);
    command
        .args(&wrapper[1..])
        .arg(muster.get_program())
        .args(muster.get_args());
    command.args(line.split_whitespace()).current_dir(env.path(""));
    command
        .env_clear()
        .envs(muster.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command
}

#[test]
fn every_rule_of_every_profile_is_shown_red_here() {
    let listed = env()
        .bare_command()
        .args(["policy", "list", "--json"])
        .output()
        .unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let mut rules: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for rule in listed["rules"].as_array().unwrap() {
        let profile = rule["profile"].as_str().unwrap();
        rules.entry(profile).or_default().insert(rule["rule"].as_str().unwrap());
    }
    let all = |groups: &[&[&'static str]]| groups.iter().flat_map(|group| group.iter().copied()).collect();
    let shown = BTreeMap::from([
        ("dr-baseline", all(&[stores::RULES, servers::RULES, repository::RULES])),
        ("object-storage", all(&[buckets::RULES])),
        ("postgres", all(&[postgres::RULES])),
    ]);
    assert_eq!(shown, rules);
}
