package muster.object_storage.old_versions_expire_test

import data.muster.object_storage.example
import data.muster.object_storage.old_versions_expire as rule
import rego.v1

test_pass_expire if {
	facts := example.facts
	rule.pass == {{"resource": "s3://backups", "message": "removed by: tidy"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_warn_kept if {
	facts := example.bucket({
		"lifecycle": {
			"state": "on",
			"reason": null,
			"rules": [
				{
					"id": "other",
					"prefix": "",
					"reaches": true,
					"expires": true,
					"expires_noncurrent": false,
				},
			],
		},
	})
	rule.warn == {{"resource": "s3://backups", "message": "older versions are kept for ever"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_warn_no_rules if {
	facts := example.bucket({"lifecycle": {"state": "off", "reason": null, "rules": null}})
	rule.warn == {{"resource": "s3://backups", "message": "older versions are kept for ever: there is no lifecycle rule"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_not_applicable_unversioned if {
	facts := example.bucket({"versioning": {"state": "off", "reason": null, "mfa_delete": null}})
	rule.not_applicable == {{"resource": "s3://backups", "message": "there are no older versions (OS-001)"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
}

test_unknown_lifecycle_refused if {
	facts := example.bucket({
		"lifecycle": {"state": "unknown", "reason": "HTTP 403 AccessDenied; allow s3:GetIt", "rules": null},
	})
	rule.unknown == {{"resource": "s3://backups", "message": "lifecycle is not known: HTTP 403 AccessDenied; allow s3:GetIt"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_versioning_refused if {
	facts := example.bucket({
		"versioning": {"state": "unknown", "reason": "HTTP 403 AccessDenied; allow s3:GetIt", "mfa_delete": null},
	})
	rule.unknown == {{"resource": "s3://backups", "message": "versioning is not known: HTTP 403 AccessDenied; allow s3:GetIt"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_not_applicable_directory if {
	facts := example.directory
	rule.not_applicable == {{"resource": "repository", "message": "a local directory is not a bucket"}} with input as facts
	rule.resources == {"repository"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
}
