package muster.dr_baseline.root_key_offline_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.root_key_offline as rule
import rego.v1

test_pass_elsewhere if {
	facts := example.facts
	rule.pass == {{"resource": "repository", "message": "only the public half is here"}} with input as facts
	count(rule.warn) == 0 with input as facts
}

test_warn_here if {
	facts := example.repository({"root_key_on_this_host": true})
	rule.warn == {{"resource": "repository", "message": "the root's secret key lies on this host"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_unknown_not_known if {
	facts := example.repository({"root_key_on_this_host": null})
	rule.unknown == {{"resource": "repository", "message": "it is not known where the root key lies"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}
