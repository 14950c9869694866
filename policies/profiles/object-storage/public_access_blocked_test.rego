package muster.object_storage.public_access_blocked_test

import data.muster.object_storage.example
import data.muster.object_storage.public_access_blocked as rule
import rego.v1

test_pass_all if {
	facts := example.facts
	rule.pass == {{"resource": "s3://backups", "message": "all four blocks are on"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_one_missing if {
	facts := example.bucket({"public_access_block": {"state": "on", "reason": null, "missing": ["RestrictPublicBuckets"]}})
	rule.fail == {{"resource": "s3://backups", "message": "not set: RestrictPublicBuckets"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_off if {
	facts := example.bucket({"public_access_block": {"state": "off", "reason": null, "missing": null}})
	rule.fail == {{"resource": "s3://backups", "message": "public access is not blocked"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_refused if {
	facts := example.bucket({
		"public_access_block": {"state": "unknown", "reason": "HTTP 403 AccessDenied; allow s3:GetIt", "missing": null},
	})
	rule.unknown == {{"resource": "s3://backups", "message": "public_access_block is not known: HTTP 403 AccessDenied; allow s3:GetIt"}} with input as facts
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
