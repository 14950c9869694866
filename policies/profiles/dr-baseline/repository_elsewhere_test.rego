package muster.dr_baseline.repository_elsewhere_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.repository_elsewhere as rule
import rego.v1

test_pass_other_host if {
	facts := example.facts
	rule.pass == {{"resource": "repository", "message": "s3 repository, 0 further copies"}} with input as facts
	count(rule.warn) == 0 with input as facts
}

test_pass_copied if {
	facts := example.repository({"scheme": "file", "same_host": true, "copies": 1})
	rule.pass == {{"resource": "repository", "message": "file repository, 1 further copies"}} with input as facts
	count(rule.warn) == 0 with input as facts
}

test_warn_same_host if {
	facts := example.repository({"scheme": "file", "same_host": true})
	rule.warn == {{"resource": "repository", "message": "lies on the host that it protects, and there is no further copy"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_unknown_not_known if {
	facts := example.repository({"same_host": null})
	rule.unknown == {{"resource": "repository", "message": "where the repository lies is not known"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}
