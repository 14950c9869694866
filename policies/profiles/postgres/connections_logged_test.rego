package muster.postgres.connections_logged_test

import data.muster.postgres.example
import data.muster.postgres.connections_logged as rule
import rego.v1

test_pass_on if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "connections and disconnections are logged"}} with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_warn_off if {
	facts := example.setting({"log_connections": "off"})
	rule.warn == {{"resource": "accounts", "message": "off: log_connections"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_warn_empty_of_18 if {
	facts := example.setting({"log_connections": ""})
	rule.warn == {{"resource": "accounts", "message": "off: log_connections"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_pass_aspects_of_18 if {
	facts := example.setting({"log_connections": "receipt,authentication"})
	rule.pass == {{"resource": "accounts", "message": "connections and disconnections are logged"}} with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_not_shown if {
	facts := example.setting({"log_disconnections": null})
	rule.unknown == {{"resource": "accounts", "message": "the server does not show log_disconnections"}} with input as facts
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
