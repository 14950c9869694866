package muster.dr_baseline.objectives_set_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.objectives_set as rule
import rego.v1

test_pass_both if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "RPO 5 min, RTO 15 min"}} with input as facts
	count(rule.fail) == 0 with input as facts
}

test_fail_rto_missing if {
	facts := example.store({"objectives": {"rpo_seconds": 300, "rto_seconds": null}})
	rule.fail == {{"resource": "accounts", "message": "has no objective for rto"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_fail_both_missing if {
	facts := example.store({"objectives": {"rpo_seconds": null, "rto_seconds": null}})
	rule.fail == {{"resource": "accounts", "message": "has no objective for rpo and rto"}} with input as facts
	count(rule.pass) == 0 with input as facts
}
