# METADATA
# title: PostgreSQL logs enough to restore from
# description: |
#   A base backup needs the log of the time it was taken in, at level replica or logical.
# custom:
#   id: DR-204
#   severity: high
#   controls:
#     nist-800-53: ["CP-9", "CP-10(2)"]
#     iso-27001: ["A.8.13"]
#     soc2: ["A1.2"]
#     eu-dora: ["12(2)"]
#   remedy: |
#     `ALTER SYSTEM SET wal_level = replica;` and restart the server.
package muster.dr_baseline.postgres_wal_level

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

good := {"replica", "logical"}

value(store) := lib.setting(store, "wal_level")

pass contains lib.says(store.name, sprintf("wal_level = %s", [value(store)])) if {
	some store in lib.postgres
	value(store) in good
}

fail contains lib.says(store.name, sprintf("wal_level = %s", [value(store)])) if {
	some store in lib.postgres
	is_string(value(store))
	not value(store) in good
}

unknown contains lib.says(store.name, "the server does not show wal_level") if {
	some store in lib.postgres
	value(store) == null
}

not_applicable contains lib.says(store.name, "is not a PostgreSQL store") if {
	some store in input.stores
	store.kind != "postgres"
}

unknown contains lib.says(store.name, lib.unread(store)) if some store in lib.postgres_unread
