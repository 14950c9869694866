# METADATA
# title: Who comes over the network comes encrypted
# description: |
#   A `host` line takes a client that asks for no encryption; only `hostssl` and `hostgssenc` insist on it.
# custom:
#   id: PG-007
#   severity: medium
#   controls:
#     nist-800-53: ["SC-8", "AC-17(2)"]
#     iso-27001: ["A.8.20", "A.8.24"]
#     soc2: ["CC6.7"]
#     eu-dora: ["9(3)(a)"]
#   remedy: |
#     In pg_hba.conf write `hostssl` in place of `host` for every address but loopback, then `SELECT pg_reload_conf();`
package muster.postgres.network_means_tls

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

bad(store) := [rule |
	some rule in store.settings.hba_rules
	rule.type in {"host", "hostnossl", "hostnogssenc"}
	rule.method != "reject"
	not lib.loopback(rule)
]

fail contains lib.says(store.name, sprintf("unencrypted clients are taken: %s", [lib.lines(bad(store))])) if {
	some store in lib.judged
	is_array(store.settings.hba_rules)
	count(bad(store)) > 0
}

pass contains lib.says(store.name, "other hosts are taken encrypted only") if {
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
