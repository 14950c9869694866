package muster.object_storage.policy_not_public_test

import data.muster.object_storage.example
import data.muster.object_storage.policy_not_public as rule
import rego.v1

test_pass_none if {
	facts := example.facts
	rule.pass == {{"resource": "s3://backups", "message": "there is no policy"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_pass_named if {
	facts := example.bucket({"policy": {"state": "on", "reason": null, "public": false}})
	rule.pass == {{"resource": "s3://backups", "message": "the policy is not public"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_public if {
	facts := example.bucket({"policy": {"state": "on", "reason": null, "public": true}})
	rule.fail == {{"resource": "s3://backups", "message": "the policy is public"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_not_told if {
	facts := example.bucket({"policy": {"state": "on", "reason": null, "public": null}})
	rule.unknown == {{"resource": "s3://backups", "message": "there is a policy, and the server does not say whether it is public: allow s3:GetBucketPolicyStatus"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_refused if {
	facts := example.bucket({
		"policy": {"state": "unknown", "reason": "HTTP 403 AccessDenied; allow s3:GetIt", "public": null},
	})
	rule.unknown == {{"resource": "s3://backups", "message": "policy is not known: HTTP 403 AccessDenied; allow s3:GetIt"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_not_applicable_directory if {
	facts := example.directory
	rule.not_applicable == {{"resource": "repository", "message": "a local directory is not a bucket"}} with input as facts
	rule.resources == {"repository"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
}
