# METADATA
# title: No replication slot holds back the log for nobody
# description: |
#   A slot whose consumer is gone keeps log until the disk is full and the server stops; without a bound any slot
#   can.
# custom:
#   id: PG-020
#   severity: high
#   controls:
#     nist-800-53: ["SI-4", "CM-6"]
#     iso-27001: ["A.8.6", "A.8.16"]
#     soc2: ["A1.1", "CC7.2"]
#     eu-dora: ["7(c)"]
#   remedy: |
#     `SELECT pg_drop_replication_slot('name');` when its consumer is gone, and a bound for the others:
#     `ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf();`
package muster.postgres.slots_hold_no_log

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

unbounded := "-1"

bound(store) := lib.setting(store, "max_slot_wal_keep_size")

slots(store) := store.settings.replication_slots

# A slot whose consumer is gone, or whose log is gone.
holding(store) := [text |
	some slot in slots(store)
	slot.active == false
	slot.retained_bytes != null
	slot.retained_bytes > 0
	text := sprintf("%s (%d MiB)", [slot.name, ceil(slot.retained_bytes / 1048576)])
]

broken(store) := [slot.name | some slot in slots(store); slot.wal_status == "lost"]

bad(store) := array.concat(holding(store), [sprintf("%s (lost)", [name]) | some name in broken(store)])

fail contains lib.says(store.name, sprintf("slots without a consumer: %s", [concat(", ", bad(store))])) if {
	some store in lib.judged
	is_array(slots(store))
	count(bad(store)) > 0
}

warn contains lib.says(store.name, sprintf("%d slots may hold any amount of log: max_slot_wal_keep_size = -1", [count(slots(store))])) if {
	some store in lib.judged
	is_array(slots(store))
	count(bad(store)) == 0
	count(slots(store)) > 0
	bound(store) == unbounded
}

pass contains lib.says(store.name, "no slot holds log for nobody") if {
	some store in lib.judged
	is_array(slots(store))
	count(slots(store)) == 0
}

pass contains lib.says(store.name, "no slot holds log for nobody") if {
	some store in lib.judged
	is_array(slots(store))
	count(slots(store)) > 0
	count(bad(store)) == 0
	is_string(bound(store))
	bound(store) != unbounded
}

unknown contains lib.says(store.name, lib.missing(store, "replication_slots")) if {
	some store in lib.judged
	slots(store) == null
}

unknown contains lib.says(store.name, lib.missing(store, "settings.max_slot_wal_keep_size")) if {
	some store in lib.judged
	is_array(slots(store))
	count(bad(store)) == 0
	count(slots(store)) > 0
	bound(store) == null
}

not_applicable contains other if some other in lib.others

unknown contains unread if some unread in lib.unread
