# METADATA
# title: The log is archived, and the last attempt went well
# description: |
#   What was not archived is lost with the server, and a log that cannot be archived fills its disk until the
#   server stops.
# custom:
#   id: PG-019
#   severity: high
#   controls:
#     nist-800-53: ["CP-9", "SI-4"]
#     iso-27001: ["A.8.13", "A.8.16"]
#     soc2: ["A1.2", "CC7.2"]
#     eu-dora: ["12(1)(a)", "12(2)"]
#   remedy: |
#     `SELECT * FROM pg_stat_archiver;` and the server's log say why; correct `archive_command`, then `SELECT pg_reload_conf();`
package muster.postgres.log_archived

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

mode(store) := lib.setting(store, "archive_mode")

archives(store) if mode(store) in {"on", "always"}

failing(store) := store.settings.archiver.failing

pass contains lib.says(store.name, "the log is archived") if {
	some store in lib.judged
	archives(store)
	failing(store) == false
}

fail contains lib.says(store.name, sprintf("archiving fails at %s", [lib.or_none(store.settings.archiver.last_failed_wal)])) if {
	some store in lib.judged
	archives(store)
	failing(store) == true
}

warn contains lib.says(store.name, sprintf("archive_mode = %s", [mode(store)])) if {
	some store in lib.judged
	is_string(mode(store))
	not archives(store)
}

unknown contains lib.says(store.name, lib.missing(store, "settings.archive_mode")) if {
	some store in lib.judged
	mode(store) == null
}

unknown contains lib.says(store.name, lib.missing(store, "archiver")) if {
	some store in lib.judged
	archives(store)
	failing(store) == null
}

not_applicable contains other if some other in lib.others

unknown contains unread if some unread in lib.unread
