package muster.dr_baseline.repository_encrypted_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.repository_encrypted as rule
import rego.v1

test_pass_on if {
	facts := example.facts
	rule.pass == {{"resource": "repository", "message": "encrypted to its recipients"}} with input as facts
	count(rule.warn) == 0 with input as facts
}

test_warn_off if {
	facts := example.repository({"encrypted": false})
	rule.warn == {{"resource": "repository", "message": "is not encrypted"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_unknown_not_known if {
	facts := example.repository({"encrypted": null})
	rule.unknown == {{"resource": "repository", "message": "it is not known whether the repository is encrypted"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}
