# METADATA
# title: The rehearsal asks the restored data a question
# description: |
#   A server that starts may still serve an empty or foreign database. At least one check of the data itself must
#   decide the verdict. A file tree is compared with its signed digest instead.
# custom:
#   id: DR-105
#   severity: medium
#   controls:
#     nist-800-53: ["CP-9(1)", "CP-4"]
#     iso-27001: ["A.8.13"]
#     soc2: ["A1.3"]
#     eu-dora: ["12(7)"]
#   remedy: |
#     Add `checks = ["select count(*) > 0 from …"]` to the store: a question whose answer shows that the data is
#     yours.
package muster.dr_baseline.checks_configured

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

pass contains lib.says(store.name, sprintf("%d configured", [store.checks_count])) if {
	some store in input.stores
	store.checks_count > 0
}

fail contains lib.says(store.name, "has no check of its own") if {
	some store in input.stores
	store.checks_count == 0
	not lib.without_engine(store)
}

not_applicable contains lib.says(store.name, "is compared with its signed digest") if {
	some store in input.stores
	store.checks_count == 0
	lib.without_engine(store)
}
