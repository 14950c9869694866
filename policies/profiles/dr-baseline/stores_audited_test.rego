package muster.dr_baseline.stores_audited_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.stores_audited as rule
import rego.v1

test_pass_all if {
	facts := example.facts
	rule.pass == {{"resource": "repository", "message": "1 stores, each in this configuration"}} with input as facts
	count(rule.warn) == 0 with input as facts
}

test_warn_left_out if {
	facts := example.repository({"stores_logged": {"accounts": "postgres", "saves": "sqlite"}})
	rule.warn == {{"resource": "repository", "message": "not in this configuration: saves"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_not_applicable_nothing_written if {
	facts := example.repository({"stores_logged": {}})
	rule.not_applicable == {{"resource": "repository", "message": "no writer has run yet"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_unknown_not_read if {
	facts := example.repository({"stores_logged": null})
	rule.unknown == {{"resource": "repository", "message": "what writers back up is not known"}} with input as facts
	count(rule.pass) == 0 with input as facts
}
