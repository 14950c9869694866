package muster.dr_baseline.rehearsal_depth_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.rehearsal_depth as rule
import rego.v1

test_pass_started if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "rehearsed to L3"}} with input as facts
	count(rule.fail) == 0 with input as facts
}

test_fail_only_read if {
	facts := example.rehearsal({"depth": "L2"})
	rule.fail == {{"resource": "accounts", "message": "rehearsed to L2 only, L3 is needed"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_pass_files_read if {
	facts := example.store({"kind": "files", "last_rehearsal": {"verdict": "PASS", "age_seconds": 86400, "depth": "L2", "snapshot": "01KAXYZ0000000000000000002", "rto_verified_seconds": 42.5, "rto_met": true, "rpo_judged_seconds": 61, "rpo_met": true, "checks_total": 1, "checks_passed": 1, "isolation": {"network": "none: one unix socket", "archiving": "off"}}})
	rule.pass == {{"resource": "accounts", "message": "rehearsed to L2"}} with input as facts
	count(rule.fail) == 0 with input as facts
}

test_not_applicable_never if {
	facts := example.store({"last_rehearsal": null})
	rule.not_applicable == {{"resource": "accounts", "message": "was never rehearsed (DR-101)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}
