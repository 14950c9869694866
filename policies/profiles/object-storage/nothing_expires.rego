# METADATA
# title: No lifecycle rule deletes current objects of the repository
# description: |
#   The server would delete backups behind the back of the log that names them; retention is what `muster prune`
#   does.
# custom:
#   id: OS-007
#   severity: critical
#   controls:
#     nist-800-53: ["CP-9", "SI-12"]
#     iso-27001: ["A.8.13", "A.5.33"]
#     soc2: ["A1.2", "PI1.5"]
#     eu-dora: ["9(3)(d)"]
#   remedy: |
#     Take `Expiration` out of the rules named (`aws s3api put-bucket-lifecycle-configuration`); `NoncurrentVersionExpiration` may stay.
package muster.object_storage.nothing_expires

import data.muster.object_storage.lib
import rego.v1

resources := lib.resources

expiring(bucket) := [rule.id |
	some rule in bucket.lifecycle.rules
	rule.expires == true
	rule.reaches == true
]

pass contains lib.says(bucket.name, "there is no lifecycle rule") if {
	some bucket in input.buckets
	bucket.lifecycle.state == "off"
}

pass contains lib.says(bucket.name, "no rule deletes current objects") if {
	some bucket in input.buckets
	bucket.lifecycle.state == "on"
	is_array(bucket.lifecycle.rules)
	count(expiring(bucket)) == 0
}

fail contains lib.says(bucket.name, sprintf("delete current objects: %s", [concat(", ", expiring(bucket))])) if {
	some bucket in input.buckets
	bucket.lifecycle.state == "on"
	count(expiring(bucket)) > 0
}

unknown contains lib.says(bucket.name, lib.missing(bucket, "lifecycle")) if {
	some bucket in input.buckets
	bucket.lifecycle.state == "unknown"
}

not_applicable contains other if some other in lib.others
