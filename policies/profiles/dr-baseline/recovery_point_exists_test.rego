package muster.dr_baseline.recovery_point_exists_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.recovery_point_exists as rule
import rego.v1

test_pass_a_point if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "newest is 01KAXYZ0000000000000000002"}} with input as facts
	count(rule.fail) == 0 with input as facts
}

test_fail_none if {
	facts := example.store({"newest": null})
	rule.fail == {{"resource": "accounts", "message": "has no recovery point at all"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_unknown_unreadable if {
	facts := example.store({"newest": null, "newest_error": "connection refused"})
	rule.unknown == {{"resource": "accounts", "message": "recovery points cannot be read: connection refused"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}
