# METADATA
# title: No replication slot holds back the log for nobody
# description: |
#   An inactive slot keeps log on the server until its disk is full and the server stops.
# custom:
#   id: DR-208
#   severity: medium
#   controls:
#     nist-800-53: ["SI-4", "CM-6"]
#     iso-27001: ["A.8.6", "A.8.9"]
#     soc2: ["A1.1", "CC7.2"]
#     eu-dora: ["7(c)"]
#   remedy: |
#     `SELECT pg_drop_replication_slot('…')` when its consumer is gone, or bring the consumer back.
package muster.dr_baseline.postgres_slots_active

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

idle(store) := [slot.name | some slot in store.settings.replication_slots; slot.active == false] if {
	is_array(store.settings.replication_slots)
}

pass contains lib.says(store.name, "no inactive slot") if {
	some store in lib.postgres
	is_array(store.settings.replication_slots)
	count(idle(store)) == 0
}

warn contains lib.says(store.name, sprintf("inactive: %s", [concat(", ", idle(store))])) if {
	some store in lib.postgres
	count(idle(store)) > 0
}

unknown contains lib.says(store.name, "replication slots could not be read") if {
	some store in lib.postgres
	store.settings.replication_slots == null
}

not_applicable contains lib.says(store.name, "is not a PostgreSQL store") if {
	some store in input.stores
	store.kind != "postgres"
}

unknown contains lib.says(store.name, lib.unread(store)) if some store in lib.postgres_unread
