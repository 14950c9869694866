package muster.dr_baseline.rehearsal_met_rto_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.rehearsal_met_rto as rule
import rego.v1

test_pass_in_time if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "measured 43 s, objective 15 min"}} with input as facts
	count(rule.fail) == 0 with input as facts
}

test_fail_too_slow if {
	facts := example.rehearsal({"rto_verified_seconds": 3600})
	rule.fail == {{"resource": "accounts", "message": "measured 60 min, objective 15 min"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_unknown_not_measured if {
	facts := example.rehearsal({"rto_verified_seconds": null})
	rule.unknown == {{"resource": "accounts", "message": "the last rehearsal did not pass, or could not measure it"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}

test_unknown_failed if {
	facts := example.rehearsal({"verdict": "FAIL"})
	rule.unknown == {{"resource": "accounts", "message": "the last rehearsal did not pass, or could not measure it"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}

test_not_applicable_no_objective if {
	facts := example.store({"objectives": {"rpo_seconds": 300, "rto_seconds": null}})
	rule.not_applicable == {{"resource": "accounts", "message": "has no RTO objective (DR-003)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}

test_not_applicable_never if {
	facts := example.store({"last_rehearsal": null})
	rule.not_applicable == {{"resource": "accounts", "message": "was never rehearsed (DR-101)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}
