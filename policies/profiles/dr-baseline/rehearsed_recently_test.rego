package muster.dr_baseline.rehearsed_recently_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.rehearsed_recently as rule
import rego.v1

test_pass_yesterday if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "last passed 24 h ago"}} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}

test_warn_last_winter if {
	facts := example.rehearsal({"age_seconds": 10368000})
	rule.warn == {{"resource": "accounts", "message": "last passed 120 days ago, longer than 90 days"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}

test_fail_years_ago if {
	facts := example.rehearsal({"age_seconds": 34560000})
	rule.fail == {{"resource": "accounts", "message": "last passed 400 days ago, longer than a year"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}

test_failed if {
	facts := example.rehearsal({"verdict": "FAIL"})
	rule.fail == {{"resource": "accounts", "message": "the last rehearsal, 24 h ago, failed"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}

test_fail_never if {
	facts := example.store({"last_rehearsal": null})
	rule.fail == {{"resource": "accounts", "message": "was never rehearsed"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}

test_unknown_could_not_run if {
	facts := example.rehearsal({"verdict": "ERROR"})
	rule.unknown == {{"resource": "accounts", "message": "the last rehearsal ended with ERROR: nothing was learned"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}
