package muster.postgres.few_superusers_test

import data.muster.postgres.example
import data.muster.postgres.few_superusers as rule
import rego.v1

test_pass_one if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "1 superusers may log in: postgres"}} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_three if {
	facts := example.settings({
		"roles": [
			{"name": "ann", "login": true, "superuser": true},
			{"name": "bob", "login": true, "superuser": true},
			{"name": "postgres", "login": true, "superuser": true},
		],
	})
	rule.fail == {{"resource": "accounts", "message": "3 superusers may log in: ann, bob, postgres"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_pass_without_login if {
	facts := example.settings({
		"roles": [
			{"name": "postgres", "login": true, "superuser": true},
			{"name": "ann", "login": false, "superuser": true},
			{"name": "bob", "login": true, "superuser": true},
			{"name": "eve", "login": true, "superuser": false},
		],
	})
	rule.pass == {{"resource": "accounts", "message": "2 superusers may log in: postgres, bob"}} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_not_shown if {
	facts := example.settings({"roles": null})
	rule.unknown == {{"resource": "accounts", "message": "roles is not known"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_unread if {
	facts := example.store({"settings": null, "settings_error": "password authentication failed"})
	rule.unknown == {{"resource": "accounts", "message": "settings were not read: password authentication failed"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_not_collected if {
	facts := example.store({"settings": null})
	rule.unknown == {{"resource": "accounts", "message": "settings were not collected"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_not_applicable_sqlite if {
	facts := example.store({"kind": "sqlite", "settings": null})
	rule.not_applicable == {{"resource": "accounts", "message": "is not a PostgreSQL store"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
}
