# METADATA
# title: No store that is backed up is left out
# description: |
#   A store that a writer's configuration named when it last ran, and that this one does not name, is backed up and
#   neither rehearsed nor audited here: nobody would notice that it cannot be restored.
# custom:
#   id: DR-307
#   severity: medium
#   controls:
#     nist-800-53: ["CP-9"]
#     iso-27001: ["A.8.13"]
#     soc2: ["A1.2"]
#     eu-dora: ["12(1)(a)"]
#   remedy: |
#     Add the store to this configuration, or audit where it is configured. A store that was given up is named no
#     more once its writer has run without it.
package muster.dr_baseline.stores_audited

import data.muster.dr_baseline.lib
import rego.v1

resources := {"repository"}

logged := input.repository.stores_logged

left_out := {name | some name, _ in logged} - lib.stores

pass contains lib.says("repository", sprintf("%d stores, each in this configuration", [count(logged)])) if {
	is_object(logged)
	count(logged) > 0
	count(left_out) == 0
}

warn contains lib.says("repository", sprintf("not in this configuration: %s", [concat(", ", left_out)])) if {
	is_object(logged)
	count(left_out) > 0
}

not_applicable contains lib.says("repository", "no writer has run yet") if logged == {}

unknown contains lib.says("repository", "what writers back up is not known") if logged == null
