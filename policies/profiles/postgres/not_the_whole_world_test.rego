package muster.postgres.not_the_whole_world_test

import data.muster.postgres.example
import data.muster.postgres.not_the_whole_world as rule
import rego.v1

test_pass_networks if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "each line names its networks"}} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_all_of_ipv4 if {
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
				"address": "0.0.0.0",
				"netmask": "0.0.0.0",
				"method": "scram-sha-256",
				"error": null,
			},
		],
	})
	rule.fail == {{"resource": "accounts", "message": "open to every address: line 2 (hostssl 0.0.0.0/0.0.0.0 scram-sha-256)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_all_of_ipv6 if {
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
				"address": "::",
				"netmask": "::",
				"method": "scram-sha-256",
				"error": null,
			},
		],
	})
	rule.fail == {{"resource": "accounts", "message": "open to every address: line 2 (hostssl ::/:: scram-sha-256)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_all if {
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
				"address": "all",
				"netmask": null,
				"method": "scram-sha-256",
				"error": null,
			},
		],
	})
	rule.fail == {{"resource": "accounts", "message": "open to every address: line 2 (hostssl all scram-sha-256)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_pass_rejects if {
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
				"address": "all",
				"netmask": null,
				"method": "reject",
				"error": null,
			},
		],
	})
	rule.pass == {{"resource": "accounts", "message": "each line names its networks"}} with input as facts
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
