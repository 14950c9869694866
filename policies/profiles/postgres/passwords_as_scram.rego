# METADATA
# title: Passwords are stored as SCRAM-SHA-256
# description: |
#   An MD5 verifier is as good as the password itself for whoever reads it, in a backup too.
# custom:
#   id: PG-003
#   severity: high
#   controls:
#     nist-800-53: ["IA-5(1)", "SC-13"]
#     iso-27001: ["A.5.17", "A.8.24"]
#     soc2: ["CC6.1"]
#     eu-dora: ["9(4)(d)"]
#   remedy: |
#     `ALTER SYSTEM SET password_encryption = 'scram-sha-256'; SELECT pg_reload_conf();` and set each password again.
package muster.postgres.passwords_as_scram

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

good := {"scram-sha-256"}

value(store) := lib.setting(store, "password_encryption")

pass contains lib.says(store.name, sprintf("password_encryption = %s", [value(store)])) if {
	some store in lib.judged
	value(store) in good
}

fail contains lib.says(store.name, sprintf("password_encryption = %s", [value(store)])) if {
	some store in lib.judged
	is_string(value(store))
	not value(store) in good
}

unknown contains lib.says(store.name, lib.missing(store, "settings.password_encryption")) if {
	some store in lib.judged
	value(store) == null
}

not_applicable contains other if some other in lib.others

unknown contains unread if some unread in lib.unread
