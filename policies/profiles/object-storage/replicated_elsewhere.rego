# METADATA
# title: The bucket is replicated elsewhere
# description: |
#   One region, one account and one provider can each be lost. A second repository (`[[repository.copy]]`) serves
#   as well, or better.
# custom:
#   id: OS-009
#   severity: low
#   controls:
#     nist-800-53: ["CP-6", "CP-9(5)"]
#     iso-27001: ["A.8.14"]
#     soc2: ["A1.2"]
#     eu-dora: ["12(4)"]
#   remedy: |
#     `aws s3api put-bucket-replication`, or `muster copy` to another provider.
package muster.object_storage.replicated_elsewhere

import data.muster.object_storage.lib
import rego.v1

resources := lib.resources

pass contains lib.says(bucket.name, sprintf("%d rules replicate it", [bucket.replication.rules])) if {
	some bucket in input.buckets
	bucket.replication.state == "on"
	bucket.replication.rules > 0
}

warn contains lib.says(bucket.name, "no rule that replicates it is on") if {
	some bucket in input.buckets
	bucket.replication.state == "on"
	bucket.replication.rules == 0
}

warn contains lib.says(bucket.name, "it is not replicated") if {
	some bucket in input.buckets
	bucket.replication.state == "off"
}

unknown contains lib.says(bucket.name, lib.missing(bucket, "replication")) if {
	some bucket in input.buckets
	bucket.replication.state == "unknown"
}

not_applicable contains other if some other in lib.others
