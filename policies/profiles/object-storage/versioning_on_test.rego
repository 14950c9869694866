package muster.object_storage.versioning_on_test

import data.muster.object_storage.example
import data.muster.object_storage.versioning_on as rule
import rego.v1

test_pass_on if {
	facts := example.facts
	rule.pass == {{"resource": "s3://backups", "message": "versioning is on"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_off if {
	facts := example.bucket({"versioning": {"state": "off", "reason": null, "mfa_delete": null}})
	rule.fail == {{"resource": "s3://backups", "message": "versioning is off"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_refused if {
	facts := example.bucket({
		"versioning": {"state": "unknown", "reason": "HTTP 403 AccessDenied; allow s3:GetIt", "mfa_delete": null},
	})
	rule.unknown == {{"resource": "s3://backups", "message": "versioning is not known: HTTP 403 AccessDenied; allow s3:GetIt"}} with input as facts
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
