# METADATA
# title: The newest recovery point holds everything that it was to hold
# description: |
#   A snapshot that could not read some files is committed and listed, but it is not a copy of the store.
# custom:
#   id: DR-004
#   severity: high
#   controls:
#     nist-800-53: ["CP-9", "CP-9(1)"]
#     iso-27001: ["A.8.13"]
#     soc2: ["A1.2", "A1.3"]
#     eu-dora: ["12(1)(a)", "12(2)"]
#   remedy: |
#     Read the list of `muster backup`, let muster read those files, or exclude them on purpose; then back up
#     again.
package muster.dr_baseline.recovery_point_complete

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

pass contains lib.says(store.name, "everything was read") if {
	some store in input.stores
	store.newest.unreadable_count == 0
}

fail contains lib.says(store.name, message) if {
	some store in input.stores
	store.newest.unreadable_count > 0
	message := sprintf("%d entries could not be read into %s", [store.newest.unreadable_count, store.newest.snapshot])
}

not_applicable contains lib.says(store.name, "has no recovery point (DR-001)") if {
	some store in input.stores
	store.newest == null
	store.newest_error == null
}

unknown contains lib.says(store.name, sprintf("recovery points cannot be read: %s", [store.newest_error])) if {
	some store in input.stores
	store.newest == null
	store.newest_error != null
}
