package muster.object_storage.replicated_elsewhere_test

import data.muster.object_storage.example
import data.muster.object_storage.replicated_elsewhere as rule
import rego.v1

test_pass_on if {
	facts := example.facts
	rule.pass == {{"resource": "s3://backups", "message": "1 rules replicate it"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_warn_off if {
	facts := example.bucket({"replication": {"state": "off", "reason": null, "rules": null}})
	rule.warn == {{"resource": "s3://backups", "message": "it is not replicated"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_warn_all_disabled if {
	facts := example.bucket({"replication": {"state": "on", "reason": null, "rules": 0}})
	rule.warn == {{"resource": "s3://backups", "message": "no rule that replicates it is on"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_refused if {
	facts := example.bucket({
		"replication": {"state": "unknown", "reason": "HTTP 403 AccessDenied; allow s3:GetIt", "rules": null},
	})
	rule.unknown == {{"resource": "s3://backups", "message": "replication is not known: HTTP 403 AccessDenied; allow s3:GetIt"}} with input as facts
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
