package muster.dr_baseline.postgres_slots_active_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.postgres_slots_active as rule
import rego.v1

test_pass_none_idle if {
	facts := example.settings({"replication_slots": [{"name": "standby", "active": true, "retained_bytes": 0}]})
	rule.pass == {{"resource": "accounts", "message": "no inactive slot"}} with input as facts
	count(rule.warn) == 0 with input as facts
}

test_warn_idle if {
	facts := example.settings({"replication_slots": [{"name": "gone", "active": false, "retained_bytes": 9000000000}]})
	rule.warn == {{"resource": "accounts", "message": "inactive: gone"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_unknown_not_shown if {
	facts := example.settings({"replication_slots": null})
	rule.unknown == {{"resource": "accounts", "message": "replication slots could not be read"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}

test_unknown_unread if {
	facts := example.store({"settings": null, "settings_error": "password authentication failed"})
	rule.unknown == {{"resource": "accounts", "message": "settings were not read: password authentication failed"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}

test_not_applicable_sqlite if {
	facts := example.store({"kind": "sqlite", "settings": null})
	rule.not_applicable == {{"resource": "accounts", "message": "is not a PostgreSQL store"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}
