# METADATA
# title: Data pages carry checksums
# description: |
#   Without them a disk that gives wrong bytes is noticed by the users, after the good backups are gone.
# custom:
#   id: PG-017
#   severity: high
#   controls:
#     nist-800-53: ["SI-7(1)", "CP-9(1)"]
#     iso-27001: ["A.8.9"]
#     soc2: ["A1.2", "PI1.5"]
#     eu-dora: ["9(3)(b)", "12(7)"]
#   remedy: |
#     With the server stopped: `pg_checksums --enable -D DATA`.
package muster.postgres.pages_checksummed

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

good := {"on"}

value(store) := lib.setting(store, "data_checksums")

pass contains lib.says(store.name, sprintf("data_checksums = %s", [value(store)])) if {
	some store in lib.judged
	value(store) in good
}

fail contains lib.says(store.name, sprintf("data_checksums = %s", [value(store)])) if {
	some store in lib.judged
	is_string(value(store))
	not value(store) in good
}

unknown contains lib.says(store.name, lib.missing(store, "settings.data_checksums")) if {
	some store in lib.judged
	value(store) == null
}

not_applicable contains other if some other in lib.others

unknown contains unread if some unread in lib.unread
