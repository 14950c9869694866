# METADATA
# title: Who comes and goes is logged
# description: |
#   After an incident the first question is who was connected, from where and for how long.
# custom:
#   id: PG-014
#   severity: low
#   controls:
#     nist-800-53: ["AU-2", "AU-12"]
#     iso-27001: ["A.8.15"]
#     soc2: ["CC7.2"]
#     eu-dora: ["10(1)", "10(3)"]
#   remedy: |
#     `ALTER SYSTEM SET log_connections = on; ALTER SYSTEM SET log_disconnections = on; SELECT pg_reload_conf();`
package muster.postgres.connections_logged

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

quiet := {"off", "", "false", "no", "0"}

settings := {"log_connections", "log_disconnections"}

off(store) := [name |
	some name in settings
	lib.setting(store, name) in quiet
]

missing(store) := [name |
	some name in settings
	lib.setting(store, name) == null
]

pass contains lib.says(store.name, "connections and disconnections are logged") if {
	some store in lib.judged
	count(off(store)) == 0
	count(missing(store)) == 0
}

warn contains lib.says(store.name, sprintf("off: %s", [concat(", ", off(store))])) if {
	some store in lib.judged
	count(off(store)) > 0
}

unknown contains lib.says(store.name, sprintf("the server does not show %s", [concat(", ", missing(store))])) if {
	some store in lib.judged
	count(off(store)) == 0
	count(missing(store)) > 0
}

not_applicable contains other if some other in lib.others

unknown contains unread if some unread in lib.unread
