# METADATA
# title: PostgreSQL's archiver is not failing
# description: |
#   A failing archiver widens the loss with every minute, and fills the disk of the server until it stops.
# custom:
#   id: DR-206
#   severity: high
#   controls:
#     nist-800-53: ["CP-9", "SI-4"]
#     iso-27001: ["A.8.13", "A.8.16"]
#     soc2: ["A1.2", "CC7.2"]
#     eu-dora: ["12(1)(a)"]
#   remedy: |
#     Read the server's log for the message of `archive_command`, and see pg_stat_archiver.
package muster.dr_baseline.postgres_archiver_works

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

pass contains lib.says(store.name, "the last attempt to archive succeeded") if {
	some store in lib.archiving
	lib.archiver(store).failing == false
}

fail contains lib.says(store.name, sprintf("cannot archive %s", [lib.archiver(store).last_failed_wal])) if {
	some store in lib.archiving
	lib.archiver(store).failing == true
}

unknown contains lib.says(store.name, "pg_stat_archiver could not be read") if {
	some store in lib.archiving
	lib.archiver(store).failing == null
}

not_applicable contains lib.says(store.name, "archives no log (DR-205)") if {
	some store in lib.postgres
	lib.setting(store, "archive_mode") == "off"
}

unknown contains lib.says(store.name, "the server does not show archive_mode") if {
	some store in lib.postgres
	lib.setting(store, "archive_mode") == null
}

not_applicable contains lib.says(store.name, "is not a PostgreSQL store") if {
	some store in input.stores
	store.kind != "postgres"
}

unknown contains lib.says(store.name, lib.unread(store)) if some store in lib.postgres_unread
