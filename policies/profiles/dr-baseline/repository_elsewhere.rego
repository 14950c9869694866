# METADATA
# title: The archive does not share the fate of its source
# description: |
#   A repository on the host that it protects burns with it. There must be a copy in another failure domain.
# custom:
#   id: DR-302
#   severity: high
#   controls:
#     nist-800-53: ["CP-6(1)", "CP-9(3)", "CP-9(5)"]
#     iso-27001: ["A.8.13", "A.8.14"]
#     soc2: ["A1.2"]
#     eu-dora: ["12(3)"]
#   remedy: |
#     Use an object store away from this host as `[repository] url`, or add a `[[repository.copy]]` elsewhere.
package muster.dr_baseline.repository_elsewhere

import data.muster.dr_baseline.lib
import rego.v1

resources := {"repository"}

repository := input.repository

elsewhere if repository.same_host == false

elsewhere if repository.copies > 0

pass contains lib.says("repository", sprintf("%s repository, %d further copies", [repository.scheme, repository.copies])) if elsewhere

warn contains lib.says("repository", "lies on the host that it protects, and there is no further copy") if {
	repository.same_host == true
	repository.copies == 0
}

unknown contains lib.says("repository", "where the repository lies is not known") if {
	repository.same_host == null
	repository.copies == 0
}
