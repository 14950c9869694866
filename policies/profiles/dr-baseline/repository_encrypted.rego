# METADATA
# title: The archive is encrypted
# description: |
#   Whoever can read the bucket reads every store in it, and a backup is seldom watched as closely as its source.
# custom:
#   id: DR-304
#   severity: medium
#   controls:
#     nist-800-53: ["CP-9(8)", "SC-28(1)"]
#     iso-27001: ["A.8.24"]
#     soc2: ["CC6.1", "CC6.7"]
#     eu-dora: ["9(2)"]
#   remedy: |
#     Name `recipients` in `[repository]` before the first backup.
package muster.dr_baseline.repository_encrypted

import data.muster.dr_baseline.lib
import rego.v1

resources := {"repository"}

repository := input.repository

pass contains lib.says("repository", "encrypted to its recipients") if repository.encrypted == true

warn contains lib.says("repository", "is not encrypted") if repository.encrypted == false

unknown contains lib.says("repository", "it is not known whether the repository is encrypted") if repository.encrypted == null
