# METADATA
# title: PostgreSQL logs whole pages after a checkpoint
# description: |
#   An online base backup reads pages while they are written; only full page images in the log repair the torn
#   ones.
# custom:
#   id: DR-202
#   severity: critical
#   controls:
#     nist-800-53: ["SI-7", "CM-6"]
#     iso-27001: ["A.8.9", "A.8.13"]
#     soc2: ["A1.2", "CC7.1"]
#     eu-dora: ["9(3)(b)"]
#   remedy: |
#     `ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();` and take a new backup.
package muster.dr_baseline.postgres_full_page_writes

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

good := {"on"}

value(store) := lib.setting(store, "full_page_writes")

pass contains lib.says(store.name, sprintf("full_page_writes = %s", [value(store)])) if {
	some store in lib.postgres
	value(store) in good
}

fail contains lib.says(store.name, sprintf("full_page_writes = %s", [value(store)])) if {
	some store in lib.postgres
	is_string(value(store))
	not value(store) in good
}

unknown contains lib.says(store.name, "the server does not show full_page_writes") if {
	some store in lib.postgres
	value(store) == null
}

not_applicable contains lib.says(store.name, "is not a PostgreSQL store") if {
	some store in input.stores
	store.kind != "postgres"
}

unknown contains lib.says(store.name, lib.unread(store)) if some store in lib.postgres_unread
