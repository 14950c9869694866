# METADATA
# title: The server's major version still gets corrections
# description: |
#   After five years a major version gets none, not for data loss nor for security. Dates:
#   https://www.postgresql.org/support/versioning/
# custom:
#   id: PG-021
#   severity: high
#   controls:
#     nist-800-53: ["SI-2", "SA-22"]
#     iso-27001: ["A.8.8"]
#     soc2: ["CC7.1"]
#     eu-dora: ["8(7)", "9(4)(f)"]
#   remedy: |
#     Upgrade with pg_upgrade or logical replication, and rehearse a restore on the new version first.
package muster.postgres.version_supported

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

day := ((24 * 60) * 60) * 1000000000

soon := 180

# Days from the facts' time to the end of life.
left(store) := (time.parse_rfc3339_ns(sprintf("%sT00:00:00Z", [store.settings.end_of_life.date])) - time.parse_rfc3339_ns(input.time)) / day

dated contains store if {
	some store in lib.judged
	is_object(store.settings.end_of_life)
	is_string(store.settings.server.version)
}

about(store, words) := sprintf("PostgreSQL %s %s %s", [store.settings.server.version, words, store.settings.end_of_life.date])

pass contains lib.says(store.name, about(store, "is supported until")) if {
	some store in dated
	left(store) > soon
}

warn contains lib.says(store.name, about(store, "is supported only until")) if {
	some store in dated
	left(store) >= 0
	left(store) <= soon
}

fail contains lib.says(store.name, about(store, "has had no corrections since")) if {
	some store in dated
	left(store) < 0
}

unknown contains lib.says(store.name, lib.missing(store, "end_of_life")) if {
	some store in lib.judged
	store.settings.end_of_life == null
}

not_applicable contains other if some other in lib.others

unknown contains unread if some unread in lib.unread
