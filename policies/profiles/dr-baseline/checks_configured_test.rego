package muster.dr_baseline.checks_configured_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.checks_configured as rule
import rego.v1

test_pass_one if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "1 configured"}} with input as facts
	count(rule.fail) == 0 with input as facts
}

test_fail_none if {
	facts := example.store({"checks_count": 0})
	rule.fail == {{"resource": "accounts", "message": "has no check of its own"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_not_applicable_files if {
	facts := example.store({"kind": "files", "checks_count": 0})
	rule.not_applicable == {{"resource": "accounts", "message": "is compared with its signed digest"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}
