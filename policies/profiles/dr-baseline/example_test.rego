# A facts document in which all is well, and functions that change one thing in it: what the tests start from.
package muster.dr_baseline.example

import rego.v1

accounts := {
	"name": "accounts",
	"kind": "postgres",
	"objectives": {"rpo_seconds": 300, "rto_seconds": 900},
	"checks_count": 1,
	"newest": {
		"snapshot": "01KAXYZ0000000000000000002",
		"time": "2026-11-25T00:58:00Z",
		"age_seconds": 120,
		"unreadable_count": 0,
		"logical_bytes": 1000000,
	},
	"newest_error": null,
	"previous": {"snapshot": "01KAXYZ0000000000000000001", "logical_bytes": 990000},
	"settings": {
		"kind": "postgres",
		"settings": {
			"fsync": "on",
			"full_page_writes": "on",
			"data_checksums": "on",
			"wal_level": "replica",
			"archive_mode": "on",
		},
		"archiver": {"failing": false, "last_failed_wal": null},
		"role": {"name": "backup", "superuser": false},
		"replication_slots": [],
	},
	"settings_error": null,
	"last_rehearsal": {
		"verdict": "PASS",
		"age_seconds": 86400,
		"depth": "L3",
		"snapshot": "01KAXYZ0000000000000000002",
		"rto_verified_seconds": 42.5,
		"rto_met": true,
		"rpo_judged_seconds": 61,
		"rpo_met": true,
		"checks_total": 1,
		"checks_passed": 1,
		"isolation": {"network": "none: one unix socket", "archiving": "off"},
	},
}

kept := {
	"scheme": "s3",
	"same_host": false,
	"encrypted": true,
	"object_lock": {"mode": "compliance", "days": 35},
	"conditional_create": true,
	"key_epoch": 1,
	"roles": {"writer": 1, "rehearser": 1, "auditor": 1},
	"root_key_on_this_host": false,
	"missing_manifests": [],
	"stores_logged": {"accounts": "postgres"},
	"snapshots": 2,
	"copies": 0,
}

facts := {
	"schema": "muster.facts/1",
	"time": "2026-11-25T01:00:00Z",
	"tool": {"version": "0.1.0"},
	"stores": [accounts],
	"repository": kept,
}

# `object.union` merges objects within objects; what is given here replaces.
changed(object_, change) := {name: value |
	some name, old in object_
	value := object.get(change, name, old)
}

store(change) := changed(facts, {"stores": [changed(accounts, change)]})

newest(change) := store({"newest": changed(accounts.newest, change)})

rehearsal(change) := store({"last_rehearsal": changed(accounts.last_rehearsal, change)})

settings(change) := store({"settings": changed(accounts.settings, change)})

setting(change) := settings({"settings": changed(accounts.settings.settings, change)})

repository(change) := changed(facts, {"repository": changed(kept, change)})
