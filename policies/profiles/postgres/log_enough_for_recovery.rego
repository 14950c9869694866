# METADATA
# title: The log says enough to recover from it
# description: |
#   With wal_level minimal there is neither point-in-time recovery nor a standby nor an online backup.
# custom:
#   id: PG-018
#   severity: high
#   controls:
#     nist-800-53: ["CP-9", "CP-10(2)"]
#     iso-27001: ["A.8.13"]
#     soc2: ["A1.2"]
#     eu-dora: ["12(2)"]
#   remedy: |
#     `ALTER SYSTEM SET wal_level = 'replica';` and restart the server.
package muster.postgres.log_enough_for_recovery

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

good := {"replica", "logical"}

value(store) := lib.setting(store, "wal_level")

pass contains lib.says(store.name, sprintf("wal_level = %s", [value(store)])) if {
	some store in lib.judged
	value(store) in good
}

fail contains lib.says(store.name, sprintf("wal_level = %s", [value(store)])) if {
	some store in lib.judged
	is_string(value(store))
	not value(store) in good
}

unknown contains lib.says(store.name, lib.missing(store, "settings.wal_level")) if {
	some store in lib.judged
	value(store) == null
}

not_applicable contains other if some other in lib.others

unknown contains unread if some unread in lib.unread
