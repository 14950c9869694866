package muster.object_storage.nothing_expires_test

import data.muster.object_storage.example
import data.muster.object_storage.nothing_expires as rule
import rego.v1

test_pass_noncurrent_only if {
	facts := example.facts
	rule.pass == {{"resource": "s3://backups", "message": "no rule deletes current objects"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_pass_none if {
	facts := example.bucket({"lifecycle": {"state": "off", "reason": null, "rules": null}})
	rule.pass == {{"resource": "s3://backups", "message": "there is no lifecycle rule"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_pass_elsewhere if {
	facts := example.bucket({
		"lifecycle": {
			"state": "on",
			"reason": null,
			"rules": [
				{
					"id": "logs",
					"prefix": "logs/",
					"reaches": false,
					"expires": true,
					"expires_noncurrent": false,
				},
			],
		},
	})
	rule.pass == {{"resource": "s3://backups", "message": "no rule deletes current objects"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_expires if {
	facts := example.bucket({
		"lifecycle": {
			"state": "on",
			"reason": null,
			"rules": [
				{
					"id": "after-90-days",
					"prefix": "",
					"reaches": true,
					"expires": true,
					"expires_noncurrent": false,
				},
			],
		},
	})
	rule.fail == {{"resource": "s3://backups", "message": "delete current objects: after-90-days"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_refused if {
	facts := example.bucket({
		"lifecycle": {"state": "unknown", "reason": "HTTP 403 AccessDenied; allow s3:GetIt", "rules": null},
	})
	rule.unknown == {{"resource": "s3://backups", "message": "lifecycle is not known: HTTP 403 AccessDenied; allow s3:GetIt"}} with input as facts
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
