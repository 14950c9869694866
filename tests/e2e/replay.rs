//! `muster evidence replay`: verdicts follow from the facts and policies of the bundle, or are found not to.

use std::collections::BTreeMap;

use muster_evidence::{Bundle, open_bundle, tar};
use muster_signing::SecretKey;
use muster_testkit::env::{Outcome, TestEnv};
use serde_json::Value;

use crate::env;

/// A place with a bundle, `a.tar`, in which something does not hold.
fn audited() -> TestEnv {
    let env = env();
    env.write("src/a", "a");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"\nobjectives = { rpo = \"1h\", rto = \"5m\" }");
    env.ok("init");
    env.ok("backup");
    env.run("audit --framework soc2 --out a.tar").expect_code(6);
    env
}

/// `muster evidence replay` where there is nothing but the bundle and the root's public key.
fn replay(env: &TestEnv, bundle: &str, key: Option<&str>) -> Outcome {
    let mut command = env.bare_command();
    let folder = env.path("auditor");
    std::fs::create_dir_all(&folder).unwrap();
    command
        .current_dir(folder)
        .args(["evidence", "replay", bundle, "--json"]);
    if let Some(key) = key {
        command.args(["--key", key]);
    }
    Outcome::of(command)
}

const ROOT: Option<&str> = Some("../keys/root.pub");

#[test]
fn what_was_judged_is_judged_again_offline_and_is_the_same_byte_for_byte() {
    let env = audited();
    std::fs::remove_dir_all(env.path("repo")).unwrap();
    let replayed = replay(&env, "../a.tar", ROOT).expect_code(0).json();
    assert!(replayed["same"] == true && replayed["valid"] == true, "{replayed}");
    assert!(replayed["results"].as_u64().unwrap() > 50, "{replayed}");
    let unknown = replay(&env, "../a.tar", None).expect_code(12).json();
    assert!(unknown["same"] == true && unknown["valid"] == false, "{unknown}");
}

/// The bundle anew, signed by the real auditor key, with files changed: what a lying auditor can make.
fn forged(env: &TestEnv, change: impl Fn(&mut BTreeMap<String, Vec<u8>>)) {
    let bytes = std::fs::read(env.path("a.tar")).unwrap();
    let audit = open_bundle(&bytes, None).1.unwrap().audit;
    let mut files: BTreeMap<String, Vec<u8>> = tar::parse(&bytes)
        .unwrap()
        .into_iter()
        .map(|member| (member.name, member.bytes.to_vec()))
        .collect();
    change(&mut files);
    let results: Value = serde_json::from_slice(&files["results.json"]).unwrap();
    let beneath = |folder: &str| -> BTreeMap<String, Vec<u8>> {
        let inside = files
            .iter()
            .filter_map(|(name, bytes)| Some((name.strip_prefix(folder)?, bytes)));
        inside.map(|(name, bytes)| (name.to_owned(), bytes.clone())).collect()
    };
    let epoch = |name: &str| {
        name.strip_prefix("trust/keys-")?
            .strip_suffix(".dsse.json")?
            .parse()
            .ok()
    };
    let mut bundle = Bundle {
        descriptor: files["trust/descriptor.dsse.json"].clone(),
        key_documents: files
            .iter()
            .filter_map(|(name, bytes)| Some((epoch(name)?, bytes.clone())))
            .collect(),
        results: files["results.json"].clone(),
        inputs: beneath("inputs/"),
        policies: beneath("policies/"),
        audit,
        ..Bundle::default()
    };
    bundle.audit.summary = serde_json::from_value(results["summary"].clone()).unwrap();
    bundle.audit.frameworks.clear();
    bundle.audit.stores.clear();
    let auditor = SecretKey::from_pem(&std::fs::read_to_string(env.path("keys/auditor.pem")).unwrap()).unwrap();
    env.write("forged.tar", bundle.seal(&auditor).unwrap());
    // The signature is right, and so is all that a verifier can work out.
    env.ok("verify forged.tar --key keys/root.pub");
}

/// Changes the results of a bundle and leaves frameworks out.
fn results(files: &mut BTreeMap<String, Vec<u8>>, change: impl Fn(&mut Value)) {
    let mut results: Value = serde_json::from_slice(&files["results.json"]).unwrap();
    results.as_object_mut().unwrap().remove("frameworks");
    change(&mut results);
    files.insert("results.json".to_owned(), serde_json::to_vec_pretty(&results).unwrap());
}

#[test]
fn a_verdict_that_a_lying_auditor_signed_is_found() {
    let env = audited();
    forged(&env, |files| results(files, |_| ()));
    replay(&env, "../forged.tar", ROOT).expect_code(0);

    forged(&env, |files| {
        results(files, |results| {
            let list = results["results"].as_array_mut().unwrap();
            let bad = list.iter_mut().find(|one| one["rule"] == "DR-101").unwrap();
            assert_eq!(bad["verdict"], "fail");
            bad["verdict"] = "pass".into();
            for (verdict, by) in [("fail", -1), ("pass", 1)] {
                let count = results["summary"][verdict].as_i64().unwrap();
                results["summary"][verdict] = (count + by).into();
            }
        });
    });
    let found = replay(&env, "../forged.tar", ROOT).expect_code(7).json();
    assert_eq!(found["same"], false);
    let differences = found["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 1, "{found}");
    let one = &differences[0];
    assert!(
        one["rule"] == "DR-101" && one["was"] == "pass" && one["is"] == "fail",
        "{one}"
    );

    // A message alone, too.
    forged(&env, |files| {
        results(files, |results| results["results"][0]["message"] = "all is well".into())
    });
    replay(&env, "../forged.tar", ROOT).expect_code(7);
}

#[test]
fn it_is_the_policies_and_facts_of_the_bundle_that_judge() {
    let env = audited();
    let rule = "policies/dr-baseline/rehearsed_recently.rego";
    // Other policies and other facts than those that were judged give other verdicts.
    forged(&env, |files| {
        results(files, |_| ());
        let text = String::from_utf8(files[rule].clone()).unwrap();
        files.insert(rule.to_owned(), text.replace("DR-101", "DR-999").into_bytes());
    });
    let found = replay(&env, "../forged.tar", ROOT).expect_code(7).json();
    assert!(
        found["differences"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["rule"] == "DR-999"),
        "{found}"
    );
    forged(&env, |files| {
        results(files, |_| ());
        let facts = String::from_utf8(files["inputs/facts.json"].clone()).unwrap();
        files.insert(
            "inputs/facts.json".to_owned(),
            facts.replace("\"assets\"", "\"others\"").into_bytes(),
        );
    });
    replay(&env, "../forged.tar", ROOT).expect_code(7);

    // Policies that do not load judge nothing.
    forged(&env, |files| {
        results(files, |_| ());
        files.insert(
            rule.to_owned(),
            b"package muster.dr_baseline.rehearsed_recently\n\nresources := \n".to_vec(),
        );
    });
    replay(&env, "../forged.tar", ROOT)
        .expect_code(7)
        .expect_error_to_name(&["its policies", "rehearsed_recently.rego"]);
    // Without the facts nothing can be said.
    forged(&env, |files| {
        results(files, |_| ());
        files.remove("inputs/facts.json");
    });
    replay(&env, "../forged.tar", ROOT)
        .expect_code(7)
        .expect_error_to_name(&["inputs/facts.json"]);
}
