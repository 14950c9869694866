# METADATA
# title: Every store has an RPO and an RTO objective
# description: |
#   Without a number that somebody agreed to, no backup interval and no restore time can be called good or bad.
# custom:
#   id: DR-003
#   severity: high
#   controls:
#     nist-800-53: ["CP-2", "CP-6(2)"]
#     iso-27001: ["A.5.30"]
#     soc2: ["A1.2", "CC9.1"]
#     eu-dora: ["12(6)"]
#   remedy: |
#     Set `objectives = { rpo = "…", rto = "…" }` for the store, agreed with whoever needs it back.
package muster.dr_baseline.objectives_set

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

missing(store) := [name |
	some name in ["rpo", "rto"]
	store.objectives[sprintf("%s_seconds", [name])] == null
]

pass contains lib.says(store.name, message) if {
	some store in input.stores
	count(missing(store)) == 0
	message := sprintf("RPO %s, RTO %s", [
		lib.duration(store.objectives.rpo_seconds),
		lib.duration(store.objectives.rto_seconds),
	])
}

fail contains lib.says(store.name, sprintf("has no objective for %s", [concat(" and ", missing(store))])) if {
	some store in input.stores
	count(missing(store)) > 0
}
