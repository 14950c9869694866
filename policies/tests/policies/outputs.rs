//! The forms of a report, the choice of inputs, waivers, and the comparison with a base.

use std::path::Path;

use muster_policies::{CheckOptions, Form, Report, Run, Status, Verdict, check, render};
use serde_json::Value;

use crate::forms::rendered;
use crate::{Bench, NOW, verdicts};

const POLICY: &str = r#"package main
import rego.v1

deny contains {"msg": msg, "severity": "high", "path": ["spec", "containers", i, "image"]} if {
    some i, container in input.spec.containers
    endswith(container.image, ":latest")
    msg := sprintf("<%s> & \"co\" %% |#\n::", [container.image])
}

warn contains "one replica" if input.spec.replicas == 1
"#;

const POD: &str =
    "kind: Pod\nmetadata:\n  name: a\nspec:\n  replicas: 1\n  containers:\n    - image: x:1\n    - image: y:latest\n";

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("policy/p.rego", POLICY);
    bench.write("k8s/pod.yaml", POD);
    bench
}

fn report() -> (Bench, Report) {
    let bench = bench();
    let report = bench.check(&bench.path("k8s"));
    (bench, report)
}

#[test]
fn a_finding_points_at_the_line_and_column_of_the_path_that_it_names() {
    let (_bench, report) = report();
    let failed = report.results.iter().find(|f| f.verdict == Verdict::Fail).unwrap();
    assert_eq!((failed.line, failed.column), (Some(8), Some(7)));
}

#[test]
fn tap_counts_every_finding_and_a_warning_is_ok() {
    let text = rendered(&report().1, Form::Tap);
    let mut lines = text.lines();
    assert_eq!((lines.next(), lines.next()), (Some("TAP version 13"), Some("1..2")));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("not ok ")).count(), 1);
    assert!(!text[15..].contains(" #\\ ") && !lines[0].contains(" # "));
    assert!(text.contains("|\\# ::"), "a message begins no directive: {text}");
}

#[test]
fn github_commands_are_one_line_each_and_escaped() {
    let text = rendered(&report().1, Form::Github);
    let error = text.lines().find(|line| line.starts_with("::error ")).unwrap();
    assert!(error.contains("line=8"), "{error}");
    assert!(error.contains("%25") && error.contains("%0A"), "{error}");
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn markdown_holds_no_markup_of_the_findings() {
    let text = rendered(&report().1, Form::Markdown);
    assert!(text.contains("❌") && text.contains("1 fail"));
    let row = text.lines().find(|line| line.starts_with("| fail")).unwrap();
    assert!(!row.contains('<') && row.contains("\\|"), "{row}");
}

#[test]
fn a_moved_finding_keeps_its_fingerprint_and_another_has_its_own() {
    let (_bench, report) = report();
    let other = bench();
    other.write("k8s/pod.yaml", format!("# moved\n\n{POD}    - image: z:latest\n"));
    let mut later = other.check(&other.path("k8s"));
    let mut base = report;
    let strip = |report: &mut Report, bench: &Bench| report.relocate(bench.path("").as_path());
    strip(&mut later, &other);
    strip(&mut base, &_bench);
    later.compare(&base);
    let states: Vec<_> = later.results.iter().map(|f| (f.verdict, f.baseline.unwrap())).collect();
    assert_eq!(
        states.iter().filter(|(_, state)| *state == "new").count(),
        1,
        "{states:?}"
    );
    assert_eq!(later.status(), Status::Failed);
    let mut same = later.clone();
    same.compare(&later);
    assert_eq!(same.status(), Status::Clean);
}

#[test]
fn inputs_are_chosen_by_pattern_ignored_by_expression_and_combined_into_one() {
    let bench = bench();
    bench.write("k8s/deep/other.yaml", "kind: Other\n");
    bench.write("k8s/notes.txt", "image: x:latest\n");
    let files = |options: &CheckOptions, path: &str| -> Vec<String> {
        let report = check(&[bench.path(path)], options).unwrap();
        let mut files: Vec<String> = report.results.into_iter().filter_map(|f| f.file).collect();
        files.dedup();
        files
    };
    let mut options = bench.options();
    assert_eq!(files(&options, "k8s/**/*.yaml").len(), 2);
    assert_eq!(files(&options, "k8s/*.yaml").len(), 1);
    options.ignore = Some("deep/".to_owned());
    assert_eq!(files(&options, "k8s").len(), 1);
    assert_eq!(files(&options, "k8s/**/*.yaml").len(), 1);
    bench.write("k8s/.git/hidden.yaml", "kind: Other\n");
    assert_eq!(files(&options, "k8s").len(), 1, "hidden folders are left alone");
    options.ignore = Some("(".to_owned());
    assert!(check(&[bench.path("k8s")], &options).is_err());
    options.ignore = None;
    options.parser = Some("yaml".to_owned());
    assert_eq!(files(&options, "k8s/notes.txt").len(), 1);
    // It overrules what a name says.
    let named = bench.write("named.json", "kind: Other\n");
    assert_eq!(check(&[named], &options).unwrap().summary.error, 0);
    options.parser = Some("hocon".to_owned());
    assert!(
        check(&[bench.path("k8s")], &options)
            .unwrap_err()
            .to_string()
            .contains("hocon")
    );

    bench.write(
        "policy/p.rego",
        "package main\nimport rego.v1\ndeny contains msg if { count(input) == 2; msg := concat(\",\", [object.keys(input[0]) | true][0]) }\n",
    );
    let options = CheckOptions {
        combine: true,
        ..bench.options()
    };
    let report = check(&[bench.path("k8s")], &options).unwrap();
    assert_eq!(verdicts(&report), [("main.deny", Verdict::Fail, "contents,path")]);
}

#[test]
fn terraform_is_judged_by_what_conftest_would_give() {
    let report = {
        let bench = Bench::new();
        bench.write(
            "policy/p.rego",
            "package main\nimport rego.v1\ndeny contains {\"msg\": name, \"path\": [\"resource\", \"aws_s3_bucket\", name, 0, \"acl\"]} if { some name, bucket in input.resource.aws_s3_bucket; bucket[0].acl == \"public-read\" }\n",
        );
        let input = bench.write("main.tf", "resource \"aws_s3_bucket\" \"a\" {\n  acl = \"private\"\n}\nresource \"aws_s3_bucket\" \"b\" {\n  acl = \"public-read\"\n  tags = { n = var.n }\n}\n");
        bench.check(&input)
    };
    assert_eq!(verdicts(&report), [("main.deny", Verdict::Fail, "b")]);
    assert_eq!(report.results[0].line, Some(5));
}

#[test]
fn sarif_holds_no_more_results_than_github_takes_and_says_how_many_are_left_out() {
    let bench = Bench::new();
    bench.write(
        "policy/p.rego",
        "package main\nimport rego.v1\nwarn contains sprintf(\"w%d\", [n]) if some n in numbers.range(1, input.warn)\n\
         deny contains sprintf(\"d%d\", [n]) if some n in numbers.range(1, input.deny)\n",
    );
    let rendered = |warnings: u32| {
        bench.write("in/a.json", format!("{{\"warn\": {warnings}}}"));
        bench.write("in/b.json", "{\"deny\": 5000}");
        let run = Run {
            version: "1.2.3",
            now: NOW,
            root: Path::new("/"),
        };
        let rendered = render(&bench.check(&bench.path("in")), Form::Sarif, run);
        let log: Value = serde_json::from_str(&rendered.text).unwrap();
        (rendered.left_out, log["runs"][0].clone())
    };
    let (left_out, run) = rendered(20_000);
    assert_eq!((left_out, run["results"].as_array().unwrap().len()), (0, 25_000));
    assert!(run["invocations"][0]["toolExecutionNotifications"].is_null());

    let (left_out, run) = rendered(20_007);
    let results = run["results"].as_array().unwrap();
    assert_eq!((left_out, results.len()), (7, 25_000));
    // Failures come last in the report's order: they are there all the same, and there.
    let is_error = |result: &Value| result["level"] == "error";
    assert!(results[20_000..].iter().all(is_error), "{left_out}");
    let said = &run["invocations"][0]["toolExecutionNotifications"][0];
    assert!(
        said["level"] == "warning"
            && said["message"]["text"]
                .as_str()
                .unwrap()
                .starts_with("7 results are left out"),
        "{said}"
    );
}
