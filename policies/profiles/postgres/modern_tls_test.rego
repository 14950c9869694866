package muster.postgres.modern_tls_test

import data.muster.postgres.example
import data.muster.postgres.modern_tls as rule
import rego.v1

test_pass_tls12 if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "at least TLSv1.2"}} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_tls10 if {
	facts := example.setting({"ssl_min_protocol_version": "TLSv1"})
	rule.fail == {{"resource": "accounts", "message": "ssl_min_protocol_version = 'TLSv1'"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_any if {
	facts := example.setting({"ssl_min_protocol_version": ""})
	rule.fail == {{"resource": "accounts", "message": "ssl_min_protocol_version = ''"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_not_applicable_off if {
	facts := example.setting({"ssl": "off"})
	rule.not_applicable == {{"resource": "accounts", "message": "ssl is off (PG-001)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
}

test_unknown_not_shown if {
	facts := example.setting({"ssl_min_protocol_version": null})
	rule.unknown == {{"resource": "accounts", "message": "settings.ssl_min_protocol_version is not known"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_ssl_not_shown if {
	facts := example.setting({"ssl": null})
	rule.unknown == {{"resource": "accounts", "message": "settings.ssl is not known"}} with input as facts
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
