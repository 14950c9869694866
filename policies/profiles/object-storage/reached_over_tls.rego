# METADATA
# title: The bucket is reached over TLS
# description: |
#   Over plain HTTP whoever is on the way reads names and sizes, what is not encrypted whole, and can take writes
#   away unseen.
# custom:
#   id: OS-010
#   severity: high
#   controls:
#     nist-800-53: ["SC-8", "SC-13"]
#     iso-27001: ["A.8.24", "A.8.20"]
#     soc2: ["CC6.7"]
#     eu-dora: ["9(3)(a)"]
#   remedy: |
#     Write `https://` in the `endpoint` of `[repository]`.
package muster.object_storage.reached_over_tls

import data.muster.object_storage.lib
import rego.v1

resources := lib.resources

pass contains lib.says(bucket.name, "over https") if {
	some bucket in input.buckets
	bucket.transport == "https"
}

fail contains lib.says(bucket.name, "over plain http") if {
	some bucket in input.buckets
	bucket.transport == "http"
}

unknown contains lib.says(bucket.name, "the endpoint is not known") if {
	some bucket in input.buckets
	bucket.transport == null
}

not_applicable contains other if some other in lib.others
