# METADATA
# title: PostgreSQL archives its log
# description: |
#   Without archived log a restore goes back to the last snapshot: a point in time between two snapshots cannot be
#   reached.
# custom:
#   id: DR-205
#   severity: medium
#   controls:
#     nist-800-53: ["CP-9", "CP-10(2)"]
#     iso-27001: ["A.8.13"]
#     soc2: ["A1.2"]
#     eu-dora: ["12(1)(a)", "12(6)"]
#   remedy: |
#     `ALTER SYSTEM SET archive_mode = on;`, set `archive_command` to `muster wal push %p`, and restart the
#     server.
package muster.dr_baseline.postgres_archive_mode

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

good := {"on", "always"}

value(store) := lib.setting(store, "archive_mode")

pass contains lib.says(store.name, sprintf("archive_mode = %s", [value(store)])) if {
	some store in lib.postgres
	value(store) in good
}

warn contains lib.says(store.name, sprintf("archive_mode = %s", [value(store)])) if {
	some store in lib.postgres
	is_string(value(store))
	not value(store) in good
}

unknown contains lib.says(store.name, "the server does not show archive_mode") if {
	some store in lib.postgres
	value(store) == null
}

not_applicable contains lib.says(store.name, "is not a PostgreSQL store") if {
	some store in input.stores
	store.kind != "postgres"
}

unknown contains lib.says(store.name, lib.unread(store)) if some store in lib.postgres_unread
