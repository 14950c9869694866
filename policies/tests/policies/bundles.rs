//! Bundles in one file, as `opa build` makes them: judged by as they are, bounded, and never trusted for where they write.

use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use muster_policies::{TestOptions, TestOutcome, Verdict, check, test_policies};
use tar::{Builder, EntryType, Header};

use super::{Bench, NOW, verdicts};

const RULE: &str = "package main\n\ndeny contains data.words.a if input.x == 1\n";

/// A file, or a link where the content begins with `->`.
fn packed(bench: &Bench, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in files {
        let mut header = Header::new_gnu();
        let bytes = path.as_bytes();
        header.as_old_mut().name[..bytes.len()].copy_from_slice(bytes);
        header.set_mode(0o644);
        let link = content.strip_prefix("->");
        if let Some(target) = link {
            header.set_entry_type(EntryType::Symlink);
            header.set_link_name(target).unwrap();
        }
        let content = if link.is_some() { "" } else { content };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    bench.write(name, builder.into_inner().unwrap().finish().unwrap())
}

#[test]
fn a_bundle_is_judged_by_with_its_data_and_its_version_of_rego() {
    let bench = Bench::new();
    let bundle = packed(
        &bench,
        "b.tar.gz",
        &[
            (
                "/.manifest",
                "{\"roots\": [\"main\", \"words\", \"old\"], \"rego_version\": 1, \"file_rego_versions\": {\"/old/*.rego\": 0}}",
            ),
            ("/main.rego", RULE),
            (
                "/main_test.rego",
                "package main\n\ntest_deny if deny == {\"is one\"} with input as {\"x\": 1}\n",
            ),
            ("/old/o.rego", "package old\n\ndeny[\"older\"] { input.x == 1 }\n"),
            ("/words/data.json", "{\"a\": \"is one\"}"),
            ("/words/other.json", "{\"a\": \"not data\"}"),
        ],
    );
    let mut options = bench.options();
    options.policies = vec![bundle.clone()];
    options.namespaces = muster_policies::Namespaces::All;
    let input = bench.write("input.yaml", "x: 1\n");
    let report = check(&[input], &options).unwrap();
    let mut seen = verdicts(&report);
    seen.sort_by_key(|(rule, ..)| *rule);
    assert_eq!(
        seen,
        [
            ("main.deny", Verdict::Fail, "is one"),
            ("old.deny", Verdict::Fail, "older")
        ]
    );
    let report = test_policies(&[bundle], &TestOptions::new(NOW)).unwrap();
    assert_eq!(report.results.len(), 1);
    assert_eq!(report.results[0].verdict, TestOutcome::Pass, "{report:?}");
    assert!(report.unverified.is_empty());
}

#[test]
fn a_signature_that_nobody_verified_is_told() {
    let bench = Bench::new();
    let bundle = packed(
        &bench,
        "b.tgz",
        &[
            (".signatures.json", "{}"),
            ("m.rego", "package main\n\ndeny contains 1 if false\n"),
        ],
    );
    let mut options = bench.options();
    options.policies = vec![bundle.clone()];
    let input = bench.write("input.yaml", "x: 1\n");
    let report = check(&[input], &options).unwrap();
    let told = verdicts(&report)
        .into_iter()
        .find(|(_, verdict, _)| *verdict == Verdict::Warn);
    assert!(told.is_some_and(|(.., why)| why.contains("not verified")), "{report:?}");
    let report = test_policies(std::slice::from_ref(&bundle), &TestOptions::new(NOW)).unwrap();
    assert_eq!(report.unverified, [bundle.display().to_string()]);
}

#[test]
fn what_a_bundle_must_not_hold_is_refused_by_name() {
    for (files, why) in [
        (vec![("../m.rego", RULE)], "../m.rego leads out of the bundle"),
        (
            vec![("m.rego", RULE), ("data.json", "->/etc/passwd")],
            "data.json is a link",
        ),
        (
            vec![(".manifest", "{\"roots\": [\"a\"]}"), ("m.rego", RULE)],
            "package main lies in none of the roots",
        ),
        (
            vec![
                (".manifest", "{\"roots\": [\"main\"]}"),
                ("m.rego", RULE),
                ("x/data.json", "{\"a\": 1}"),
            ],
            "data.x lies in none of the roots",
        ),
        (
            vec![
                (
                    ".manifest",
                    "{\"wasm\": [{\"entrypoint\": \"main/deny\", \"module\": \"/policy.wasm\"}]}",
                ),
                ("m.rego", RULE),
            ],
            "WebAssembly",
        ),
        (vec![("data.json", "{}")], "no .rego file"),
        (vec![("m.rego", "package main\n\n}")], "m.rego:3"),
    ] {
        let bench = Bench::new();
        let mut options = bench.options();
        options.policies = vec![packed(&bench, "b.tar.gz", &files)];
        let refused = check(&[], &options).unwrap_err().to_string();
        assert!(refused.contains(why), "{files:?}: {refused}");
    }
    let bench = Bench::new();
    let mut options = bench.options();
    options.policies = vec![bench.write("b.tar.gz", "no gzip")];
    let refused = check(&[], &options).unwrap_err().to_string();
    assert!(refused.contains("no bundle under gzip"), "{refused}");
    let one = packed(&bench, "one.tar.gz", &[("m.rego", RULE)]);
    let two = packed(
        &bench,
        "two.tar.gz",
        &[("m.rego", "package other\n\ndeny contains 1 if false\n")],
    );
    options.policies = vec![one, two];
    let refused = check(&[], &options).unwrap_err().to_string();
    assert!(refused.contains("overlap"), "{refused}");
}
