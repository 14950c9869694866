package muster.postgres.slots_hold_no_log_test

import data.muster.postgres.example
import data.muster.postgres.slots_hold_no_log as rule
import rego.v1

test_pass_none if {
	facts := example.facts
	rule.pass == {{"resource": "accounts", "message": "no slot holds log for nobody"}} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_pass_used_and_bounded if {
	facts := example.settings({
		"replication_slots": [{"name": "standby", "active": true, "retained_bytes": 0, "wal_status": "reserved"}],
	})
	rule.pass == {{"resource": "accounts", "message": "no slot holds log for nobody"}} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_left_behind if {
	facts := example.settings({
		"replication_slots": [
			{
				"name": "standby",
				"active": false,
				"retained_bytes": 9000000000,
				"wal_status": "reserved",
			},
		],
	})
	rule.fail == {{"resource": "accounts", "message": "slots without a consumer: standby (8584 MiB)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_pass_idle_and_holding_nothing if {
	facts := example.settings({
		"replication_slots": [{"name": "standby", "active": false, "retained_bytes": 0, "wal_status": "reserved"}],
	})
	rule.pass == {{"resource": "accounts", "message": "no slot holds log for nobody"}} with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_fail_lost if {
	facts := example.settings({
		"replication_slots": [{"name": "standby", "active": true, "retained_bytes": 0, "wal_status": "lost"}],
	})
	rule.fail == {{"resource": "accounts", "message": "slots without a consumer: standby (lost)"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_warn_unbounded if {
	facts := example.settings({
		"replication_slots": [{"name": "standby", "active": true, "retained_bytes": 0, "wal_status": "reserved"}],
		"settings": {
			"listen_addresses": "*",
			"ssl": "on",
			"ssl_min_protocol_version": "TLSv1.2",
			"password_encryption": "scram-sha-256",
			"log_connections": "on",
			"log_disconnections": "on",
			"fsync": "on",
			"full_page_writes": "on",
			"data_checksums": "on",
			"wal_level": "replica",
			"archive_mode": "on",
			"max_slot_wal_keep_size": "-1",
		},
	})
	rule.warn == {{"resource": "accounts", "message": "1 slots may hold any amount of log: max_slot_wal_keep_size = -1"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.unknown) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_not_shown if {
	facts := example.settings({"replication_slots": null})
	rule.unknown == {{"resource": "accounts", "message": "replication_slots is not known"}} with input as facts
	count(rule.pass) == 0 with input as facts
	count(rule.fail) == 0 with input as facts
	count(rule.warn) == 0 with input as facts
	count(rule.not_applicable) == 0 with input as facts
}

test_unknown_bound_not_shown if {
	facts := example.settings({
		"replication_slots": [{"name": "standby", "active": true, "retained_bytes": 0, "wal_status": "reserved"}],
		"settings": {
			"listen_addresses": "*",
			"ssl": "on",
			"ssl_min_protocol_version": "TLSv1.2",
			"password_encryption": "scram-sha-256",
			"log_connections": "on",
			"log_disconnections": "on",
			"fsync": "on",
			"full_page_writes": "on",
			"data_checksums": "on",
			"wal_level": "replica",
			"archive_mode": "on",
			"max_slot_wal_keep_size": null,
		},
	})
	rule.unknown == {{"resource": "accounts", "message": "settings.max_slot_wal_keep_size is not known"}} with input as facts
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
