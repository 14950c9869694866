# What the rules of this profile share: who is judged, and how it is said.
package muster.dr_baseline.lib

import rego.v1

# The names of all stores: the resources of a rule about stores.
stores := {store.name | some store in input.stores}

# A resource with a message, the element of every outcome.
says(resource, message) := {"resource": resource, "message": message}

rehearsed contains store if {
	some store in input.stores
	store.last_rehearsal != null
}

# PostgreSQL stores whose settings were read.
postgres contains store if {
	some store in input.stores
	store.kind == "postgres"
	is_object(store.settings)
}

postgres_unread contains store if {
	some store in input.stores
	store.kind == "postgres"
	store.settings == null
}

unread(store) := sprintf("settings were not read: %s", [store.settings_error]) if store.settings_error != null

unread(store) := "settings were not collected" if store.settings_error == null

# A setting by name; null when the server did not show it.
setting(store, name) := object.get(store.settings.settings, name, null)

archiving contains store if {
	some store in postgres
	setting(store, "archive_mode") in {"on", "always"}
}

archiver(store) := store.settings.archiver

role(store) := store.settings.role

# Stores that are trees of files: there is no engine to start or to ask.
without_engine(store) if store.kind in {"files", "s3"}

any_null(values) if {
	some value in values
	value == null
}

# A duration as a person says it.
duration(seconds) := sprintf("%d s", [round(seconds)]) if seconds < 120

duration(seconds) := sprintf("%d min", [round(seconds / 60)]) if {
	seconds >= 120
	seconds < 7200
}

duration(seconds) := sprintf("%d h", [round(seconds / 3600)]) if {
	seconds >= 7200
	seconds < 172800
}

duration(seconds) := sprintf("%d days", [round(seconds / 86400)]) if seconds >= 172800
