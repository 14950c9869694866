//! A rule that looks at what is not known and says nothing has proven nothing.

use muster_policies::{CheckOptions, Report, Verdict, check};

use super::{Bench, NOW};

/// As `terraform show -json` writes it (Terraform 1.9, AWS provider 5): two buckets, one of whose names is made when it is created, a key
/// whose ARN only AWS knows, and encryption by that key.
const PLAN: &str = r#"{
  "format_version": "1.2",
  "terraform_version": "1.9.8",
  "planned_values": {
    "outputs": {"key": {"sensitive": false}},
    "root_module": {
      "resources": [
        {"address": "aws_s3_bucket.logs", "mode": "managed", "type": "aws_s3_bucket", "name": "logs",
         "values": {"bucket": "logs", "force_destroy": true, "tags": {"env": "prod"}}},
        {"address": "aws_kms_key.main", "mode": "managed", "type": "aws_kms_key", "name": "main",
         "values": {"enable_key_rotation": true, "description": "for backups"}}
      ],
      "child_modules": [
        {"address": "module.data",
         "resources": [
           {"address": "module.data.aws_s3_bucket.saves", "mode": "managed", "type": "aws_s3_bucket", "name": "saves",
            "values": {"force_destroy": false, "tags": null}},
           {"address": "module.data.aws_s3_bucket_server_side_encryption_configuration.saves", "mode": "managed",
            "type": "aws_s3_bucket_server_side_encryption_configuration", "name": "saves",
            "values": {"rule": [{"apply_server_side_encryption_by_default": [{"sse_algorithm": "aws:kms"}]}]}}
         ]}
      ]
    }
  },
  "resource_changes": [
    {"address": "aws_kms_key.main", "type": "aws_kms_key", "name": "main",
     "change": {"actions": ["create"], "before": null,
       "after": {"enable_key_rotation": true, "description": "for backups"},
       "after_unknown": {"arn": true, "id": true, "key_id": true, "policy": true}, "before_sensitive": false, "after_sensitive": {}}},
    {"address": "aws_s3_bucket.logs", "type": "aws_s3_bucket", "name": "logs",
     "change": {"actions": ["create"], "before": null,
       "after": {"bucket": "logs", "force_destroy": true, "tags": {"env": "prod"}},
       "after_unknown": {"arn": true, "id": true, "tags": {}}, "before_sensitive": false, "after_sensitive": {}}},
    {"address": "module.data.aws_s3_bucket.saves", "module_address": "module.data", "type": "aws_s3_bucket", "name": "saves",
     "change": {"actions": ["create"], "before": null,
       "after": {"force_destroy": false, "tags": null},
       "after_unknown": {"arn": true, "bucket": true, "id": true}, "before_sensitive": false, "after_sensitive": {}}},
    {"address": "module.data.aws_s3_bucket_server_side_encryption_configuration.saves", "module_address": "module.data",
     "type": "aws_s3_bucket_server_side_encryption_configuration", "name": "saves",
     "change": {"actions": ["create"], "before": null,
       "after": {"rule": [{"apply_server_side_encryption_by_default": [{"sse_algorithm": "aws:kms"}]}]},
       "after_unknown": {"bucket": true, "id": true,
         "rule": [{"apply_server_side_encryption_by_default": [{"kms_master_key_id": true}]}]}}}
  ],
  "output_changes": {"key": {"actions": ["create"], "before": null, "after_unknown": true}}
}
"#;

fn judged(rule: &str) -> (Verdict, Option<String>) {
    let bench = Bench::new();
    bench.write("policy/p.rego", format!("package main\n\nimport rego.v1\n\n{rule}\n"));
    let report = bench.check(&bench.write("plan.json", PLAN));
    assert_eq!(report.results.len(), 1, "{:?}", report.results);
    (report.results[0].verdict, report.results[0].path.clone())
}

fn unknown(rule: &str, pointer: &str) {
    assert_eq!(judged(rule), (Verdict::Unknown, Some(pointer.to_owned())), "{rule}");
}

fn known(rule: &str) {
    assert_eq!(judged(rule).0, Verdict::Pass, "{rule}");
}

const ENCRYPTION: &str =
    "/resource_changes/3/change/after/rule/0/apply_server_side_encryption_by_default/0/kms_master_key_id";

#[test]
fn a_pass_over_what_the_plan_does_not_know_is_unknown() {
    unknown(
        "deny contains rc.address if { some rc in input.resource_changes; startswith(rc.change.after.bucket, \"public-\") }",
        "/resource_changes/2/change/after/bucket",
    );
    unknown(
        "deny contains \"x\" if { e := input.resource_changes[_].change.after.rule[_].apply_server_side_encryption_by_default[_]; e.kms_master_key_id == \"alias/aws/s3\" }",
        ENCRYPTION,
    );
    unknown(
        "deny contains \"x\" if input.planned_values.outputs.key.value == \"\"",
        "/planned_values/outputs/key/value",
    );
    unknown(
        "deny contains \"x\" if input.output_changes.key.after == \"\"",
        "/output_changes/key/after",
    );
    unknown(
        "deny contains \"x\" if { r := input.planned_values.root_module.child_modules[_].resources[_]; r.values.bucket == \"x\" }",
        "/planned_values/root_module/child_modules/0/resources/0/values/bucket",
    );
}

#[test]
fn what_a_rule_does_not_look_at_does_not_matter() {
    known(
        "deny contains rc.address if { some rc in input.resource_changes; rc.change.after.enable_key_rotation == false }",
    );
    known("deny contains rc.address if { some rc in input.resource_changes; rc.change.after.tags.env == \"test\" }");
    known("deny contains \"x\" if count(input.resource_changes) > 100");
    let counted = "deny contains \"x\" if count(input.resource_changes[_].change.after) > 100";
    assert_eq!(judged(counted).0, Verdict::Unknown, "what is not known is not counted");
}

#[test]
fn members_that_a_rule_does_not_ask_for_do_not_matter() {
    // The key's id is not known, the buckets' names are: but only one of them.
    known(
        "deny contains \"x\" if { some rc in input.resource_changes; rc.type == \"aws_iam_role\"; rc.change.after.id == \"x\" }",
    );
    known(
        "deny contains \"x\" if { some i; input.resource_changes[i].address == \"aws_s3_bucket.logs\"; input.resource_changes[i].change.after.bucket == \"x\" }",
    );
    unknown(
        "deny contains \"x\" if { some rc in input.resource_changes; rc.type in {\"aws_s3_bucket\", \"aws_iam_role\"}; rc.change.after.id == \"x\" }",
        "/resource_changes/1/change/after/id",
    );
    unknown(
        "deny contains \"x\" if { some rc in input.resource_changes; not rc.type == \"aws_iam_role\"; rc.change.after.policy == \"x\" }",
        "/resource_changes/0/change/after/policy",
    );
}

#[test]
fn locals_rules_functions_and_comprehensions_are_followed() {
    let through_a_set = "buckets contains rc if { rc := input.resource_changes[_]; rc.type == \"aws_s3_bucket\" }\n\
        deny contains b.address if { some b in buckets; b.change.after.bucket == \"x\" }";
    unknown(through_a_set, "/resource_changes/2/change/after/bucket");
    known(&through_a_set.replace("after.bucket", "after.policy"));
    let through_a_function = "name(r) := r.change.after.bucket\n\
        is_open(r) if name(r) == \"open\"\n\
        deny contains \"x\" if { some rc in input.resource_changes; is_open(rc) }";
    unknown(through_a_function, "/resource_changes/2/change/after/bucket");
    let through_a_comprehension =
        "deny contains \"x\" if { all := [a | a := input.resource_changes[_].change.after]; all[_].bucket == \"x\" }";
    unknown(through_a_comprehension, "/resource_changes/2/change/after/bucket");
    let through_a_pattern = "deny contains \"x\" if { {\"change\": {\"after\": after}} = pick(input.resource_changes[_]); object.get(after, \"bucket\", \"\") == \"x\" }\npick(x) := x";
    unknown(through_a_pattern, "/resource_changes/2/change/after/bucket");
    let through_walk = "deny contains \"x\" if { walk(input.resource_changes, [path, value]); path[count(path) - 1] == \"acl\"; value == \"public\" }";
    assert_eq!(judged(through_walk).0, Verdict::Unknown);
    let what_is_missing = "deny contains \"x\" if { some rc in input.resource_changes; rc.type == \"aws_s3_bucket\"; after := rc.change.after; after.bucket }";
    assert_eq!(judged(what_is_missing).0, Verdict::Fail, "one of the names is known");
    let every = "deny contains \"x\" if { every rc in input.resource_changes { rc.change.after.bucket == \"logs\" } }";
    unknown(
        every,
        "/resource_changes/0/change/after/bucket".replace("/0/", "/2/").as_str(),
    );
}

#[test]
fn a_failure_stays_one() {
    let rule = "deny contains rc.address if { some rc in input.resource_changes; rc.type == \"aws_s3_bucket\"; not rc.change.after.bucket }";
    assert_eq!(judged(rule).0, Verdict::Fail);
}

#[test]
fn an_expression_in_hcl_is_not_known() {
    let bench = Bench::new();
    bench.write(
        "policy/p.rego",
        "package main\n\nimport rego.v1\n\ndeny contains n if { some n, b in input.resource.aws_s3_bucket; b[_].acl == \"public-read\" }\n\nwarn contains n if { some n, b in input.resource.aws_s3_bucket; b[_].force_destroy == \"yes\" }\n\nwarn_price contains n if { some n, b in input.resource.aws_s3_bucket; b[_].price == \"1\" }\n",
    );
    let main = bench.write(
        "main.tf",
        "resource \"aws_s3_bucket\" \"saves\" {\n  acl           = var.acl\n  price         = \"$${x}\"\n  force_destroy = true\n}\n",
    );
    let report = bench.check(&main);
    let of = |report: &Report, rule: &str| {
        let finding = report.results.iter().find(|finding| finding.rule == rule).unwrap();
        (finding.verdict, finding.line)
    };
    assert_eq!(of(&report, "main.deny"), (Verdict::Unknown, Some(2)));
    assert_eq!(of(&report, "main.warn").0, Verdict::Pass);
    assert_eq!(
        of(&report, "main.warn_price").0,
        Verdict::Pass,
        "an escaped ${{ is text"
    );
    assert_eq!(report.status().exit_code(), 3);
    let options = CheckOptions {
        combine: true,
        ..bench.options()
    };
    bench.write(
        "policy/p.rego",
        "package main\n\nimport rego.v1\n\ndeny contains \"x\" if input[_].contents.resource.aws_s3_bucket[_][_].acl == \"public-read\"\n",
    );
    let report = check(&[main], &options).unwrap();
    assert_eq!(of(&report, "main.deny").0, Verdict::Unknown);
    assert_eq!(options.now, NOW);
}

#[test]
fn a_rule_that_looks_like_a_check_and_is_none_is_told() {
    let report = Bench::judge(
        "package main\n\nimport rego.v1\n\ndeny contains \"x\" if input.a\n\nviolations contains \"y\" if input.a\n\ndenies(x) if x\n",
        "b: 1\n",
    );
    let warning = &report
        .results
        .iter()
        .find(|finding| finding.rule == "main.violations")
        .unwrap();
    assert_eq!((warning.verdict, warning.line), (Verdict::Warn, Some(7)));
    assert!(warning.message.contains("deny, violation or warn"), "{warning:?}");
    assert_eq!(report.summary.warn, 1, "a function is no check: {report:?}");
}
