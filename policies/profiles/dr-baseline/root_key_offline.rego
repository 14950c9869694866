# METADATA
# title: The root key is not kept on this host
# description: |
#   Whoever holds the root key decides whose signatures count. On the host that makes the backups, a thief of that
#   host decides it.
# custom:
#   id: DR-303
#   severity: high
#   controls:
#     nist-800-53: ["SC-12", "AU-9(4)"]
#     iso-27001: ["A.8.24"]
#     soc2: ["CC6.1"]
#     eu-dora: ["9(4)(d)"]
#   remedy: |
#     Move `root.pem` to media of its own; only `root.pub` is needed here.
package muster.dr_baseline.root_key_offline

import data.muster.dr_baseline.lib
import rego.v1

resources := {"repository"}

repository := input.repository

pass contains lib.says("repository", "only the public half is here") if repository.root_key_on_this_host == false

warn contains lib.says("repository", "the root's secret key lies on this host") if repository.root_key_on_this_host == true

unknown contains lib.says("repository", "it is not known where the root key lies") if {
	repository.root_key_on_this_host == null
}
