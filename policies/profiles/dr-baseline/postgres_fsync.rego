# METADATA
# title: PostgreSQL writes through to disk
# description: |
#   With fsync off, a crash of the host can leave a cluster that neither starts nor can be told from a whole one,
#   and every backup taken of it inherits that.
# custom:
#   id: DR-201
#   severity: critical
#   controls:
#     nist-800-53: ["SI-7", "CM-6"]
#     iso-27001: ["A.8.9"]
#     soc2: ["A1.2", "CC7.1"]
#     eu-dora: ["9(3)(b)"]
#   remedy: |
#     `ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();` and take a new backup.
package muster.dr_baseline.postgres_fsync

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

good := {"on"}

value(store) := lib.setting(store, "fsync")

pass contains lib.says(store.name, sprintf("fsync = %s", [value(store)])) if {
	some store in lib.postgres
	value(store) in good
}

fail contains lib.says(store.name, sprintf("fsync = %s", [value(store)])) if {
	some store in lib.postgres
	is_string(value(store))
	not value(store) in good
}

unknown contains lib.says(store.name, "the server does not show fsync") if {
	some store in lib.postgres
	value(store) == null
}

not_applicable contains lib.says(store.name, "is not a PostgreSQL store") if {
	some store in input.stores
	store.kind != "postgres"
}

unknown contains lib.says(store.name, lib.unread(store)) if some store in lib.postgres_unread
