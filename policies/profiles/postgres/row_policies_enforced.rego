# METADATA
# title: Every table with row policies enforces them
# description: |
#   A policy on a table whose row level security is off does nothing, and its owner believes that it does.
# custom:
#   id: PG-012
#   severity: high
#   controls:
#     nist-800-53: ["AC-3", "AC-6"]
#     iso-27001: ["A.8.3"]
#     soc2: ["CC6.1"]
#     eu-dora: ["9(4)(c)"]
#   remedy: |
#     `ALTER TABLE name ENABLE ROW LEVEL SECURITY;`
package muster.postgres.row_policies_enforced

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

bad(store) := [text |
	some database in store.settings.databases
	some table in database.policies_not_enforced
	text := sprintf("%s in %s", [table, database.name])
]

gaps(store) := [lib.missing(store, sprintf("databases.%s", [database.name])) |
	some database in store.settings.databases
	database.policies_not_enforced == null
]

fail contains lib.says(store.name, sprintf("row security is off for: %s", [concat(", ", bad(store))])) if {
	some store in lib.judged
	is_array(store.settings.databases)
	count(bad(store)) > 0
}

unknown contains lib.says(store.name, concat(", ", gaps(store))) if {
	some store in lib.judged
	is_array(store.settings.databases)
	count(bad(store)) == 0
	count(gaps(store)) > 0
}

pass contains lib.says(store.name, "no policy is left unenforced") if {
	some store in lib.judged
	is_array(store.settings.databases)
	count(store.settings.databases) > 0
	count(bad(store)) == 0
	count(gaps(store)) == 0
}

unknown contains lib.says(store.name, lib.missing(store, "databases")) if {
	some store in lib.judged
	store.settings.databases == null
}

not_applicable contains other if some other in lib.others

unknown contains unread if some unread in lib.unread
