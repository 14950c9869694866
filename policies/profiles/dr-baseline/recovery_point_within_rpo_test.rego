package muster.dr_baseline.recovery_point_within_rpo_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.recovery_point_within_rpo as rule
import rego.v1

test_pass_young if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "newest recovery point is 2 min old, objective 5 min"}} with input as facts
	count(rule.fail) == 0 with input as facts
}

test_fail_old if {
	facts := example.newest({"age_seconds": 172801})
	rule.fail == {{"resource": "accounts", "message": "newest recovery point is 2 days old, objective 5 min"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_fail_none if {
	facts := example.store({"newest": null})
	rule.fail == {{"resource": "accounts", "message": "has no recovery point at all"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_unknown_unreadable if {
	facts := example.store({"newest": null, "newest_error": "timeout"})
	rule.unknown == {{"resource": "accounts", "message": "recovery points cannot be read: timeout"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}

test_not_applicable_no_objective if {
	facts := example.store({"objectives": {"rpo_seconds": null, "rto_seconds": 900}})
	rule.not_applicable == {{"resource": "accounts", "message": "has no RPO objective (DR-003)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}
