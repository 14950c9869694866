# METADATA
# title: The archive cannot be deleted before its time
# description: |
#   With one stolen credential an attacker removes the backups first. A lock that the server enforces outlives the
#   credential.
# custom:
#   id: DR-305
#   severity: medium
#   controls:
#     nist-800-53: ["AU-9", "CP-9"]
#     iso-27001: ["A.8.13", "A.5.33"]
#     soc2: ["A1.2", "CC6.1"]
#     eu-dora: ["9(3)(c)", "12(3)"]
#   remedy: |
#     Use a bucket with object lock and set `object_lock` in `[repository]`.
package muster.dr_baseline.repository_immutable

import data.muster.dr_baseline.lib
import rego.v1

resources := {"repository"}

repository := input.repository

pass contains lib.says("repository", sprintf("locked (%s) for %d days", [lock.mode, lock.days])) if {
	lock := repository.object_lock
	lock.days > 0
}

warn contains lib.says("repository", "no object lock is set") if {
	repository.object_lock == null
	repository.scheme != "file"
}

not_applicable contains lib.says("repository", "a local directory has no object lock (DR-302)") if {
	repository.object_lock == null
	repository.scheme == "file"
}
