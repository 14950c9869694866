# METADATA
# title: Every logged snapshot still has its manifest
# description: |
#   A snapshot that the signed log names and the repository lacks was lost or taken away: it cannot be restored,
#   and nobody said so.
# custom:
#   id: DR-301
#   severity: critical
#   controls:
#     nist-800-53: ["CP-9", "AU-9", "SI-7"]
#     iso-27001: ["A.8.13", "A.5.33"]
#     soc2: ["A1.2", "CC7.1"]
#     eu-dora: ["9(3)(c)", "12(2)"]
#   remedy: |
#     Run `muster verify --repository`; bring the objects back from a copy, and find out who removed them.
package muster.dr_baseline.repository_whole

import data.muster.dr_baseline.lib
import rego.v1

resources := {"repository"}

repository := input.repository

pass contains lib.says("repository", sprintf("%d snapshots, each with its manifest", [repository.snapshots])) if {
	repository.missing_manifests == []
}

fail contains lib.says("repository", sprintf("missing: %s", [concat(", ", repository.missing_manifests)])) if {
	is_array(repository.missing_manifests)
	count(repository.missing_manifests) > 0
}

unknown contains lib.says("repository", "the log could not be compared with the repository") if {
	repository.missing_manifests == null
}
