//! What the readers of a report go by: in each form each verdict is told as what it is, and against a base what counts is what is new.

use muster_policies::{CheckOptions, Form, Report, Status, Verdict, check, fingerprint};

use crate::Bench;
use crate::forms::{bench, judged, rendered};

/// The only line of a text in which all of these stand.
#[track_caller]
fn line<'a>(text: &'a str, words: &[&str]) -> &'a str {
    let mut lines = text.lines().filter(|line| words.iter().all(|word| line.contains(word)));
    let found = lines.next().unwrap_or_else(|| panic!("no {words:?} in\n{text}"));
    assert_eq!(lines.next(), None, "{words:?}");
    found
}

/// The same report against itself: nothing in it is new.
fn known(report: &Report) -> Report {
    let mut known = report.clone();
    known.compare(report);
    known
}

#[test]
fn tap_says_what_is_not_ok_what_is_skipped_and_what_stood_in_the_base_too() {
    let report = judged(&bench());
    let text = rendered(&report, Form::Tap);
    assert!(line(&text, &["IMG-1", "Pod/a"]).starts_with("not ok "));
    let waived = line(&text, &["IMG-1", "Pod/b"]);
    assert!(
        waived.starts_with("ok ") && waived.ends_with(" # SKIP waived"),
        "{waived}"
    );
    assert!(line(&text, &["ACL-1", "main.tf", "unknown: "]).starts_with("not ok "));
    assert!(line(&text, &["broken.yaml", "error: "]).starts_with("not ok "));
    let old = rendered(&known(&report), Form::Tap);
    let old = line(&old, &["IMG-1", "Pod/a"]);
    assert!(old.ends_with(" # TODO stood in the base too"), "{old}");
}

#[test]
fn github_annotates_what_asks_for_attention_by_how_much_it_does() {
    let bench = bench();
    bench.write(
        "in/a,b.yaml",
        "kind: Pod\nmetadata:\n  name: z\nspec:\n  containers:\n    - image: y:latest\n",
    );
    let report = judged(&bench);
    let text = rendered(&report, Form::Github);
    assert!(line(&text, &["ACL-1", "main.tf"]).starts_with("::warning "));
    assert!(line(&text, &["IMG-1", "Pod/b"]).starts_with("::notice "));
    assert!(!text.contains("ok.yaml"), "a pass is not told: {text}");
    assert!(line(&text, &["Pod/z"]).contains("in/a%2Cb.yaml,line=6,"), "{text}");
    let old = rendered(&known(&report), Form::Github);
    assert!(line(&old, &["IMG-1", "Pod/a"]).starts_with("::notice "), "{old}");
}

#[test]
fn standard_input_is_no_file_of_the_repository() {
    let bench = bench();
    let options = CheckOptions {
        stdin: b"kind: Pod\nspec:\n  replicas: 1\n".to_vec(),
        ..bench.options()
    };
    let report = check(&["-".into()], &options).unwrap();
    let text = rendered(&report, Form::Github);
    assert!(line(&text, &["one replica"]).starts_with("::warning title="), "{text}");
}

#[test]
fn a_comment_shows_what_is_open_folds_what_is_not_and_names_nobody() {
    let bench = bench();
    let report = judged(&bench);
    let text = rendered(&report, Form::Markdown);
    let folded = |text: &str, what: &str| {
        let (_, rest) = text.split_once(&format!("<details><summary>{what}</summary>")).unwrap();
        rest.split_once("</details>").unwrap().0.to_owned()
    };
    assert!(folded(&text, "1 waived").contains("b.yaml:8"), "{text}");
    let (open, _) = text.split_once("<details>").unwrap();
    assert!(open.contains("a pod.yaml:8") && !open.contains("b.yaml:8"), "{open}");
    let old = rendered(&known(&report), Form::Markdown);
    assert!(old.starts_with("### muster check: ✅ nothing new\n"), "{old}");
    let (open, _) = old.split_once("<details>").unwrap();
    assert!(!open.contains("IMG-1"), "{open}");
    assert!(old.contains("in the base too</summary>"), "{old}");

    let policy = "package main\nimport rego.v1\ndeny contains sprintf(\"@team %d\", [n]) if some n in numbers.range(1, input.size)\n";
    let many = rendered(&Bench::judge(policy, "size: 103\n"), Form::Markdown);
    assert_eq!(many.matches("\n| fail ").count(), 100);
    assert!(many.contains("… and 3 more.") && !many.contains('@'), "{many}");
    let broken = rendered(&Bench::judge(policy, "size: [\n"), Form::Markdown);
    assert!(broken.starts_with("### muster check: ⚠️ "), "{broken}");
}

#[test]
fn what_xml_cannot_hold_is_replaced() {
    let policy = "package main\nimport rego.v1\ndeny contains \"a\\u0001b\" if input.size\n";
    let text = rendered(&Bench::judge(policy, "size: 1\n"), Form::Junit);
    assert!(text.contains("a\u{fffd}b") && !text.contains('\u{1}'), "{text}");
}

#[test]
fn a_verdict_that_leaned_on_a_suppressed_error_says_so_in_every_form() {
    let policy =
        "package main\nimport rego.v1\ndeny contains \"not three\" if not three\nthree if to_number(input.size) == 3\n";
    let report = Bench::judge(policy, "size: x\n");
    assert_eq!(report.summary.fail, 1);
    for form in [Form::Tap, Form::Junit, Form::Github, Form::Sarif, Form::Markdown] {
        let text = rendered(&report, form);
        assert!(text.contains("leaned on a suppressed error"), "{form:?}\n{text}");
    }
}

#[test]
fn what_is_new_is_counted_by_rule_verdict_and_how_often_it_stood_there() {
    let policy = "package main\nimport rego.v1\ndeny_a contains \"same\" if input.size\ndeny_b contains \"same\" if input.size > 1\n";
    let object = |size: u8| format!("kind: K\nmetadata: {{name: x}}\nsize: {size}\n");
    let judge = |sizes: &[u8]| {
        let bench = Bench::new();
        bench.write("policy/p.rego", policy);
        for (number, size) in sizes.iter().enumerate() {
            bench.write(&format!("in/{number}.yaml"), object(*size));
        }
        bench.check(&bench.path("in"))
    };
    let states = |report: &mut Report, base: &Report| -> Vec<&'static str> {
        report.compare(base);
        report.results.iter().map(|finding| finding.baseline.unwrap()).collect()
    };
    // The same object in two files, told apart by nothing: the second is new.
    let base = judge(&[1]);
    let both = states(&mut judge(&[1, 1]), &base);
    assert_eq!(both, ["unchanged", "unchanged", "new", "new"]);
    // The same message of another rule.
    let mut two = judge(&[2]);
    let prints: Vec<String> = two.results.iter().map(fingerprint).collect();
    assert_ne!(prints[0], prints[1]);
    assert_eq!(states(&mut two, &base), ["unchanged", "new"]);
    assert_eq!(two.status(), Status::Failed);
    // What was waived in the base and fails now is new.
    let mut waived = base.clone();
    waived.results[0].verdict = Verdict::Waived;
    assert_eq!(states(&mut judge(&[1]), &waived)[0], "new");
}

#[test]
fn what_was_never_evaluated_counts_though_the_base_was_no_better() {
    let report = Bench::judge(
        "package other\nimport rego.v1\ndeny contains \"x\" if input.size\n",
        "size: 1\n",
    );
    assert_eq!(known(&report).status(), Status::Incomplete);
    let broken = Bench::judge(
        "package main\nimport rego.v1\ndeny contains \"x\" if input.size\n",
        "size: [\n",
    );
    assert_eq!(broken.status(), Status::Incomplete);
    assert_eq!(
        known(&broken).status(),
        Status::Clean,
        "the file could not be read before either"
    );
}
