# METADATA
# title: The newest recovery point has not shrunk suddenly
# description: |
#   An empty dump, a wrong path and a dropped database all look like a backup that finished. A sudden loss of more
#   than half of the bytes is worth a look before retention removes the larger one.
# custom:
#   id: DR-005
#   severity: medium
#   controls:
#     nist-800-53: ["CP-9(1)", "SI-7"]
#     iso-27001: ["A.8.13"]
#     soc2: ["A1.3", "CC7.2"]
#     eu-dora: ["10(1)", "12(2)"]
#   remedy: |
#     Compare `muster ls STORE@OLD` with `muster ls STORE`, and `muster hold` the older point until the reason is
#     known.
package muster.dr_baseline.size_plausible

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

compared contains store if {
	some store in input.stores
	store.newest != null
	store.previous != null
}

message(store) := sprintf(
	"%d bytes after %d in the point before",
	[store.newest.logical_bytes, store.previous.logical_bytes],
)

pass contains lib.says(store.name, message(store)) if {
	some store in compared
	store.newest.logical_bytes * 2 >= store.previous.logical_bytes
}

warn contains lib.says(store.name, message(store)) if {
	some store in compared
	store.newest.logical_bytes * 2 < store.previous.logical_bytes
}

not_applicable contains lib.says(store.name, "has no two recovery points to compare") if {
	some store in input.stores
	store.newest_error == null
	lib.any_null([store.newest, store.previous])
}

unknown contains lib.says(store.name, sprintf("recovery points cannot be read: %s", [store.newest_error])) if {
	some store in input.stores
	store.newest_error != null
}
