# METADATA
# title: No untrusted language is installed
# description: |
#   A function in such a language does whatever the server's system user may: read its keys, change its files,
#   open connections.
# custom:
#   id: PG-011
#   severity: medium
#   controls:
#     nist-800-53: ["CM-7", "AC-6"]
#     iso-27001: ["A.8.9", "A.8.19"]
#     soc2: ["CC6.8"]
#     eu-dora: ["9(3)(b)"]
#   remedy: |
#     In each database named: `DROP LANGUAGE name;` once no function needs it.
package muster.postgres.no_untrusted_languages

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

bad(store) := [text |
	some database in store.settings.databases
	some language in database.untrusted_languages
	text := sprintf("%s in %s", [language, database.name])
]

gaps(store) := [lib.missing(store, sprintf("databases.%s", [database.name])) |
	some database in store.settings.databases
	database.untrusted_languages == null
]

warn contains lib.says(store.name, sprintf("untrusted: %s", [concat(", ", bad(store))])) if {
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

pass contains lib.says(store.name, "C and internal functions aside, every language is trusted") if {
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
