# METADATA
# title: PostgreSQL checks its pages
# description: |
#   Without checksums, damage on disk is read as data, archived as data and found when it is too old to repair.
# custom:
#   id: DR-203
#   severity: high
#   controls:
#     nist-800-53: ["SI-7(1)", "CM-6"]
#     iso-27001: ["A.8.9"]
#     soc2: ["PI1.5", "CC7.1"]
#     eu-dora: ["9(3)(b)", "12(7)"]
#   remedy: |
#     Stop the server and run `pg_checksums --enable`, or build the next cluster with `initdb --data-checksums`.
package muster.dr_baseline.postgres_data_checksums

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

good := {"on"}

value(store) := lib.setting(store, "data_checksums")

pass contains lib.says(store.name, sprintf("data_checksums = %s", [value(store)])) if {
	some store in lib.postgres
	value(store) in good
}

fail contains lib.says(store.name, sprintf("data_checksums = %s", [value(store)])) if {
	some store in lib.postgres
	is_string(value(store))
	not value(store) in good
}

unknown contains lib.says(store.name, "the server does not show data_checksums") if {
	some store in lib.postgres
	value(store) == null
}

not_applicable contains lib.says(store.name, "is not a PostgreSQL store") if {
	some store in input.stores
	store.kind != "postgres"
}

unknown contains lib.says(store.name, lib.unread(store)) if some store in lib.postgres_unread
