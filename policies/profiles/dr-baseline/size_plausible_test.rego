package muster.dr_baseline.size_plausible_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.size_plausible as rule
import rego.v1

test_pass_alike if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "1000000 bytes after 990000 in the point before"}} with input as facts
	count(rule.warn) == 0 with input as facts
}

test_warn_collapsed if {
	facts := example.newest({"logical_bytes": 4096})
	rule.warn == {{"resource": "accounts", "message": "4096 bytes after 990000 in the point before"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_not_applicable_first if {
	facts := example.store({"previous": null})
	rule.not_applicable == {{"resource": "accounts", "message": "has no two recovery points to compare"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}

test_unknown_unreadable if {
	facts := example.store({"newest": null, "newest_error": "timeout", "previous": null})
	rule.unknown == {{"resource": "accounts", "message": "recovery points cannot be read: timeout"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}
