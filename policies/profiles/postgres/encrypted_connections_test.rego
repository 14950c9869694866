package muster.postgres.encrypted_connections_test

import data.muster.postgres.example
import data.muster.postgres.encrypted_connections as rule
import rego.v1

test_pass_on if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "ssl = on"}} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_off if {
	facts := example.setting({"ssl": "off"})
	rule.fail == {{"resource": "accounts", "message": "ssl = off, and the server listens on *"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_not_applicable_socket_only if {
	facts := example.setting({"listen_addresses": "", "ssl": "off"})
	rule.not_applicable == {{"resource": "accounts", "message": "listens on no network address"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
}

test_unknown_not_shown if {
	facts := example.setting({"ssl": null})
	rule.unknown == {{"resource": "accounts", "message": "settings.ssl is not known"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_addresses_not_shown if {
	facts := example.setting({"listen_addresses": null, "ssl": "off"})
	rule.unknown == {{"resource": "accounts", "message": "settings.listen_addresses is not known"}} with input as facts
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
