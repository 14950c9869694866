# METADATA
# title: Nobody is let in without proof
# description: |
#   A `trust` line lets whoever reaches the address in as any role that it names, superusers included.
# custom:
#   id: PG-004
#   severity: critical
#   controls:
#     nist-800-53: ["IA-2", "AC-3"]
#     iso-27001: ["A.8.5", "A.5.15"]
#     soc2: ["CC6.1"]
#     eu-dora: ["9(4)(c)", "9(4)(d)"]
#   remedy: |
#     In pg_hba.conf write `scram-sha-256` or `cert` (for `local`: `peer`) in place of `trust`, then `SELECT pg_reload_conf();`
package muster.postgres.no_trust

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

bad(store) := [rule |
	some rule in store.settings.hba_rules
	rule.method == "trust"
	rule.type != "local"
]

doubtful(store) := [rule |
	some rule in store.settings.hba_rules
	rule.method == "trust"
	rule.type == "local"
]

fail contains lib.says(store.name, sprintf("trust from the network: %s", [lib.lines(bad(store))])) if {
	some store in lib.judged
	is_array(store.settings.hba_rules)
	count(bad(store)) > 0
}

warn contains lib.says(store.name, sprintf("trust on the local socket: %s", [lib.lines(doubtful(store))])) if {
	some store in lib.judged
	is_array(store.settings.hba_rules)
	count(bad(store)) == 0
	count(doubtful(store)) > 0
}

pass contains lib.says(store.name, "no line trusts") if {
	some store in lib.judged
	is_array(store.settings.hba_rules)
	count(bad(store)) == 0
	count(doubtful(store)) == 0
}

unknown contains lib.says(store.name, lib.missing(store, "hba_rules")) if {
	some store in lib.judged
	store.settings.hba_rules == null
}

not_applicable contains other if some other in lib.others

unknown contains unread if some unread in lib.unread
