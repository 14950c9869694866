# METADATA
# title: Connections are encrypted by TLS 1.2 or newer
# description: |
#   TLS 1.0 and 1.1 are broken and withdrawn; a client that is talked down to them is not protected.
# custom:
#   id: PG-002
#   severity: medium
#   controls:
#     nist-800-53: ["SC-8", "SC-13"]
#     iso-27001: ["A.8.24"]
#     soc2: ["CC6.7"]
#     eu-dora: ["9(3)(a)"]
#   remedy: |
#     `ALTER SYSTEM SET ssl_min_protocol_version = 'TLSv1.2'; SELECT pg_reload_conf();`
package muster.postgres.modern_tls

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

good := {"TLSv1.2", "TLSv1.3"}

value(store) := lib.setting(store, "ssl_min_protocol_version")

encrypts(store) := lib.setting(store, "ssl")

pass contains lib.says(store.name, sprintf("at least %s", [value(store)])) if {
	some store in lib.judged
	encrypts(store) == "on"
	value(store) in good
}

fail contains lib.says(store.name, sprintf("ssl_min_protocol_version = '%s'", [value(store)])) if {
	some store in lib.judged
	encrypts(store) == "on"
	is_string(value(store))
	not value(store) in good
}

not_applicable contains lib.says(store.name, "ssl is off (PG-001)") if {
	some store in lib.judged
	is_string(encrypts(store))
	encrypts(store) != "on"
}

unknown contains lib.says(store.name, lib.missing(store, "settings.ssl")) if {
	some store in lib.judged
	encrypts(store) == null
}

unknown contains lib.says(store.name, lib.missing(store, "settings.ssl_min_protocol_version")) if {
	some store in lib.judged
	encrypts(store) == "on"
	value(store) == null
}

not_applicable contains other if some other in lib.others

unknown contains unread if some unread in lib.unread
