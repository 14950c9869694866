# METADATA
# title: A restore of every store was rehearsed with success in the last 90 days
# description: |
#   A backup that was never restored is a hope. Ninety days is the interval that CIS 11.5 asks for; a year is the
#   latest that EU-DORA allows.
# custom:
#   id: DR-101
#   severity: critical
#   controls:
#     nist-800-53: ["CP-4", "CP-4(3)", "CP-9(2)"]
#     iso-27001: ["A.8.13", "A.5.30"]
#     soc2: ["A1.3"]
#     eu-dora: ["11(6)(a)", "12(2)", "24(6)"]
#   remedy: |
#     Run `muster rehearse STORE` and schedule it; after a FAIL, find out why before anything else.
package muster.dr_baseline.rehearsed_recently

import data.muster.dr_baseline.lib
import rego.v1

resources := lib.stores

day := 86400

recent_days := 90

hard_days := 365

pass contains lib.says(store.name, sprintf("last passed %s ago", [lib.duration(rehearsal.age_seconds)])) if {
	some store in lib.rehearsed
	rehearsal := store.last_rehearsal
	rehearsal.verdict == "PASS"
	rehearsal.age_seconds <= recent_days * day
}

warn contains lib.says(store.name, message) if {
	some store in lib.rehearsed
	rehearsal := store.last_rehearsal
	rehearsal.verdict == "PASS"
	rehearsal.age_seconds > recent_days * day
	rehearsal.age_seconds <= hard_days * day
	message := sprintf("last passed %s ago, longer than %d days", [lib.duration(rehearsal.age_seconds), recent_days])
}

fail contains lib.says(store.name, message) if {
	some store in lib.rehearsed
	rehearsal := store.last_rehearsal
	rehearsal.verdict == "PASS"
	rehearsal.age_seconds > hard_days * day
	message := sprintf("last passed %s ago, longer than a year", [lib.duration(rehearsal.age_seconds)])
}

fail contains lib.says(store.name, sprintf("the last rehearsal, %s ago, failed", [age])) if {
	some store in lib.rehearsed
	store.last_rehearsal.verdict == "FAIL"
	age := lib.duration(store.last_rehearsal.age_seconds)
}

fail contains lib.says(store.name, "was never rehearsed") if {
	some store in input.stores
	store.last_rehearsal == null
}

unknown contains lib.says(store.name, sprintf("the last rehearsal ended with %s: nothing was learned", [verdict])) if {
	some store in lib.rehearsed
	verdict := store.last_rehearsal.verdict
	verdict in {"ERROR", "SKIPPED"}
}
