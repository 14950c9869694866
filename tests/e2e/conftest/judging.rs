//! What counts as a test, what ends a run, and where policies come from.

use super::{fails, place, run, says};

#[test]
fn each_definition_of_a_rule_is_a_test() {
    let env = place();
    env.write(
        "twice/p.rego",
        "package main\nimport rego.v1\ndeny contains \"a\" if input.a\n\ndeny contains \"b\" if input.b\n\nwarn := \"c\" if input.c\n",
    );
    says(
        &env,
        "test good.json -p twice --no-color",
        0,
        "\n3 tests, 3 passed, 0 warnings, 0 failures, 0 exceptions\n",
    );
}

#[test]
fn an_exception_may_stand_in_the_data() {
    let env = place();
    env.write(
        "plain/p.rego",
        "package main\nimport rego.v1\ndeny_labels contains \"no labels\" if not input.labels\n",
    );
    env.write("data/main/exception.yaml", "exception: [[labels]]\n");
    says(
        &env,
        "test good.json -p plain --no-color",
        1,
        "FAIL - good.json - main - no labels\n\n1 test, 0 passed, 0 warnings, 1 failure, 0 exceptions\n",
    );
    says(
        &env,
        "test good.json -p plain -d data --no-color",
        0,
        "EXCP - good.json - main - data.main.exception[_][_] == \"labels\"\n\n1 test, 0 passed, 0 warnings, 0 failures, 1 exception\n",
    );
}

#[test]
fn an_object_without_a_message_ends_the_run() {
    let env = place();
    env.write(
        "object/p.rego",
        "package main\nimport rego.v1\ndeny contains {\"message\": \"x\"}\n",
    );
    let ended = run(&env, "test good.json -p object").expect_code(1);
    assert!(
        ended.stderr.starts_with("Error: running test: ")
            && ended
                .stderr
                .ends_with("new result: \"msg\" field must be present and a string\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn ten_errors_are_told_and_that_there_are_more() {
    let env = place();
    let wrong: String = (0..11).map(|n| format!("r{n} := none_{n}(1)\n")).collect();
    env.write("wrong/p.rego", format!("package main\nimport rego.v1\n{wrong}"));
    let ended = run(&env, "test good.json -p wrong").expect_code(1);
    assert!(ended.stderr.contains("undefined function none_9"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("undefined function none_10"), "{}", ended.stderr);
    assert!(
        ended.stderr.ends_with("rego_compile_error: error limit reached\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_unit_test_that_ends_in_an_error_ends_verify() {
    let env = place();
    env.write(
        "policy/main_test.rego",
        "package main\n\nimport rego.v1\n\ntest_plain if true\n\ntest_asks if not http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1/\"})\n",
    );
    let ended = run(&env, "verify").expect_code(1);
    assert!(
        ended
            .stderr
            .starts_with("Error: running verification: run test: policy/main_test.rego:7: ")
            && ended.stderr.contains("http.send"),
        "{}",
        ended.stderr
    );
    env.write(
        "policy/main_test.rego",
        "package main\n\nimport rego.v1\n\ntest_lenient if {\n\tcount([x | x := to_number(\"x\")]) == 0\n}\n",
    );
    run(&env, "verify").expect_code(0);
    let shown = run(&env, "verify --show-builtin-errors").expect_code(1);
    assert!(shown.stderr.contains("to_number"), "{}", shown.stderr);
}

#[test]
fn verify_is_quiet_when_all_passes_and_traces_to_standard_error() {
    let env = place();
    env.write(
        "policy/main_test.rego",
        "package main\n\nimport rego.v1\n\ntest_plain if count(deny) == 0 with input as {}\n",
    );
    says(&env, "verify --quiet", 0, "");
    let traced = run(&env, "verify --trace --no-color").expect_code(0);
    assert!(
        traced.stdout.starts_with("\n1 test, 1 passed") && traced.stderr.contains("TRAC   Enter "),
        "{traced:?}"
    );
}

#[test]
fn definitions_of_messages_are_found_where_the_flag_says() {
    let env = place();
    env.write(
        "protos/t.proto",
        "syntax = \"proto3\";\npackage t;\nmessage A { string kind = 1; }\n",
    );
    env.write("a.textproto", "# proto-message: t.A\nkind: \"Service\"\n");
    let judged = run(&env, "test a.textproto --proto-file-dirs protos --no-color").expect_code(0);
    assert!(
        judged
            .stdout
            .contains("WARN - a.textproto - main - services are not loved\n"),
        "{judged:?}"
    );
    fails(
        &env,
        "test a.textproto",
        "Error: running test: parse configurations: parser unmarshal: look up message type \"t.A\": not found; name the folders of its \
         definitions with --proto-file-dirs, path: a.textproto\n",
    );
}

#[test]
fn an_absolute_folder_is_one_beneath_this_one_unless_it_is_asked_for() {
    let env = place();
    let folder = env.path("pulled").display().to_string();
    run(&env, &format!("pull -p {folder} other/extra.rego")).expect_code(0);
    assert!(!env.path("pulled").exists());
    assert!(
        env.path(format!("{}/extra.rego", folder.trim_start_matches('/')))
            .is_file()
    );
    run(&env, &format!("pull -p {folder} --absolute-paths other/extra.rego")).expect_code(0);
    assert!(env.path("pulled/extra.rego").is_file());
}
