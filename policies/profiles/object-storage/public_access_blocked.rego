# METADATA
# title: The bucket refuses to be made public
# description: |
#   The four blocks hold against a policy or an ACL that somebody adds tomorrow.
# custom:
#   id: OS-004
#   severity: high
#   controls:
#     nist-800-53: ["AC-3", "CM-6"]
#     iso-27001: ["A.8.3", "A.8.9"]
#     soc2: ["CC6.1", "CC6.6"]
#     eu-dora: ["9(4)(c)"]
#   remedy: |
#     `aws s3api put-public-access-block --bucket NAME --public-access-block-configuration \
#      BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true`
package muster.object_storage.public_access_blocked

import data.muster.object_storage.lib
import rego.v1

resources := lib.resources

pass contains lib.says(bucket.name, "all four blocks are on") if {
	some bucket in input.buckets
	bucket.public_access_block.state == "on"
	count(bucket.public_access_block.missing) == 0
}

fail contains lib.says(bucket.name, sprintf("not set: %s", [concat(", ", bucket.public_access_block.missing)])) if {
	some bucket in input.buckets
	bucket.public_access_block.state == "on"
	count(bucket.public_access_block.missing) > 0
}

fail contains lib.says(bucket.name, "public access is not blocked") if {
	some bucket in input.buckets
	bucket.public_access_block.state == "off"
}

unknown contains lib.says(bucket.name, lib.missing(bucket, "public_access_block")) if {
	some bucket in input.buckets
	bucket.public_access_block.state == "unknown"
}

not_applicable contains other if some other in lib.others
