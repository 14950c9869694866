# A facts document in which all is well, and functions that change one thing in it: what the tests start from.
package muster.object_storage.example

import rego.v1

backups := {
	"name": "s3://backups",
	"used_by": ["repository"],
	"transport": "https",
	"versioning": {"state": "on", "reason": null, "mfa_delete": false},
	"object_lock": {"state": "on", "reason": null, "mode": "COMPLIANCE", "days": 35},
	"encryption": {"state": "on", "reason": null, "algorithm": "aws:kms"},
	"public_access_block": {"state": "on", "reason": null, "missing": []},
	"policy": {"state": "off", "reason": null, "public": false},
	"acl": {"state": "on", "reason": null, "public": []},
	"lifecycle": {
		"state": "on",
		"reason": null,
		"rules": [
			{
				"id": "tidy",
				"prefix": "",
				"reaches": true,
				"expires": false,
				"expires_noncurrent": true,
			},
		],
	},
	"replication": {"state": "on", "reason": null, "rules": 1},
}

facts := {
	"schema": "muster.facts/1",
	"time": "2026-11-25T01:00:00Z",
	"repository": {"scheme": "s3"},
	"buckets": [backups],
}

# What is given here replaces; `object.union` would merge.
changed(object_, change) := {name: value |
	some name, old in object_
	value := object.get(change, name, old)
}

bucket(change) := changed(facts, {"buckets": [changed(backups, change)]})

directory := changed(facts, {"repository": {"scheme": "file"}, "buckets": []})
