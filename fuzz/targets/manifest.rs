//! Manifests and scorecards, rightly signed and whatever they say: what is read is written again as itself.

use muster_archive::{Encryption, IndexRef, Manifest, RunId, RunRef};
use muster_signing::{Digest, KeyDocument, KeyEntry, Role, canonical_json, payload, seal};
use serde_json::{Value, json};

use crate::key;

const REPOSITORY: &str = "000102030405060708090a0b0c0d0e0f";
const DAY: &str = "2026-11-25T00:00:00Z";

fn manifest() -> Manifest {
    let id = Digest::of(b"id");
    let plain = json!({
        "schema": "muster.manifest/1", "critical": [], "repository": REPOSITORY, "store": "db", "kind": "files",
        "snapshot": "01K00000000000000000000001", "sequence": 1, "parent": {"snapshot": "01K0", "digest": id},
        "log": {"key": key(Role::Writer).public().id(), "incarnation": "0-1", "size": 7},
        "started": DAY, "finished": DAY, "consistency_point": {"time": DAY}, "source": {},
        "tree": {"root": id, "digest": id, "entries": 1, "files": 1, "logical_bytes": 9},
        "list": {"root": id, "objects": 2, "bytes": 10}, "stored_bytes": 10, "added_bytes": 10, "rewritten_bytes": 0,
        "unreadable": {"count": 1, "first": [{"path": "a", "reason": "b"}]},
        "tool": {"name": "muster", "version": "0"}, "retain_until": DAY,
    });
    let mut manifest: Manifest = serde_json::from_value(plain).unwrap();
    let run = RunId::from_bytes([4; 16]);
    manifest.encryption = Some(Encryption {
        runs: vec![RunRef { run, epoch: 1 }],
    });
    manifest.index = Some(IndexRef {
        root: id,
        key: "00".repeat(16),
    });
    manifest
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let plain = canonical_json(&manifest()).unwrap();
    let scorecard = br#"{"schema":"muster.scorecard/1","verdict":"PASS"}"#.to_vec();
    vec![plain, scorecard, b"[".repeat(100_000)]
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let roles = [Role::Writer, Role::Rehearser];
    let entries = roles.map(|role| KeyEntry::new(role, key(role).public(), "host", DAY));
    let document = KeyDocument::first(REPOSITORY, DAY, entries.to_vec());
    let envelope = seal(payload::MANIFEST, data, &key(Role::Writer));
    if let Ok(opened) = document.open_as::<Manifest>(&envelope, payload::MANIFEST) {
        let written = canonical_json(&opened.value).unwrap();
        let again: Manifest = serde_json::from_slice(&written).unwrap();
        assert_eq!(canonical_json(&again).unwrap(), written);
    }
    let envelope = seal(payload::MANIFEST, data, &key(Role::Rehearser));
    assert!(document.open_as::<Value>(&envelope, payload::MANIFEST).is_err());
}
