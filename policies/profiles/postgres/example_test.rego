# A facts document in which all is well, and functions that change one thing in it: what the tests start from.
package muster.postgres.example

import rego.v1

accounts := {
	"name": "accounts",
	"kind": "postgres",
	"settings": {
		"kind": "postgres",
		"server": {"version": "15.14", "major": "15"},
		"end_of_life": {"date": "2027-11-11", "as_of": "2025-11-13"},
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
			"max_slot_wal_keep_size": "10GB",
		},
		"archiver": {"failing": false, "last_failed_wal": null},
		"replication_slots": [],
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
				"method": "scram-sha-256",
				"error": null,
			},
		],
		"roles": [{"name": "postgres", "login": true, "superuser": true}],
		"databases": [
			{
				"name": "game",
				"public_may_create": false,
				"untrusted_languages": [],
				"policies_not_enforced": [],
				"extensions": [{"name": "plpgsql", "version": "1.0", "default_version": "1.0"}],
			},
		],
		"unknown": [],
	},
	"settings_error": null,
}

facts := {
	"schema": "muster.facts/1",
	"time": "2026-11-25T01:00:00Z",
	"stores": [accounts],
}

# What is given here replaces; `object.union` would merge.
changed(object_, change) := {name: value |
	some name, old in object_
	value := object.get(change, name, old)
}

store(change) := changed(facts, {"stores": [changed(accounts, change)]})

settings(change) := store({"settings": changed(accounts.settings, change)})

setting(change) := settings({"settings": changed(accounts.settings.settings, change)})
