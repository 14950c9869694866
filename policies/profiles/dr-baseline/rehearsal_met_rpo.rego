# METADATA
# title: The last rehearsal met the RPO objective
# description: |
#   What a restore from that point would have lost, as measured, against what was promised.
# custom:
#   id: DR-104
#   severity: high
#   controls:
#     nist-800-53: ["CP-6(2)", "CP-9"]
#     iso-27001: ["A.5.30"]
#     soc2: ["A1.2", "A1.3"]
#     eu-dora: ["12(6)"]
#   remedy: |
#     Back up more often or archive the log, or agree on another objective.
package muster.dr_baseline.rehearsal_met_rpo

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

measured contains store if {
	some store in lib.rehearsed
	store.objectives.rpo_seconds != null
	store.last_rehearsal.verdict == "PASS"
	store.last_rehearsal.rpo_judged_seconds != null
}

message(store) := sprintf(
	"measured %s, objective %s",
	[lib.duration(store.last_rehearsal.rpo_judged_seconds), lib.duration(store.objectives.rpo_seconds)],
)

pass contains lib.says(store.name, message(store)) if {
	some store in measured
	store.last_rehearsal.rpo_judged_seconds <= store.objectives.rpo_seconds
}

fail contains lib.says(store.name, message(store)) if {
	some store in measured
	store.last_rehearsal.rpo_judged_seconds > store.objectives.rpo_seconds
}

unknown contains lib.says(store.name, "the last rehearsal did not pass, or could not measure it") if {
	some store in lib.rehearsed
	store.objectives.rpo_seconds != null
	not store in measured
}

not_applicable contains lib.says(store.name, "has no RPO objective (DR-003)") if {
	some store in lib.rehearsed
	store.objectives.rpo_seconds == null
}

not_applicable contains lib.says(store.name, "was never rehearsed (DR-101)") if {
	some store in input.stores
	store.last_rehearsal == null
}
