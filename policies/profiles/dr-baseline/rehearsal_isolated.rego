# METADATA
# title: The rehearsal ran apart from its source
# description: |
#   A rehearsal that shares sockets, users or archiving with the live system can damage it, and proves less than a
#   restore elsewhere would. EU-DORA asks for systems that are segregated from the source.
# custom:
#   id: DR-106
#   severity: medium
#   controls:
#     nist-800-53: ["CP-4", "SC-7"]
#     iso-27001: ["A.8.13", "A.5.30"]
#     soc2: ["A1.3"]
#     eu-dora: ["12(3)"]
#   remedy: |
#     Rehearse on a host of its own, or look at the `isolation` of the scorecard for what was shared.
package muster.dr_baseline.rehearsal_isolated

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

# What must read so, in the words of the scorecard, where it is stated.
expected := {"network": "none", "archiving": "off", "replication": "off"}

isolation(store) := store.last_rehearsal.isolation

broken(store) := {name |
	some name, word in expected
	value := object.get(isolation(store), name, word)
	not startswith(value, word)
}

pass contains lib.says(store.name, sprintf("network: %s", [isolation(store).network])) if {
	some store in lib.rehearsed
	is_string(isolation(store).network)
	count(broken(store)) == 0
}

warn contains lib.says(store.name, sprintf("not kept apart: %s", [concat(", ", broken(store))])) if {
	some store in lib.rehearsed
	is_string(isolation(store).network)
	count(broken(store)) > 0
}

unknown contains lib.says(store.name, "the scorecard does not say how it was kept apart") if {
	some store in lib.rehearsed
	not is_string(object.get(isolation(store), "network", null))
}

not_applicable contains lib.says(store.name, "was never rehearsed (DR-101)") if {
	some store in input.stores
	store.last_rehearsal == null
}
