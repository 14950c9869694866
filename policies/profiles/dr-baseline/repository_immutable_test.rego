package muster.dr_baseline.repository_immutable_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.repository_immutable as rule
import rego.v1

test_pass_locked if {
	facts := example.facts
	rule.pass == {{"resource": "repository", "message": "locked (compliance) for 35 days"}} with input as facts
	count(rule.warn) == 0 with input as facts
}

test_warn_unlocked if {
	facts := example.repository({"object_lock": null})
	rule.warn == {{"resource": "repository", "message": "no object lock is set"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_not_applicable_directory if {
	facts := example.repository({"scheme": "file", "object_lock": null})
	rule.not_applicable == {{"resource": "repository", "message": "a local directory has no object lock (DR-302)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}
