# METADATA
# title: No line of pg_hba.conf lets the whole Internet try
# description: |
#   Whoever can reach the port may guess passwords and try each new weakness of the server.
# custom:
#   id: PG-006
#   severity: high
#   controls:
#     nist-800-53: ["AC-3", "SC-7"]
#     iso-27001: ["A.8.20", "A.5.15"]
#     soc2: ["CC6.6"]
#     eu-dora: ["9(4)(c)"]
#   remedy: |
#     In pg_hba.conf name the networks of the clients in place of `all`, `0.0.0.0/0` and `::/0`, then `SELECT pg_reload_conf();`
package muster.postgres.not_the_whole_world

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

bad(store) := [rule |
	some rule in store.settings.hba_rules
	lib.everywhere(rule)
	rule.method != "reject"
]

fail contains lib.says(store.name, sprintf("open to every address: %s", [lib.lines(bad(store))])) if {
	some store in lib.judged
	is_array(store.settings.hba_rules)
	count(bad(store)) > 0
}

pass contains lib.says(store.name, "each line names its networks") if {
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
