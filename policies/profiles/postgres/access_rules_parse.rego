# METADATA
# title: pg_hba.conf holds no line with a fault
# description: |
#   A faulty line keeps the old rules in force after a reload, and keeps the server from starting again at all: it
#   shows in the outage.
# custom:
#   id: PG-008
#   severity: high
#   controls:
#     nist-800-53: ["CM-6", "CP-10"]
#     iso-27001: ["A.8.9"]
#     soc2: ["CC7.1", "A1.2"]
#     eu-dora: ["9(2)"]
#   remedy: |
#     Correct the line in pg_hba.conf, then `SELECT pg_reload_conf();` and look at `pg_hba_file_rules.error` again.
package muster.postgres.access_rules_parse

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

bad(store) := [rule |
	some rule in store.settings.hba_rules
	rule.error != null
]

fail contains lib.says(store.name, sprintf("faulty: %s", [lib.faults(bad(store))])) if {
	some store in lib.judged
	is_array(store.settings.hba_rules)
	count(bad(store)) > 0
}

pass contains lib.says(store.name, "every line is understood") if {
	some store in lib.judged
	is_array(store.settings.hba_rules)
	count(bad(store)) == 0
}

unknown contains lib.says(store.name, lib.missing(store, "hba_rules")) if {
	some store in lib.judged
	store.settings.hba_rules == null
}

not_applicable contains other if some other in lib.others

unknown contains unread if some unread in lib.unread
