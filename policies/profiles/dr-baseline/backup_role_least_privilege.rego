# METADATA
# title: The backup role of PostgreSQL is not a superuser
# description: |
#   Whoever steals the credentials of the backup host should be able to read a copy, not to rewrite the source.
# custom:
#   id: DR-207
#   severity: medium
#   controls:
#     nist-800-53: ["AC-6", "CP-9"]
#     iso-27001: ["A.8.2", "A.5.15"]
#     soc2: ["CC6.1", "CC6.3"]
#     eu-dora: ["9(4)(c)"]
#   remedy: |
#     `CREATE ROLE backup LOGIN REPLICATION; GRANT pg_monitor TO backup;` and use that role in the store's `url`.
package muster.dr_baseline.backup_role_least_privilege

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

pass contains lib.says(store.name, sprintf("%s is not a superuser", [lib.role(store).name])) if {
	some store in lib.postgres
	lib.role(store).superuser == false
}

fail contains lib.says(store.name, sprintf("%s is a superuser", [lib.role(store).name])) if {
	some store in lib.postgres
	lib.role(store).superuser == true
}

unknown contains lib.says(store.name, "the attributes of the backup role could not be read") if {
	some store in lib.postgres
	lib.role(store).superuser == null
}

not_applicable contains lib.says(store.name, "is not a PostgreSQL store") if {
	some store in input.stores
	store.kind != "postgres"
}

unknown contains lib.says(store.name, lib.unread(store)) if some store in lib.postgres_unread
