//! The forms of the results and of `parse`, each to its bytes.

use serde_json::{Value, json};

use super::{fails, place, run, run_with, says};

#[test]
fn each_form_has_its_bytes() {
    let env = place();
    says(
        &env,
        "test bad.yaml -o json",
        1,
        "[\n\t{\n\t\t\"filename\": \"bad.yaml\",\n\t\t\"namespace\": \"main\",\n\t\t\"successes\": 1,\n\t\t\"failures\": [\n\
         \t\t\t{\n\t\t\t\t\"msg\": \"Containers must not run as root\",\n\t\t\t\t\"metadata\": {\n\t\t\t\t\t\"query\": \"data.main.deny\"\n\
         \t\t\t\t}\n\t\t\t},\n\t\t\t{\n\t\t\t\t\"msg\": \"web has no \\u003clabels\\u003e\",\n\t\t\t\t\"loc\": {\n\
         \t\t\t\t\t\"file\": \"other.yaml\",\n\t\t\t\t\t\"line\": 7\n\t\t\t\t},\n\t\t\t\t\"metadata\": {\n\
         \t\t\t\t\t\"query\": \"data.main.deny_labels\",\n\t\t\t\t\t\"team\": \"web\"\n\t\t\t\t}\n\t\t\t}\n\t\t]\n\t}\n]\n",
    );
    says(
        &env,
        "test svc.yaml --output=tap",
        0,
        "1..3\n# warnings\nnot ok 1 - svc.yaml - main - services are not loved\n# successes\n\
         ok 2 - svc.yaml - main - SUCCESS\nok 3 - svc.yaml - main - SUCCESS\n",
    );
    says(
        &env,
        "test svc.yaml -otable",
        0,
        "┌─────────┬──────────┬───────────┬────────────────────────┐\n\
         │ RESULT  │   FILE   │ NAMESPACE │        MESSAGE         │\n\
         ├─────────┼──────────┼───────────┼────────────────────────┤\n\
         │ success │ svc.yaml │ main      │ SUCCESS                │\n\
         │ success │ svc.yaml │ main      │ SUCCESS                │\n\
         │ warning │ svc.yaml │ main      │ services are not loved │\n\
         └─────────┴──────────┴───────────┴────────────────────────┘\n",
    );
    let junit = |flag: &str| {
        run(&env, &format!("test svc.yaml -o junit {flag}"))
            .expect_code(0)
            .stdout
    };
    assert!(junit("").contains(
        "<testcase classname=\"conftest.main\" name=\"svc.yaml - services are not loved\" time=\"0.000\">\n"
    ));
    assert!(
        junit("--junit-hide-message")
            .contains("<testcase classname=\"conftest.main\" name=\"svc.yaml\" time=\"0.000\">\n")
    );
    says(
        &env,
        "test bad.yaml good.json -o github --github-hide-passed",
        1,
        "::group::Testing \"bad.yaml\" against 3 policies in namespace \"main\"\n\
         ::error file=bad.yaml,line=1::Containers must not run as root\n\
         ::error file=other.yaml,line=7::web has no <labels>\n\
         ::error file=bad.yaml,line=1::(ORIGINATING FROM other.yaml L7) web has no <labels>\n\
         ::notice file=bad.yaml,line=1::Number of successful checks: 1\n::endgroup::\n\
         6 tests, 4 passed, 0 warnings, 2 failures, 0 exceptions\n",
    );
    says(
        &env,
        "test good.json -o azuredevops",
        0,
        "##[section]Testing 'good.json' against 3 policies in namespace 'main'\n##[group]See conftest results\n\
         success file=good.json 3\n##[endgroup]\n3 tests, 3 passed, 0 warnings, 0 failures, 0 exceptions\n",
    );
    let sarif: Value = serde_json::from_str(&run(&env, "test bad.yaml -o sarif").expect_code(1).stdout).unwrap();
    assert_eq!(
        sarif["runs"][0]["tool"]["driver"]["rules"],
        json!([{
            "id": "main/deny", "shortDescription": {"text": "Policy violation"}, "properties": {"query": "data.main.deny"}
        }])
    );
    // A form that there is not is the usual one, always in colour.
    assert!(
        run(&env, "test good.json -o yaml --no-color")
            .expect_code(0)
            .stdout
            .contains("\u{1b}[32m3 tests")
    );
}

#[test]
fn results_as_json_become_any_other_form() {
    let env = place();
    let json = run(&env, "test bad.yaml -o json").expect_code(1).stdout;
    env.write("results.json", &json);
    assert_eq!(
        run(&env, "reformat results.json").expect_code(0).stdout,
        run(&env, "test bad.yaml").stdout
    );
    let piped = run_with(&env, "reformat -o json", &[], &json).expect_code(0);
    assert_eq!(piped.stdout, json);
    assert_eq!(
        run_with(&env, "reformat -o json", &[], "[]").expect_code(0).stdout,
        "[]\n"
    );
    fails(
        &env,
        "reformat nowhere.json",
        "Error: failed to open input file: open nowhere.json: no such file or directory\n",
    );
    let broken = run_with(&env, "reformat", &[], "\n").expect_code(1);
    assert_eq!(broken.stderr, "Error: failed to parse JSON input: EOF\n");
}

#[test]
fn parse_prints_one_value_or_one_by_path_or_a_list() {
    let env = place();
    env.write("a.ini", "[s]\nx = <1>\n");
    says(
        &env,
        "parse a.ini",
        0,
        "{\n  \"s\": {\n    \"x\": \"\\u003c1\\u003e\"\n  }\n}\n",
    );
    says(
        &env,
        "parse a.ini good.json",
        0,
        "{\n  \"a.ini\": {\n    \"s\": {\n      \"x\": \"\\u003c1\\u003e\"\n    }\n  },\n  \"good.json\": {\n    \"kind\": \"Pod\",\n\
         \x20   \"metadata\": {\n      \"labels\": {},\n      \"name\": \"p\"\n    }\n  }\n}\n",
    );
    env.write("b.json", "[]");
    says(
        &env,
        "parse --combine a.ini b.json",
        0,
        "[\n\t{\n\t\t\"path\": \"a.ini\",\n\t\t\"contents\": {\n\t\t\t\"s\": {\n\t\t\t\t\"x\": \"\\u003c1\\u003e\"\n\t\t\t}\n\t\t}\n\t}\n]\n\n",
    );
    says(&env, "parse --parser json a.ini", 1, "");
}

#[test]
fn the_trace_goes_to_standard_error_beside_any_form() {
    let env = place();
    let traced = run(&env, "test svc.yaml --trace --no-color -o tap").expect_code(0);
    assert!(traced.stdout.starts_with("1..3\n"));
    assert!(
        traced
            .stderr
            .starts_with("file: svc.yaml | query: data.main.exception[_][_] == \"\"\nTRAC   Enter "),
        "{}",
        traced.stderr
    );
    assert!(
        traced.stderr.contains("| Eval msg := \"services are not loved\""),
        "{}",
        traced.stderr
    );
}

#[test]
fn an_exception_covers_a_rule_and_is_told_unless_it_is_suppressed() {
    let env = place();
    let sum = "\n3 tests, 2 passed, 0 warnings, 0 failures, 1 exception\n";
    let line = "EXCP - excepted.yaml - main - data.main.exception[_][_] == \"labels\"\n";
    says(&env, "test excepted.yaml --no-color", 0, &format!("{line}{sum}"));
    says(&env, "test excepted.yaml --no-color --suppress-exceptions", 0, sum);
}
