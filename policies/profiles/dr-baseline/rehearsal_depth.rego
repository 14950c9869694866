# METADATA
# title: The rehearsal started the engine and asked it
# description: |
#   Reading the archive whole shows that the bytes are there, not that a server starts from them. Only a rehearsal
#   that starts the engine, replays, writes and checks (L3) is a rehearsed restore. A file tree has no engine:
#   there a full restore compared with the signed digest (L2) is enough.
# custom:
#   id: DR-102
#   severity: high
#   controls:
#     nist-800-53: ["CP-4", "CP-4(4)", "CP-9(1)"]
#     iso-27001: ["A.8.13", "A.5.30"]
#     soc2: ["A1.3"]
#     eu-dora: ["12(2)", "12(7)"]
#   remedy: |
#     Run `muster rehearse STORE --depth L3`.
package muster.dr_baseline.rehearsal_depth

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

levels := {"L0": 0, "L1": 1, "L2": 2, "L3": 3, "L4": 4}

needed(store) := 2 if lib.without_engine(store)

needed(store) := 3 if not lib.without_engine(store)

pass contains lib.says(store.name, sprintf("rehearsed to %s", [store.last_rehearsal.depth])) if {
	some store in lib.rehearsed
	levels[store.last_rehearsal.depth] >= needed(store)
}

fail contains lib.says(store.name, message) if {
	some store in lib.rehearsed
	levels[store.last_rehearsal.depth] < needed(store)
	message := sprintf("rehearsed to %s only, L%d is needed", [store.last_rehearsal.depth, needed(store)])
}

not_applicable contains lib.says(store.name, "was never rehearsed (DR-101)") if {
	some store in input.stores
	store.last_rehearsal == null
}
