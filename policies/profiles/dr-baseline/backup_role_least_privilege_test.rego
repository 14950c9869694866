package muster.dr_baseline.backup_role_least_privilege_test

import data.muster.dr_baseline.example
import data.muster.dr_baseline.backup_role_least_privilege as rule
import rego.v1

test_pass_plain if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "backup is not a superuser"}} with input as facts
	count(rule.fail) == 0 with input as facts
}

test_fail_superuser if {
	facts := example.settings({"role": {"name": "postgres", "superuser": true}})
	rule.fail == {{"resource": "accounts", "message": "postgres is a superuser"}} with input as facts
	count(rule.pass) == 0 with input as facts
}

test_unknown_not_shown if {
	facts := example.settings({"role": {"name": "backup", "superuser": null}})
	rule.unknown == {{"resource": "accounts", "message": "the attributes of the backup role could not be read"}} with input as facts
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
