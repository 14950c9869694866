# METADATA
# title: Older versions are removed some day
# description: |
#   With versioning on, what was pruned stays as an older version and is paid for until somebody removes it.
# custom:
#   id: OS-008
#   severity: low
#   controls:
#     nist-800-53: ["SI-12", "CM-6"]
#     iso-27001: ["A.8.10"]
#     soc2: ["A1.1", "C1.2"]
#     eu-dora: ["7(c)"]
#   remedy: |
#     A lifecycle rule with `NoncurrentVersionExpiration` of more days than the object lock holds.
package muster.object_storage.old_versions_expire

import data.muster.object_storage.lib
import rego.v1

resources := lib.resources

tidying(bucket) := [rule.id |
	some rule in bucket.lifecycle.rules
	rule.expires_noncurrent == true
	rule.reaches == true
]

pass contains lib.says(bucket.name, sprintf("removed by: %s", [concat(", ", tidying(bucket))])) if {
	some bucket in input.buckets
	bucket.versioning.state == "on"
	bucket.lifecycle.state == "on"
	count(tidying(bucket)) > 0
}

warn contains lib.says(bucket.name, "older versions are kept for ever") if {
	some bucket in input.buckets
	bucket.versioning.state == "on"
	bucket.lifecycle.state == "on"
	is_array(bucket.lifecycle.rules)
	count(tidying(bucket)) == 0
}

warn contains lib.says(bucket.name, "older versions are kept for ever: there is no lifecycle rule") if {
	some bucket in input.buckets
	bucket.versioning.state == "on"
	bucket.lifecycle.state == "off"
}

not_applicable contains lib.says(bucket.name, "there are no older versions (OS-001)") if {
	some bucket in input.buckets
	bucket.versioning.state == "off"
}

unknown contains lib.says(bucket.name, lib.missing(bucket, "versioning")) if {
	some bucket in input.buckets
	bucket.versioning.state == "unknown"
}

unknown contains lib.says(bucket.name, lib.missing(bucket, "lifecycle")) if {
	some bucket in input.buckets
	bucket.versioning.state == "on"
	bucket.lifecycle.state == "unknown"
}

not_applicable contains other if some other in lib.others
