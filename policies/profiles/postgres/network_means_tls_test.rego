package muster.postgres.network_means_tls_test

import data.muster.postgres.example
import data.muster.postgres.network_means_tls as rule
import rego.v1

test_pass_hostssl if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "other hosts are taken encrypted only"}} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_host if {
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
				"type": "host",
				"address": "10.0.0.0",
				"netmask": "255.0.0.0",
				"method": "scram-sha-256",
				"error": null,
			},
		],
	})
	rule.fail == {{"resource": "accounts", "message": "unencrypted clients are taken: line 2 (host 10.0.0.0/255.0.0.0 scram-sha-256)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_pass_loopback if {
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
				"type": "host",
				"address": "127.0.0.1",
				"netmask": "255.255.255.255",
				"method": "scram-sha-256",
				"error": null,
			},
		],
	})
	rule.pass == {{"resource": "accounts", "message": "other hosts are taken encrypted only"}} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_pass_loopback_by_name if {
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
				"type": "host",
				"address": "localhost",
				"netmask": null,
				"method": "scram-sha-256",
				"error": null,
			},
		],
	})
	rule.pass == {{"resource": "accounts", "message": "other hosts are taken encrypted only"}} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_pass_loopback_of_ipv6 if {
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
				"type": "host",
				"address": "::1",
				"netmask": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
				"method": "scram-sha-256",
				"error": null,
			},
		],
	})
	rule.pass == {{"resource": "accounts", "message": "other hosts are taken encrypted only"}} with input as facts
	count(rule.fail) == 0 with input as facts
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
				"type": "host",
				"address": "10.0.0.0",
				"netmask": "255.0.0.0",
				"method": "reject",
				"error": null,
			},
		],
	})
	rule.pass == {{"resource": "accounts", "message": "other hosts are taken encrypted only"}} with input as facts
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
