package muster.postgres.no_weak_authentication_test

import data.muster.postgres.example
import data.muster.postgres.no_weak_authentication as rule
import rego.v1

test_pass_scram if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "no weak method"}} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_password if {
	facts := example.settings({
		"hba_rules": [
			{
				"line": 1,
				"type": "local",
				"address": null,
				"netmask": null,
				"method": "peer",
				"error": null,
			},
			{
				"line": 2,
				"type": "hostssl",
				"address": "10.0.0.0",
				"netmask": "255.0.0.0",
				"method": "password",
				"error": null,
			},
		],
	})
	rule.fail == {{"resource": "accounts", "message": "weak method: line 2 (hostssl 10.0.0.0/255.0.0.0 password)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_warn_md5 if {
	facts := example.settings({
		"hba_rules": [
			{
				"line": 1,
				"type": "local",
				"address": null,
				"netmask": null,
				"method": "peer",
				"error": null,
			},
			{
				"line": 2,
				"type": "hostssl",
				"address": "10.0.0.0",
				"netmask": "255.0.0.0",
				"method": "md5",
				"error": null,
			},
		],
	})
	rule.warn == {{"resource": "accounts", "message": "md5 is still accepted: line 2 (hostssl 10.0.0.0/255.0.0.0 md5)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_not_shown if {
	facts := example.settings({
		"hba_rules": null,
		"unknown": [
			{
				"fact": "hba_rules",
				"reason": "permission denied for view pg_hba_file_rules",
				"grant": "GRANT SELECT ON pg_hba_file_rules TO watcher;",
			},
		],
	})
	rule.unknown == {{"resource": "accounts", "message": "hba_rules is not known: permission denied for view pg_hba_file_rules; GRANT SELECT ON pg_hba_file_rules TO watcher;"}} with input as facts
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
