# METADATA
# title: What is overwritten or deleted stays as an older version
# description: |
#   With versioning off one wrong or hostile request removes the only copy.
# custom:
#   id: OS-001
#   severity: high
#   controls:
#     nist-800-53: ["CP-9", "AU-9"]
#     iso-27001: ["A.8.13", "A.5.33"]
#     soc2: ["A1.2", "CC7.5"]
#     eu-dora: ["9(3)(c)", "12(3)"]
#   remedy: |
#     `aws s3api put-bucket-versioning --bucket NAME --versioning-configuration Status=Enabled`
package muster.object_storage.versioning_on

import data.muster.object_storage.lib
import rego.v1

resources := lib.resources

pass contains lib.says(bucket.name, "versioning is on") if {
	some bucket in input.buckets
	bucket.versioning.state == "on"
}

fail contains lib.says(bucket.name, "versioning is off") if {
	some bucket in input.buckets
	bucket.versioning.state == "off"
}

unknown contains lib.says(bucket.name, lib.missing(bucket, "versioning")) if {
	some bucket in input.buckets
	bucket.versioning.state == "unknown"
}

not_applicable contains other if some other in lib.others
