# What the rules of this profile share: which servers are judged, and how it is said.
package muster.postgres.lib

import rego.v1

# The names of all stores: the resources of every rule here.
stores := {store.name | some store in input.stores}

# A resource with a message, the element of every outcome.
says(resource, message) := {"resource": resource, "message": message}

# PostgreSQL stores whose server told about itself.
judged contains store if {
	some store in input.stores
	store.kind == "postgres"
	is_object(store.settings)
}

# Stores that no rule here is about.
others contains says(store.name, "is not a PostgreSQL store") if {
	some store in input.stores
	store.kind != "postgres"
}

# PostgreSQL stores whose server told nothing.
unread contains says(store.name, sprintf("settings were not read: %s", [store.settings_error])) if {
	some store in input.stores
	store.kind == "postgres"
	store.settings == null
	store.settings_error != null
}

unread contains says(store.name, "settings were not collected") if {
	some store in input.stores
	store.kind == "postgres"
	store.settings == null
	store.settings_error == null
}

# A setting by name; null when the server did not show it.
setting(store, name) := object.get(store.settings.settings, name, null)

# Why a fact is not known and what would have to be granted, in the collector's words.
missing(store, fact) := concat(": ", array.concat([sprintf("%s is not known", [fact])], reasons(store, fact)))

reasons(store, fact) := [concat("; ", words) |
	some entry in object.get(store.settings, "unknown", [])
	entry.fact == fact
	words := [text | some name in ["reason", "grant"]; text := object.get(entry, name, null); text != null]
]

# Lines of pg_hba.conf, short enough to be read.
lines(rules) := concat(", ", [sprintf("line %d (%s)", [rule.line, concat(" ", words)]) |
	some rule in rules
	words := [text | some text in [rule.type, address(rule), rule.method]; text != null]
])

faults(rules) := concat(", ", [sprintf("line %d (%s)", [rule.line, rule.error]) | some rule in rules])

address(rule) := rule.address if rule.netmask == null

address(rule) := sprintf("%s/%s", [rule.address, rule.netmask]) if rule.netmask != null

everywhere(rule) if rule.address == "all"

everywhere(rule) if rule.netmask in {"0.0.0.0", "::"}

loopback(rule) if startswith(rule.address, "127.")

loopback(rule) if rule.address in {"::1", "localhost"}

or_none(value) := value if value != null

or_none(value) := "none" if value == null
