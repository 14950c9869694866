package muster.dr_baseline.postgres_archiver_works_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.postgres_archiver_works as rule
import rego.v1

test_pass_works if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "the last attempt to archive succeeded"}} with input as facts
	count(rule.fail) == 0 with input as facts
}

test_failing if {
	facts := example.settings({"archiver": {"failing": true, "last_failed_wal": "000000010000000000000007"}})
	rule.fail == {{"resource": "accounts", "message": "cannot archive 000000010000000000000007"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_unknown_not_shown if {
	facts := example.settings({"archiver": {"failing": null}})
	rule.unknown == {{"resource": "accounts", "message": "pg_stat_archiver could not be read"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}

test_not_applicable_off if {
	facts := example.setting({"archive_mode": "off"})
	rule.not_applicable == {{"resource": "accounts", "message": "archives no log (DR-205)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}

test_unknown_mode_not_shown if {
	facts := example.setting({"archive_mode": null})
	rule.unknown == {{"resource": "accounts", "message": "the server does not show archive_mode"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}

test_unknown_unread if {
	facts := example.store({"settings": null, "settings_error": "password authentication failed"})
	rule.unknown == {{"resource": "accounts", "message": "settings were not read: password authentication failed"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}

test_not_applicable_sqlite if {
	facts := example.store({"kind": "sqlite", "settings": null})
	rule.not_applicable == {{"resource": "accounts", "message": "is not a PostgreSQL store"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
}
