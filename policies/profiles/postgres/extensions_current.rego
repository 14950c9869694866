# METADATA
# title: Extensions are at the version that is installed beside the server
# description: |
#   After a package update the database keeps the old objects until they are updated, and with them what was
#   corrected since.
# custom:
#   id: PG-013
#   severity: low
#   controls:
#     nist-800-53: ["SI-2", "CM-6"]
#     iso-27001: ["A.8.8", "A.8.19"]
#     soc2: ["CC7.1"]
#     eu-dora: ["9(4)(f)"]
#   remedy: |
#     In each database named: `ALTER EXTENSION name UPDATE;`
package muster.postgres.extensions_current

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

bad(store) := [text |
	some database in store.settings.databases
	some extension in database.extensions
	extension.version != extension.default_version
	text := sprintf("%s %s (%s is installed) in %s", [
		extension.name,
		extension.version,
		lib.or_none(extension.default_version),
		database.name,
	])
]

gaps(store) := [lib.missing(store, sprintf("databases.%s", [database.name])) |
	some database in store.settings.databases
	database.extensions == null
]

warn contains lib.says(store.name, sprintf("not current: %s", [concat(", ", bad(store))])) if {
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

pass contains lib.says(store.name, "every extension is current") if {
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
