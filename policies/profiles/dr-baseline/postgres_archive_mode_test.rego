package muster.dr_baseline.postgres_archive_mode_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.postgres_archive_mode as rule
import rego.v1

test_pass_on if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "archive_mode = on"}} with input as facts
	count(rule.warn) == 0 with input as facts
}

test_warn_off if {
	facts := example.setting({"archive_mode": "off"})
	rule.warn == {{"resource": "accounts", "message": "archive_mode = off"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_unknown_not_shown if {
	facts := example.setting({"archive_mode": null})
	rule.unknown == {{"resource": "accounts", "message": "the server does not show archive_mode"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}

test_unknown_unread if {
	facts := example.store({"settings": null, "settings_error": "password authentication failed"})
	rule.unknown == {{"resource": "accounts", "message": "settings were not read: password authentication failed"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}

test_unknown_not_collected if {
	facts := example.store({"settings": null})
	rule.unknown == {{"resource": "accounts", "message": "settings were not collected"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}

test_not_applicable_sqlite if {
	facts := example.store({"kind": "sqlite", "settings": null})
	rule.not_applicable == {{"resource": "accounts", "message": "is not a PostgreSQL store"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
}
