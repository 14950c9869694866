# METADATA
# title: Every store has a recovery point
# description: |
#   A store that is configured and has never been backed up is lost with its disk, however well the others are
#   kept.
# custom:
#   id: DR-001
#   severity: critical
#   controls:
#     nist-800-53: ["CP-9"]
#     iso-27001: ["A.8.13"]
#     soc2: ["A1.2"]
#     eu-dora: ["12(1)(a)"]
#   remedy: |
#     Run `muster backup STORE` and schedule it (`muster schedule`).
package muster.dr_baseline.recovery_point_exists

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

pass contains lib.says(store.name, sprintf("newest is %s", [store.newest.snapshot])) if {
	some store in input.stores
	store.newest != null
}

fail contains lib.says(store.name, "has no recovery point at all") if {
	some store in input.stores
	store.newest == null
	store.newest_error == null
}

unknown contains lib.says(store.name, sprintf("recovery points cannot be read: %s", [store.newest_error])) if {
	some store in input.stores
	store.newest == null
	store.newest_error != null
}
