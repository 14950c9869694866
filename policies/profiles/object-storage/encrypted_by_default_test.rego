package muster.object_storage.encrypted_by_default_test

import data.muster.object_storage.example
import data.muster.object_storage.encrypted_by_default as rule
import rego.v1

test_pass_kms if {
	facts := example.facts
	rule.pass == {{"resource": "s3://backups", "message": "encrypted with aws:kms by default"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_off if {
	facts := example.bucket({"encryption": {"state": "off", "reason": null, "algorithm": null}})
	rule.fail == {{"resource": "s3://backups", "message": "no default encryption"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_refused if {
	facts := example.bucket({
		"encryption": {"state": "unknown", "reason": "HTTP 403 AccessDenied; allow s3:GetIt", "algorithm": null},
	})
	rule.unknown == {{"resource": "s3://backups", "message": "encryption is not known: HTTP 403 AccessDenied; allow s3:GetIt"}} with input as facts
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
