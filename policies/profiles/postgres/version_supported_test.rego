package muster.postgres.version_supported_test

import data.muster.postgres.example
import data.muster.postgres.version_supported as rule
import rego.v1

test_pass_supported if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "PostgreSQL 15.14 is supported until 2027-11-11"}} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_ended if {
	facts := example.settings({"end_of_life": {"date": "2026-11-12", "as_of": "2025-11-13"}})
	rule.fail == {{"resource": "accounts", "message": "PostgreSQL 15.14 has had no corrections since 2026-11-12"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_warn_ends_soon if {
	facts := example.settings({"end_of_life": {"date": "2027-03-01", "as_of": "2025-11-13"}})
	rule.warn == {{"resource": "accounts", "message": "PostgreSQL 15.14 is supported only until 2027-03-01"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_not_in_the_table if {
	facts := example.settings({"end_of_life": null})
	rule.unknown == {{"resource": "accounts", "message": "end_of_life is not known"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_unread if {
	facts := example.store({"settings": null, "settings_error": "password authentication failed"})
	rule.unknown == {{"resource": "accounts", "message": "settings were not read: password authentication failed"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_not_collected if {
	facts := example.store({"settings": null})
	rule.unknown == {{"resource": "accounts", "message": "settings were not collected"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_not_applicable_sqlite if {
	facts := example.store({"kind": "sqlite", "settings": null})
	rule.not_applicable == {{"resource": "accounts", "message": "is not a PostgreSQL store"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
}
