package muster.dr_baseline.repository_whole_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.repository_whole as rule
import rego.v1

test_pass_whole if {
	facts := example.facts
	rule.pass == {{"resource": "repository", "message": "2 snapshots, each with its manifest"}} with input as facts
	count(rule.fail) == 0 with input as facts
}

test_fail_missing if {
	facts := example.repository({"missing_manifests": ["accounts/01KAXYZ0000000000000000001"]})
	rule.fail == {{"resource": "repository", "message": "missing: accounts/01KAXYZ0000000000000000001"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_unknown_not_compared if {
	facts := example.repository({"missing_manifests": null})
	rule.unknown == {{"resource": "repository", "message": "the log could not be compared with the repository"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}
