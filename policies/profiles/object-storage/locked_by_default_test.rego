package muster.object_storage.locked_by_default_test

import data.muster.object_storage.example
import data.muster.object_storage.locked_by_default as rule
import rego.v1

test_pass_locked if {
	facts := example.facts
	rule.pass == {{"resource": "s3://backups", "message": "locked (COMPLIANCE) for 35 days by default"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_warn_no_default if {
	facts := example.bucket({"object_lock": {"state": "on", "reason": null, "mode": null, "days": null}})
	rule.warn == {{"resource": "s3://backups", "message": "object lock is on, without a default retention"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_off if {
	facts := example.bucket({"object_lock": {"state": "off", "reason": null, "mode": null, "days": null}})
	rule.fail == {{"resource": "s3://backups", "message": "object lock is off"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_refused if {
	facts := example.bucket({
		"object_lock": {
			"state": "unknown",
			"reason": "HTTP 403 AccessDenied; allow s3:GetIt",
			"mode": null,
			"days": null,
		},
	})
	rule.unknown == {{"resource": "s3://backups", "message": "object_lock is not known: HTTP 403 AccessDenied; allow s3:GetIt"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_not_applicable_directory if {
	facts := example.directory
	rule.not_applicable == {{"resource": "repository", "message": "a local directory is not a bucket"}} with input as facts
	rule.resources == {"repository"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
}
