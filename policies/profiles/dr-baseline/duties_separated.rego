# METADATA
# title: Backups, rehearsals and audits are signed by keys of their own
# description: |
#   A host that could sign its own rehearsals and audits would be its own auditor.
# custom:
#   id: DR-306
#   severity: medium
#   controls:
#     nist-800-53: ["AU-10", "AC-5"]
#     iso-27001: ["A.5.3", "A.5.28"]
#     soc2: ["CC6.1", "CC6.3"]
#     eu-dora: ["9(4)(c)"]
#   remedy: |
#     `muster init` makes a key for each role; `muster keys list` shows them.
package muster.dr_baseline.duties_separated

import data.muster.dr_baseline.lib
import rego.v1

resources := {"repository"}

repository := input.repository

needed := {"writer", "rehearser", "auditor"}

held := {role | some role, n in repository.roles; n > 0} if is_object(repository.roles)

pass contains lib.says("repository", "writer, rehearser and auditor have keys of their own") if {
	is_object(repository.roles)
	count(needed - held) == 0
}

fail contains lib.says("repository", sprintf("no key for %s", [concat(", ", needed - held)])) if {
	is_object(repository.roles)
	count(needed - held) > 0
}

unknown contains lib.says("repository", "the key document could not be read") if repository.roles == null
