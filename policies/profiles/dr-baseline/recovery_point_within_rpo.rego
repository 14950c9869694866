# METADATA
# title: The newest recovery point is no older than the RPO objective
# description: |
#   What was written since the newest recovery point is lost in a disaster now. The objective says how much that
#   may be.
# custom:
#   id: DR-002
#   severity: critical
#   controls:
#     nist-800-53: ["CP-9", "CP-6(2)"]
#     iso-27001: ["A.8.13", "A.5.30"]
#     soc2: ["A1.2"]
#     eu-dora: ["12(1)(a)", "12(6)"]
#   remedy: |
#     Back the store up more often than its RPO objective, or archive its log; see `muster status`.
package muster.dr_baseline.recovery_point_within_rpo

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

judged contains store if {
	some store in input.stores
	store.objectives.rpo_seconds != null
	store.newest != null
}

message(store) := sprintf(
	"newest recovery point is %s old, objective %s",
	[lib.duration(store.newest.age_seconds), lib.duration(store.objectives.rpo_seconds)],
)

pass contains lib.says(store.name, message(store)) if {
	some store in judged
	store.newest.age_seconds <= store.objectives.rpo_seconds
}

fail contains lib.says(store.name, message(store)) if {
	some store in judged
	store.newest.age_seconds > store.objectives.rpo_seconds
}

fail contains lib.says(store.name, "has no recovery point at all") if {
	some store in input.stores
	store.objectives.rpo_seconds != null
	store.newest == null
	store.newest_error == null
}

unknown contains lib.says(store.name, sprintf("recovery points cannot be read: %s", [store.newest_error])) if {
	some store in input.stores
	store.objectives.rpo_seconds != null
	store.newest == null
	store.newest_error != null
}

not_applicable contains lib.says(store.name, "has no RPO objective (DR-003)") if {
	some store in input.stores
	store.objectives.rpo_seconds == null
}
