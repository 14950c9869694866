package muster.dr_baseline.rehearsal_isolated_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.rehearsal_isolated as rule
import rego.v1

test_pass_apart if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "network: none: one unix socket"}} with input as facts
	count(rule.warn) == 0 with input as facts
}

test_warn_archiving if {
	facts := example.rehearsal({"isolation": {"network": "none: one unix socket", "archiving": "on"}})
	rule.warn == {{"resource": "accounts", "message": "not kept apart: archiving"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_warn_network if {
	facts := example.rehearsal({"isolation": {"network": "127.0.0.1:5432", "archiving": "off"}})
	rule.warn == {{"resource": "accounts", "message": "not kept apart: network"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_unknown_not_said if {
	facts := example.rehearsal({"isolation": {}})
	rule.unknown == {{"resource": "accounts", "message": "the scorecard does not say how it was kept apart"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}

test_not_applicable_never if {
	facts := example.store({"last_rehearsal": null})
	rule.not_applicable == {{"resource": "accounts", "message": "was never rehearsed (DR-101)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}
