package muster.dr_baseline.duties_separated_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.duties_separated as rule
import rego.v1

test_pass_all if {
	facts := example.facts
	rule.pass == {{"resource": "repository", "message": "writer, rehearser and auditor have keys of their own"}} with input as facts
	count(rule.fail) == 0 with input as facts
}

test_fail_no_auditor if {
	facts := example.repository({"roles": {"writer": 1, "rehearser": 1}})
	rule.fail == {{"resource": "repository", "message": "no key for auditor"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_unknown_not_read if {
	facts := example.repository({"roles": null})
	rule.unknown == {{"resource": "repository", "message": "the key document could not be read"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}
