# METADATA
# title: The bucket policy lets nobody in that is not named
# description: |
#   A backup holds everything that its source holds.
# custom:
#   id: OS-005
#   severity: critical
#   controls:
#     nist-800-53: ["AC-3", "AC-6"]
#     iso-27001: ["A.8.3", "A.5.15"]
#     soc2: ["CC6.1", "CC6.6"]
#     eu-dora: ["9(4)(c)"]
#   remedy: |
#     Name principals in place of `*` (`aws s3api put-bucket-policy`), or `aws s3api delete-bucket-policy --bucket NAME`.
package muster.object_storage.policy_not_public

import data.muster.object_storage.lib
import rego.v1

resources := lib.resources

pass contains lib.says(bucket.name, "the policy is not public") if {
	some bucket in input.buckets
	bucket.policy.state == "on"
	bucket.policy.public == false
}

pass contains lib.says(bucket.name, "there is no policy") if {
	some bucket in input.buckets
	bucket.policy.state == "off"
}

fail contains lib.says(bucket.name, "the policy is public") if {
	some bucket in input.buckets
	bucket.policy.state == "on"
	bucket.policy.public == true
}

unknown contains lib.says(bucket.name, "there is a policy, and the server does not say whether it is public: allow s3:GetBucketPolicyStatus") if {
	some bucket in input.buckets
	bucket.policy.state == "on"
	bucket.policy.public == null
}

unknown contains lib.says(bucket.name, lib.missing(bucket, "policy")) if {
	some bucket in input.buckets
	bucket.policy.state == "unknown"
}

not_applicable contains other if some other in lib.others
