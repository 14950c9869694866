# METADATA
# title: The server writes through to disk
# description: |
#   With fsync off a crash of the host can leave a cluster that cannot be told from a whole one.
# custom:
#   id: PG-015
#   severity: critical
#   controls:
#     nist-800-53: ["SI-7", "CM-6"]
#     iso-27001: ["A.8.9"]
#     soc2: ["A1.2", "CC7.1"]
#     eu-dora: ["9(3)(b)"]
#   remedy: |
#     `ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();` and take a new backup.
package muster.postgres.fsync_on

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

good := {"on"}

value(store) := lib.setting(store, "fsync")

pass contains lib.says(store.name, sprintf("fsync = %s", [value(store)])) if {
	some store in lib.judged
	value(store) in good
}

fail contains lib.says(store.name, sprintf("fsync = %s", [value(store)])) if {
	some store in lib.judged
	is_string(value(store))
	not value(store) in good
}

unknown contains lib.says(store.name, lib.missing(store, "settings.fsync")) if {
	some store in lib.judged
	value(store) == null
}

not_applicable contains other if some other in lib.others

unknown contains unread if some unread in lib.unread
