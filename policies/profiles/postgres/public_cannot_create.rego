# METADATA
# title: Not everybody may create objects in schema public
# description: |
#   Whoever may create a function there can make others run it: CVE-2018-1058. Databases that were upgraded from
#   before 15 still allow it.
# custom:
#   id: PG-010
#   severity: medium
#   controls:
#     nist-800-53: ["AC-6", "CM-6"]
#     iso-27001: ["A.8.3", "A.8.9"]
#     soc2: ["CC6.1", "CC6.3"]
#     eu-dora: ["9(4)(c)"]
#   remedy: |
#     In each database named: `REVOKE CREATE ON SCHEMA public FROM PUBLIC;`
package muster.postgres.public_cannot_create

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

bad(store) := [text |
	some database in store.settings.databases
	database.public_may_create == true
	text := database.name
]

gaps(store) := [lib.missing(store, sprintf("databases.%s", [database.name])) |
	some database in store.settings.databases
	database.public_may_create == null
]

fail contains lib.says(store.name, sprintf("PUBLIC may create in schema public of: %s", [concat(", ", bad(store))])) if {
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

pass contains lib.says(store.name, "nowhere may PUBLIC create in schema public") if {
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
