# METADATA
# title: Passwords cross the network as SCRAM proofs only
# description: |
#   `password` sends it as it is, `md5` can be replayed once its verifier leaks, and `ident` believes the client's
#   machine.
# custom:
#   id: PG-005
#   severity: high
#   controls:
#     nist-800-53: ["IA-2", "IA-5(1)"]
#     iso-27001: ["A.8.5", "A.5.17"]
#     soc2: ["CC6.1"]
#     eu-dora: ["9(4)(d)"]
#   remedy: |
#     In pg_hba.conf write `scram-sha-256` in place of the method, then `SELECT pg_reload_conf();`
package muster.postgres.no_weak_authentication

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

bad(store) := [rule |
	some rule in store.settings.hba_rules
	rule.method in {"password", "ident"}
	rule.type != "local"
]

doubtful(store) := [rule |
	some rule in store.settings.hba_rules
	rule.method == "md5"
	rule.type != "local"
]

fail contains lib.says(store.name, sprintf("weak method: %s", [lib.lines(bad(store))])) if {
	some store in lib.judged
	is_array(store.settings.hba_rules)
	count(bad(store)) > 0
}

warn contains lib.says(store.name, sprintf("md5 is still accepted: %s", [lib.lines(doubtful(store))])) if {
	some store in lib.judged
	is_array(store.settings.hba_rules)
	count(bad(store)) == 0
	count(doubtful(store)) > 0
}

pass contains lib.says(store.name, "no weak method") if {
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
