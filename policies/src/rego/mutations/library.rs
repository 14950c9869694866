//! A library of rules in another form gives its own tests the same results, right or wrong.
//!
//! The library is muster's own profiles, and another one by hand: `MUSTER_TEST_LIBRARY` is its folder or several with colons
//! between them, `MUSTER_TEST_LIBRARY_DATA` a file or folder of data if it wants one, `MUSTER_TEST_SEED` one seed alone. Modules
//! with METADATA stay as they are: the form that is made of a module has no comments.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use super::super::ast::Module;
use super::super::version::detect;
use super::super::walk::rewrite_rule;
use super::{Dice, Wrong, mutated, seeds, text, unplace};
use crate::unit_tests::{TestOptions, TestOutcome, TestReport, test_policies};

/// A library: modules to make something of, and files that stay.
#[derive(Default)]
struct Library {
    modules: Vec<(String, Module)>,
    kept: Vec<(String, String)>,
    /// What stays, parsed.
    beside: Vec<Module>,
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|one| one.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rego") {
            found.push(path);
        }
    }
}

fn library(folders: &[PathBuf]) -> Library {
    let mut found = Vec::new();
    folders.iter().for_each(|folder| files(folder, &mut found));
    let mut library = Library::default();
    for (place, path) in found.iter().enumerate() {
        let (name, written) = (format!("m{place:05}.rego"), fs::read_to_string(path).unwrap());
        match detect(&written) {
            Ok(source) if !written.contains("METADATA") && !written.contains("rego.metadata") => {
                library.modules.push((name, source.module));
            }
            found => {
                library.beside.extend(found.map(|source| source.module));
                library.kept.push((name, written));
            }
        }
    }
    library
}

/// Outcomes of all tests of a name, or why they did not load.
type Outcomes = Result<BTreeMap<String, Vec<&'static str>>, String>;

fn told(outcome: TestOutcome) -> &'static str {
    match outcome {
        TestOutcome::Pass => "pass",
        TestOutcome::Fail => "fail",
        TestOutcome::Error => "error",
        TestOutcome::Skipped => "skipped",
    }
}

fn run(paths: &[PathBuf]) -> Outcomes {
    let options = TestOptions {
        data: std::env::var_os("MUSTER_TEST_LIBRARY_DATA")
            .map(PathBuf::from)
            .into_iter()
            .collect(),
        ..TestOptions::new(OffsetDateTime::from_unix_timestamp(1_760_000_000).unwrap())
    };
    let report: TestReport = test_policies(paths, &options).map_err(|error| error.to_string())?;
    let mut outcomes = BTreeMap::<String, Vec<&str>>::new();
    for result in &report.results {
        let name = result.name.split('#').next().unwrap_or_default();
        let key = format!("{}.{name}", result.package);
        outcomes.entry(key).or_default().push(told(result.verdict));
    }
    outcomes.values_mut().for_each(|all| all.sort_unstable());
    Ok(outcomes)
}

fn run_texts(library: &Library, texts: &[(String, String)]) -> (tempfile::TempDir, Outcomes) {
    let folder = tempfile::tempdir().unwrap();
    for (name, written) in texts.iter().chain(&library.kept) {
        fs::write(folder.path().join(name), written).unwrap();
    }
    let outcomes = run(&[folder.path().to_owned()]);
    (folder, outcomes)
}

/// What differs between two runs; an error is left out on request, as which of two conflicts is met first is nobody's promise.
fn differences(one: &Outcomes, other: &Outcomes, errors: bool) -> Vec<String> {
    let (Ok(one), Ok(other)) = (one, other) else {
        return match (one, other) {
            (Err(_), Err(_)) => Vec::new(),
            _ => vec![format!(
                "loads in one form only: {:?} {:?}",
                one.as_ref().err(),
                other.as_ref().err()
            )],
        };
    };
    let judged = |outcomes: Option<&Vec<&str>>| outcomes.is_some_and(|all| !all.contains(&"error"));
    one.keys()
        .chain(other.keys().filter(|key| !one.contains_key(*key)))
        .filter(|key| one.get(*key) != other.get(*key))
        .filter(|key| errors || judged(one.get(*key)) && judged(other.get(*key)))
        .map(|key| format!("{key}: {:?}, in another form {:?}", one.get(key), other.get(key)))
        .collect()
}

/// The library with wrong rules and its tests as they are. A module that no longer loads is as it was.
fn broken(library: &Library, dice: &mut Dice) -> (Vec<(String, Module)>, Outcomes) {
    let mut broken = library.modules.clone();
    for (_, module) in &mut broken {
        unplace(module);
        let rules = module.rules.iter_mut();
        for rule in rules.filter(|rule| !rule.head.name.text.starts_with("test_")) {
            rewrite_rule(&mut Wrong(dice), rule);
        }
    }
    loop {
        let texts = broken.iter().map(|(name, module)| (name.clone(), text(module)));
        let (_folder, outcomes) = run_texts(library, &texts.collect::<Vec<_>>());
        let named = |name: &str| outcomes.as_ref().is_err_and(|why| why.contains(name));
        let places: Vec<usize> = (0..broken.len())
            .filter(|place| named(&broken[*place].0) && broken[*place].1 != library.modules[*place].1)
            .collect();
        if places.is_empty() {
            return (broken, outcomes);
        }
        for place in places {
            broken[place] = library.modules[place].clone();
        }
    }
}

fn kept_for_study(folder: tempfile::TempDir, wrong: &[String]) -> String {
    format!(
        "{} differ, see {}:\n{}",
        wrong.len(),
        folder.keep().display(),
        wrong.join("\n")
    )
}

#[test]
fn a_library_in_another_form_gives_the_same_results() {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
    let named = std::env::var_os("MUSTER_TEST_LIBRARY").unwrap_or_else(|| own.into());
    let folders: Vec<PathBuf> = std::env::split_paths(&named).collect();
    let library = library(&folders);
    let plain = run(&folders);
    let count = plain.as_ref().map_or(0, BTreeMap::len);
    assert!(count > 0, "no test was run: {:?}", plain.err());
    let (mut problems, mut altered) = (Vec::new(), 0);
    for seed in seeds(3) {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (form, outcomes) = run_texts(&library, &mutated(&library.modules, &library.beside, &mut dice));
        let wrong = differences(&plain, &outcomes, true);
        if !wrong.is_empty() {
            problems.push(format!("seed {seed}: {}", kept_for_study(form, &wrong)));
        }
        let (broken, one) = broken(&library, &mut dice);
        let (form, other) = run_texts(&library, &mutated(&broken, &library.beside, &mut dice));
        altered += differences(&plain, &one, true).len();
        let wrong = differences(&one, &other, false);
        if !wrong.is_empty() {
            problems.push(format!("seed {seed}, wrong rules: {}", kept_for_study(form, &wrong)));
        }
    }
    println!("{count} names of tests; wrong rules changed {altered} outcomes");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
