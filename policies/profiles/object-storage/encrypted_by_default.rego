# METADATA
# title: What is written is encrypted by the server
# description: |
#   Disks leave the data centre. What muster encrypts itself is safe without it; what others write to the bucket
#   is not.
# custom:
#   id: OS-003
#   severity: medium
#   controls:
#     nist-800-53: ["SC-28(1)", "CP-9(8)"]
#     iso-27001: ["A.8.24"]
#     soc2: ["CC6.1", "CC6.7"]
#     eu-dora: ["9(2)"]
#   remedy: |
#     `aws s3api put-bucket-encryption --bucket NAME --server-side-encryption-configuration \
#      '{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}'`
package muster.object_storage.encrypted_by_default

import data.muster.object_storage.lib
import rego.v1

resources := lib.resources

pass contains lib.says(bucket.name, sprintf("encrypted with %s by default", [bucket.encryption.algorithm])) if {
	some bucket in input.buckets
	bucket.encryption.state == "on"
}

fail contains lib.says(bucket.name, "no default encryption") if {
	some bucket in input.buckets
	bucket.encryption.state == "off"
}

unknown contains lib.says(bucket.name, lib.missing(bucket, "encryption")) if {
	some bucket in input.buckets
	bucket.encryption.state == "unknown"
}

not_applicable contains other if some other in lib.others
