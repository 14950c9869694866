package muster.postgres.extensions_current_test

import data.muster.postgres.example
import data.muster.postgres.extensions_current as rule
import rego.v1

test_pass_current if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "every extension is current"}} with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_warn_old if {
	facts := example.settings({
		"databases": [
			{
				"name": "game",
				"public_may_create": false,
				"untrusted_languages": [],
				"policies_not_enforced": [],
				"extensions": [{"name": "pgcrypto", "version": "1.2", "default_version": "1.3"}],
			},
		],
	})
	rule.warn == {{"resource": "accounts", "message": "not current: pgcrypto 1.2 (1.3 is installed) in game"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_warn_files_gone if {
	facts := example.settings({
		"databases": [
			{
				"name": "game",
				"public_may_create": false,
				"untrusted_languages": [],
				"policies_not_enforced": [],
				"extensions": [{"name": "postgis", "version": "3.3.2", "default_version": null}],
			},
		],
	})
	rule.warn == {{"resource": "accounts", "message": "not current: postgis 3.3.2 (none is installed) in game"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_not_entered if {
	facts := example.settings({
		"databases": [
			{
				"name": "game",
				"public_may_create": false,
				"untrusted_languages": [],
				"policies_not_enforced": [],
				"extensions": null,
			},
		],
	})
	rule.unknown == {{"resource": "accounts", "message": "databases.game is not known"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_not_listed if {
	facts := example.settings({"databases": null})
	rule.unknown == {{"resource": "accounts", "message": "databases is not known"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_unread if {
	facts := example.store({"settings": null, "settings_error": "password authentication failed"})
	rule.unknown == {{"resource": "accounts", "message": "settings were not read: password authentication failed"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_not_collected if {
	facts := example.store({"settings": null})
	rule.unknown == {{"resource": "accounts", "message": "settings were not collected"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_not_applicable_sqlite if {
	facts := example.store({"kind": "sqlite", "settings": null})
	rule.not_applicable == {{"resource": "accounts", "message": "is not a PostgreSQL store"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
}
