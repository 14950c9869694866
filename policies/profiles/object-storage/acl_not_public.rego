# METADATA
# title: The bucket's ACL grants nothing to everybody
# description: |
#   `AllUsers` is the Internet, and `AuthenticatedUsers` everybody who has an account anywhere.
# custom:
#   id: OS-006
#   severity: critical
#   controls:
#     nist-800-53: ["AC-3", "AC-6"]
#     iso-27001: ["A.8.3", "A.5.15"]
#     soc2: ["CC6.1", "CC6.6"]
#     eu-dora: ["9(4)(c)"]
#   remedy: |
#     `aws s3api put-bucket-acl --bucket NAME --acl private`
package muster.object_storage.acl_not_public

import data.muster.object_storage.lib
import rego.v1

resources := lib.resources

pass contains lib.says(bucket.name, "nothing is granted to everybody") if {
	some bucket in input.buckets
	bucket.acl.state == "on"
	count(bucket.acl.public) == 0
}

fail contains lib.says(bucket.name, sprintf("granted to everybody: %s", [concat(", ", bucket.acl.public)])) if {
	some bucket in input.buckets
	bucket.acl.state == "on"
	count(bucket.acl.public) > 0
}

unknown contains lib.says(bucket.name, lib.missing(bucket, "acl")) if {
	some bucket in input.buckets
	bucket.acl.state == "unknown"
}

not_applicable contains other if some other in lib.others
