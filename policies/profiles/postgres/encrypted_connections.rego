# METADATA
# title: The server offers encrypted connections
# description: |
#   Without TLS, passwords' proofs and rows cross the network for whoever listens to it.
# custom:
#   id: PG-001
#   severity: high
#   controls:
#     nist-800-53: ["SC-8", "SC-13"]
#     iso-27001: ["A.8.24", "A.8.20"]
#     soc2: ["CC6.1", "CC6.7"]
#     eu-dora: ["9(3)(a)"]
#   remedy: |
#     Put a certificate and its key beside the data (`ssl_cert_file`, `ssl_key_file`), then
#     `ALTER SYSTEM SET ssl = on; SELECT pg_reload_conf();`
package muster.postgres.encrypted_connections

import data.muster.postgres.lib
import rego.v1

resources := lib.stores

value(store) := lib.setting(store, "ssl")

listens(store) := lib.setting(store, "listen_addresses")

pass contains lib.says(store.name, "ssl = on") if {
	some store in lib.judged
	value(store) == "on"
}

fail contains lib.says(store.name, sprintf("ssl = %s, and the server listens on %s", [value(store), listens(store)])) if {
	some store in lib.judged
	is_string(value(store))
	value(store) != "on"
	is_string(listens(store))
	listens(store) != ""
}

not_applicable contains lib.says(store.name, "listens on no network address") if {
	some store in lib.judged
	is_string(value(store))
	value(store) != "on"
	listens(store) == ""
}

unknown contains lib.says(store.name, lib.missing(store, "settings.ssl")) if {
	some store in lib.judged
	value(store) == null
}

unknown contains lib.says(store.name, lib.missing(store, "settings.listen_addresses")) if {
	some store in lib.judged
	is_string(value(store))
	value(store) != "on"
	listens(store) == null
}

not_applicable contains other if some other in lib.others

unknown contains unread if some unread in lib.unread
