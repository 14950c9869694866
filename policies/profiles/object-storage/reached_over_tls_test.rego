package muster.object_storage.reached_over_tls_test

import data.muster.object_storage.example
import data.muster.object_storage.reached_over_tls as rule
import rego.v1

test_pass_https if {
	facts := example.facts
	rule.pass == {{"resource": "s3://backups", "message": "over https"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_http if {
	facts := example.bucket({"transport": "http"})
	rule.fail == {{"resource": "s3://backups", "message": "over plain http"}} with input as facts
	rule.resources == {"s3://backups"} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_not_known if {
	facts := example.bucket({"transport": null})
	rule.unknown == {{"resource": "s3://backups", "message": "the endpoint is not known"}} with input as facts
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
