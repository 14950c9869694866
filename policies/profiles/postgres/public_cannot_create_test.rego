package muster.postgres.public_cannot_create_test

import data.muster.postgres.example
import data.muster.postgres.public_cannot_create as rule
import rego.v1

test_pass_revoked if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "nowhere may PUBLIC create in schema public"}} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_granted if {
	facts := example.settings({
		"databases": [
			{
				"name": "game",
				"public_may_create": true,
				"untrusted_languages": [],
				"policies_not_enforced": [],
				"extensions": [{"name": "plpgsql", "version": "1.0", "default_version": "1.0"}],
			},
		],
	})
	rule.fail == {{"resource": "accounts", "message": "PUBLIC may create in schema public of: game"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_not_entered if {
	facts := example.settings({
		"databases": [
			{
				"name": "game",
				"public_may_create": null,
				"untrusted_languages": [],
				"policies_not_enforced": [],
				"extensions": [{"name": "plpgsql", "version": "1.0", "default_version": "1.0"}],
			},
		],
	})
	rule.unknown == {{"resource": "accounts", "message": "databases.game is not known"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_not_listed if {
	facts := example.settings({"databases": null})
	rule.unknown == {{"resource": "accounts", "message": "databases is not known"}} with input as facts
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
