//! Every format that is promised, from the file to the rule: by the file's name, by `--parser`, and with the line of what is found.

use muster_policies::{CheckOptions, Verdict, check};

use crate::Bench;

/// Parser, a file's name, its text, and what then holds of the input.
const FORMATS: [(&str, &str, &str, &str); 22] = [
    (
        "cyclonedx",
        "a.cyclonedx",
        "<bom xmlns=\"http://cyclonedx.org/schema/bom/1.4\" version=\"7\"/>",
        "input.version == 7",
    ),
    ("dockerfile", "Dockerfile", "FROM a\n", "input[0].Cmd == \"from\""),
    ("dotenv", ".env", "A=b\n", "input.A == \"b\""),
    ("edn", "a.edn", "{:a 1}", "input[\":a\"] == \"1\""),
    ("hcl1", "a.hcl1", "a { b = 1 }\n", "input.a[0].b == 1"),
    ("hcl2", "a.tf", "a {\n  b = 1\n}\n", "input.a[0].b == 1"),
    ("ignore", ".gitignore", "*.log\n", "input[0].Value == \"*.log\""),
    ("ini", "a.ini", "[a]\nb = 1\n", "input.a.b == 1"),
    ("json", "a.json", "{\"a\": 1}", "input.a == 1"),
    ("jsonc", "a.jsonc", "{\"a\": 1,} // b", "input.a == 1"),
    ("jsonnet", "a.jsonnet", "{ a: 1 + 1 }", "input.a == 2"),
    (
        "mariadb",
        "my.cnf",
        "[mysqld]\nskip-name-resolve\n",
        "input.groups.mysqld.skip_name_resolve == true",
    ),
    (
        "nginx",
        "nginx.conf",
        "user www;\n",
        "input.directives[0].name == \"user\"",
    ),
    (
        "pg_hba",
        "pg_hba.conf",
        "host all all ::/0 trust\n",
        "input.rules[0].method == \"trust\"",
    ),
    (
        "postgresql",
        "postgresql.conf",
        "fsync = off\n",
        "input.settings.fsync == \"off\"",
    ),
    ("properties", "a.properties", "a = b\n", "input.a == \"b\""),
    (
        "redis",
        "redis.conf",
        "save 900 1\n",
        "input.save[0] == [\"900\", \"1\"]",
    ),
    (
        "spdx",
        "a.spdx",
        "SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\nSPDXID: SPDXRef-DOCUMENT\nDocumentName: a\nDocumentNamespace: https://x\n\
         Creator: Tool: t\nCreated: 2021-08-26T01:46:00Z\n",
        "input.name == \"a\"",
    ),
    (
        "textproto",
        "a.textproto",
        "# proto-message: t.A\nn: 1\n",
        "input.n == 1",
    ),
    ("toml", "a.toml", "a = 1\n", "input.a == 1"),
    ("xml", "a.xml", "<a><b>c</b></a>", "input.a.b == \"c\""),
    ("yaml", "a.yml", "a: yes\n", "input.a == true"),
];

#[test]
fn each_format_is_told_by_its_name_and_by_that_of_its_parser() {
    let mut wrong = Vec::new();
    for (parser, name, text, holds) in FORMATS {
        let bench = Bench::new();
        bench.write(
            "policy/p.rego",
            format!("package main\n\nimport rego.v1\n\ndeny contains \"seen\" if {holds}\n"),
        );
        bench.write(
            "protos/t.proto",
            "syntax = \"proto3\";\npackage t;\nmessage A { int32 n = 1; }\n",
        );
        bench.write(&format!("in/{name}"), text);
        // A name that says another format, or none.
        bench.write("otherwise/a.json", text);
        bench.write("plain", text);
        for (path, parser) in [
            ("in", None),
            ("otherwise", Some(parser.to_owned())),
            ("plain", Some(parser.to_owned())),
        ] {
            let options = CheckOptions {
                parser,
                protos: vec![bench.path("protos")],
                ..bench.options()
            };
            let report = check(&[bench.path(path)], &options).unwrap();
            let fate: Vec<_> = report
                .results
                .iter()
                .map(|found| (found.verdict, found.message.as_str()))
                .collect();
            if fate != [(Verdict::Fail, "seen")] {
                wrong.push(format!("{name} {path}: {fate:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_mark_of_byte_order_before_the_text_is_no_matter() {
    let bench = Bench::new();
    bench.write(
        "policy/p.rego",
        "package main\n\nimport rego.v1\n\ndeny contains \"seen\" if input.a == 1\n",
    );
    for (name, text) in [
        ("b.json", "\u{feff}{\"a\": 1}"),
        ("b.yaml", "\u{feff}a: 1\n"),
        ("b.toml", "\u{feff}a = 1\n"),
    ] {
        let file = bench.write(name, text);
        assert_eq!(bench.check(&file).summary.fail, 1, "{name}");
    }
}

#[test]
fn a_finding_in_standard_input_and_at_a_key_with_a_slash_has_its_line() {
    let bench = Bench::new();
    bench.write(
        "policy/p.rego",
        "package main\n\nimport rego.v1\n\ndeny contains {\"msg\": \"seen\", \"path\": [\"notes\", \"a/b~c\"]} if input.notes[\"a/b~c\"] == 1\n",
    );
    let options = CheckOptions {
        stdin: b"kind: x\nnotes:\n  d: 2\n  a/b~c: 1\n".to_vec(),
        ..bench.options()
    };
    let report = check(&["-".into()], &options).unwrap();
    let found = &report.results[0];
    assert_eq!(
        (found.verdict, found.line, found.column, found.file.as_deref()),
        (Verdict::Fail, Some(4), Some(3), Some("-"))
    );
}
