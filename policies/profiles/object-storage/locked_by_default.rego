# METADATA
# title: What is written cannot be deleted before its time
# description: |
#   A default retention holds for every writer, also one that forgets to ask for it and one that was stolen.
# custom:
#   id: OS-002
#   severity: medium
#   controls:
#     nist-800-53: ["AU-9", "CP-9"]
#     iso-27001: ["A.8.13", "A.5.33"]
#     soc2: ["A1.2", "CC6.1"]
#     eu-dora: ["9(3)(c)", "12(3)"]
#   remedy: |
#     `aws s3api put-object-lock-configuration --bucket NAME --object-lock-configuration \
#      ObjectLockEnabled=Enabled,Rule={DefaultRetention={Mode=COMPLIANCE,Days=35}}`; some servers only lock buckets that were made with
#     object lock.
package muster.object_storage.locked_by_default

import data.muster.object_storage.lib
import rego.v1

resources := lib.resources

pass contains lib.says(bucket.name, sprintf("locked (%s) for %d days by default", [bucket.object_lock.mode, bucket.object_lock.days])) if {
	some bucket in input.buckets
	bucket.object_lock.state == "on"
	bucket.object_lock.days > 0
}

warn contains lib.says(bucket.name, "object lock is on, without a default retention") if {
	some bucket in input.buckets
	bucket.object_lock.state == "on"
	bucket.object_lock.days == null
}

fail contains lib.says(bucket.name, "object lock is off") if {
	some bucket in input.buckets
	bucket.object_lock.state == "off"
}

unknown contains lib.says(bucket.name, lib.missing(bucket, "object_lock")) if {
	some bucket in input.buckets
	bucket.object_lock.state == "unknown"
}

not_applicable contains other if some other in lib.others
