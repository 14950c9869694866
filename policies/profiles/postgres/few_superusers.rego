# METADATA
# title: At most two superusers may log in
# description: |
#   No permission holds a superuser back, and none of their deeds can be told apart. Two suffice: one for the
#   system, one to break the glass.
# custom:
#   id: PG-009
#   severity: medium
#   controls:
#     nist-800-53: ["AC-6(5)", "AC-2"]
#     iso-27001: ["A.8.2", "A.5.15"]
#     soc2: ["CC6.1", "CC6.3"]
#     eu-dora: ["9(4)(c)"]
#   remedy: |
#     `ALTER ROLE name NOSUPERUSER;` and grant what the role needs, or `ALTER ROLE name NOLOGIN;`
package muster.postgres.few_superusers

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

most := 2

superusers(store) := [role.name |
	some role in store.settings.roles
	role.superuser == true
	role.login == true
]

pass contains lib.says(store.name, sprintf("%d superusers may log in: %s", [count(superusers(store)), concat(", ", superusers(store))])) if {
	some store in lib.judged
	is_array(store.settings.roles)
	count(superusers(store)) <= most
}

fail contains lib.says(store.name, sprintf("%d superusers may log in: %s", [count(superusers(store)), concat(", ", superusers(store))])) if {
	some store in lib.judged
	is_array(store.settings.roles)
	count(superusers(store)) > most
}

unknown contains lib.says(store.name, lib.missing(store, "roles")) if {
	some store in lib.judged
	store.settings.roles == null
}

not_applicable contains other if some other in lib.others

unknown contains unread if some unread in lib.unread
