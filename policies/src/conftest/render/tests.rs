//! The bytes of each form.

use serde_json::{Map, json};

use super::*;
use crate::conftest::{Location, Outcome};

fn outcome(message: &str) -> Outcome {
    Outcome {
        message: message.to_owned(),
        ..Outcome::default()
    }
}

/// A file with one result of each kind.
fn each() -> CheckResult {
    let mut failure = outcome("first <failure>\nsecond line");
    failure.location = Some(Location {
        file: "other,file.yaml".to_owned(),
        line: Some(7.into()),
    });
    failure.metadata = Map::from_iter([("query".to_owned(), json!("data.main.deny"))]);
    CheckResult {
        filename: "a.yaml".to_owned(),
        namespace: "main".to_owned(),
        successes: 1,
        skipped: vec![outcome("first skipped")],
        warnings: vec![outcome("first warning")],
        failures: vec![failure],
        exceptions: vec![outcome("first exception")],
        queries: Vec::new(),
    }
}

fn plain() -> Style {
    Style {
        plain: true,
        ..Style::default()
    }
}

#[test]
fn by_default_there_is_a_line_per_message_and_a_coloured_sum() {
    assert_eq!(
        render(&[each()], Output::Stdout, plain()),
        "WARN - a.yaml - main - first warning\nFAIL - a.yaml - main - first <failure>\nsecond line\n\
         EXCP - a.yaml - main - first exception\n\n5 tests, 1 passed, 1 warning, 1 failure, 1 exception\n"
    );
    let mut stdin = each();
    stdin.filename = "-".to_owned();
    stdin.failures.clear();
    let style = Style {
        suppress_exceptions: true,
        show_skipped: true,
        ..Style::default()
    };
    assert_eq!(
        render(&[stdin], Output::Stdout, style),
        "\u{1b}[33mWARN\u{1b}[0m - - main - first warning\n\n\
         \u{1b}[33m4 tests, 1 passed, 1 warning, 0 failures, 1 exception, 1 skipped\u{1b}[0m\n"
    );
}

#[test]
fn json_is_go_s_with_tabs_and_spelt_out_brackets() {
    assert_eq!(render(&[], Output::Json, plain()), "null\n");
    assert_eq!(
        render(&[each()], Output::Json, plain()),
        "[\n\t{\n\t\t\"filename\": \"a.yaml\",\n\t\t\"namespace\": \"main\",\n\t\t\"successes\": 1,\n\t\t\"skipped\": [\n\t\t\t{\n\
         \t\t\t\t\"msg\": \"first skipped\"\n\t\t\t}\n\t\t],\n\t\t\"warnings\": [\n\t\t\t{\n\t\t\t\t\"msg\": \"first warning\"\n\t\t\t}\n\t\t],\n\
         \t\t\"failures\": [\n\t\t\t{\n\t\t\t\t\"msg\": \"first \\u003cfailure\\u003e\\nsecond line\",\n\t\t\t\t\"loc\": {\n\
         \t\t\t\t\t\"file\": \"other,file.yaml\",\n\t\t\t\t\t\"line\": 7\n\t\t\t\t},\n\t\t\t\t\"metadata\": {\n\
         \t\t\t\t\t\"query\": \"data.main.deny\"\n\t\t\t\t}\n\t\t\t}\n\t\t],\n\t\t\"exceptions\": [\n\t\t\t{\n\
         \t\t\t\t\"msg\": \"first exception\"\n\t\t\t}\n\t\t]\n\t}\n]\n"
    );
}

#[test]
fn tap_numbers_failures_warnings_exceptions_skips_and_successes() {
    assert_eq!(
        render(&[each(), CheckResult::default(), each()], Output::Tap, plain()),
        "1..5\nnot ok 1 - a.yaml - main - first <failure>\nsecond line\n# warnings\nnot ok 2 - a.yaml - main - first warning\n\
         # exceptions\nok 3 - a.yaml - main - first exception\n# skip\nok 4 - a.yaml - main - first skipped\n# successes\n\
         ok 5 - a.yaml - main - SUCCESS\n"
    );
}

#[test]
fn the_table_has_lines_and_its_titles_in_the_middle() {
    assert_eq!(render(&[CheckResult::default()], Output::Table, plain()), "");
    assert_eq!(
        render(&[each()], Output::Table, plain()),
        "┌───────────┬────────┬───────────┬─────────────────┐\n\
         │  RESULT   │  FILE  │ NAMESPACE │     MESSAGE     │\n\
         ├───────────┼────────┼───────────┼─────────────────┤\n\
         │ success   │ a.yaml │ main      │ SUCCESS         │\n\
         │ exception │ a.yaml │ main      │ first exception │\n\
         │ warning   │ a.yaml │ main      │ first warning   │\n\
         │ skipped   │ a.yaml │ main      │ first skipped   │\n\
         │ failure   │ a.yaml │ main      │ first <failure> │\n\
         │           │        │           │ second line     │\n\
         └───────────┴────────┴───────────┴─────────────────┘\n"
    );
}

#[test]
fn junit_has_a_suite_per_namespace_and_a_warning_fails() {
    let empty = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites></testsuites>\n";
    assert_eq!(render(&[CheckResult::default()], Output::Junit, plain()), empty);
    assert_eq!(
        render(&[each()], Output::Junit, plain()),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n\
         \t<testsuite tests=\"4\" failures=\"2\" time=\"0.000\" name=\"conftest.main\">\n\t\t<properties>\n\
         \t\t\t<property name=\"go.version\" value=\"rust\"></property>\n\t\t</properties>\n\
         \t\t<testcase classname=\"conftest.main\" name=\"a.yaml - first warning\" time=\"0.000\">\n\
         \t\t\t<failure message=\"Failed\" type=\"\">first warning</failure>\n\t\t</testcase>\n\
         \t\t<testcase classname=\"conftest.main\" name=\"a.yaml - first &lt;failure&gt;\" time=\"0.000\">\n\
         \t\t\t<failure message=\"Failed\" type=\"\">first &lt;failure&gt;&#xA;second line</failure>\n\t\t</testcase>\n\
         \t\t<testcase classname=\"conftest.main\" name=\"a.yaml - first skipped\" time=\"0.000\">\n\
         \t\t\t<skipped message=\"first skipped\"></skipped>\n\t\t</testcase>\n\
         \t\t<testcase classname=\"conftest.main\" name=\"a.yaml\" time=\"0.000\"></testcase>\n\t</testsuite>\n</testsuites>\n"
    );
    let style = Style {
        hide_message: true,
        ..plain()
    };
    assert!(!render(&[each()], Output::Junit, style).contains("a.yaml - "));
}

#[test]
fn github_names_both_places_where_a_rule_points_elsewhere() {
    assert_eq!(
        render(&[each()], Output::GitHub, plain()),
        "::group::Testing \"a.yaml\" against 5 policies in namespace \"main\"\n\
         ::error file=other%2Cfile.yaml,line=7::first <failure>\nsecond line\n\
         ::error file=a.yaml,line=1::(ORIGINATING FROM other,file.yaml L7) first <failure>\nsecond line\n\
         ::warning file=a.yaml,line=1::first warning\n::notice file=a.yaml,line=1::first exception\n\
         ::notice file=a.yaml,line=1::Test was skipped: first skipped\n\
         ::notice file=a.yaml,line=1::Number of successful checks: 1\n::endgroup::\n\
         5 tests, 1 passed, 1 warning, 1 failure, 1 exception\n"
    );
    let passed = CheckResult {
        successes: 2,
        ..CheckResult::default()
    };
    let style = Style {
        hide_passed: true,
        ..plain()
    };
    assert_eq!(
        render(&[passed], Output::GitHub, style),
        "2 tests, 2 passed, 0 warnings, 0 failures, 0 exceptions\n"
    );
}

#[test]
fn azure_logs_issues_between_a_section_and_a_group() {
    assert_eq!(
        render(&[each()], Output::AzureDevOps, plain()),
        "##[section]Testing 'a.yaml' against 5 policies in namespace 'main'\n##[group]See conftest results\n\
         ##vso[task.logissue type=error] file=a.yaml --> first <failure>\nsecond line\n\
         ##vso[task.logissue type=warning] file=a.yaml --> first warning\n\
         ##vso[task.logissue type=warning] file=a.yaml --> first exception\nskipped file=a.yaml first skipped\n\
         success file=a.yaml 1\n##[endgroup]\n5 tests, 1 passed, 1 warning, 1 failure, 1 exception\n"
    );
}

#[test]
fn sarif_has_a_rule_per_namespace_and_kind() {
    let passed = CheckResult {
        filename: "b.yaml".to_owned(),
        namespace: "main".to_owned(),
        successes: 3,
        ..CheckResult::default()
    };
    let text = render(&[each(), passed, CheckResult::default()], Output::Sarif, plain());
    assert!(
        !text.ends_with('\n') && text.starts_with("{\"version\":\"2.1.0\",\"$schema\":\"https://"),
        "{text}"
    );
    let run = &serde_json::from_str::<serde_json::Value>(&text).unwrap()["runs"][0];
    let rules: Vec<&str> = run["tool"]["driver"]["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["id"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["main/deny", "main/warn", "main/allow", "main/success", "/skip"]);
    assert_eq!(
        run["results"][0],
        json!({
            "ruleId": "main/deny", "ruleIndex": 0, "level": "error", "message": {"text": "first <failure>\nsecond line"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": "other,file.yaml"},
                "region": {"startLine": 7, "endLine": 7}}}]
        })
    );
    assert_eq!(
        run["invocations"][0],
        json!({"executionSuccessful": true, "exitCode": 1, "exitCodeDescription": "Policy violations found"})
    );
}

#[test]
fn texts_and_durations_are_go_s() {
    assert_eq!(quoted("a\"b\\c\n\u{1}é"), "\"a\\\"b\\\\c\\n\\x01é\"");
    assert_eq!(go_duration(0.001_25), "1.25ms");
    assert_eq!(go_duration(0.000_012), "12µs");
    assert_eq!(go_duration(2.0), "2s");
}
