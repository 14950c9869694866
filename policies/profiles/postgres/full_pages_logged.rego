# METADATA
# title: Torn pages can be repaired from the log
# description: |
#   Without full page images a page that was half written when the host went down stays broken, and a base backup
#   taken meanwhile with it.
# custom:
#   id: PG-016
#   severity: high
#   controls:
#     nist-800-53: ["SI-7", "CP-9"]
#     iso-27001: ["A.8.9", "A.8.13"]
#     soc2: ["A1.2"]
#     eu-dora: ["9(3)(b)"]
#   remedy: |
#     `ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();`
package muster.postgres.full_pages_logged

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

good := {"on"}

value(store) := lib.setting(store, "full_page_writes")

pass contains lib.says(store.name, sprintf("full_page_writes = %s", [value(store)])) if {
	some store in lib.judged
	value(store) in good
}

fail contains lib.says(store.name, sprintf("full_page_writes = %s", [value(store)])) if {
	some store in lib.judged
	is_string(value(store))
	not value(store) in good
}

unknown contains lib.says(store.name, lib.missing(store, "settings.full_page_writes")) if {
	some store in lib.judged
	value(store) == null
}

not_applicable contains other if some other in lib.others

unknown contains unread if some unread in lib.unread
