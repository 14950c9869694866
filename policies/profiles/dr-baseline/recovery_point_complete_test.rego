package muster.dr_baseline.recovery_point_complete_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.recovery_point_complete as rule
import rego.v1

test_pass_whole if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "everything was read"}} with input as facts
	count(rule.fail) == 0 with input as facts
}

test_fail_unreadable_entries if {
	facts := example.newest({"unreadable_count": 3})
	rule.fail == {{"resource": "accounts", "message": "3 entries could not be read into 01KAXYZ0000000000000000002"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_not_applicable_none if {
	facts := example.store({"newest": null})
	rule.not_applicable == {{"resource": "accounts", "message": "has no recovery point (DR-001)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}

test_unknown_unreadable if {
	facts := example.store({"newest": null, "newest_error": "timeout"})
	rule.unknown == {{"resource": "accounts", "message": "recovery points cannot be read: timeout"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}
