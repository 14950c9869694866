//! Descriptors, key documents and what they let a key sign, with payloads that the right key did sign.
//!
//! Whatever a document says: no key signs for another role, and a document that was taken holds to its own rules.

use std::collections::BTreeSet;

use crate::key;
use muster_signing::{Descriptor, KeyDocument, KeyEntry, Role, canonical_json, payload, seal};
use serde_json::Value;

const REPOSITORY: &str = "000102030405060708090a0b0c0d0e0f";
const DAY: &str = "2026-11-25T00:00:00Z";
const TYPES: [&str; 8] = [
    payload::DESCRIPTOR,
    payload::KEYS,
    payload::MANIFEST,
    payload::LOSS,
    payload::SCORECARD,
    payload::STATEMENT,
    payload::PRUNE,
    "application/json",
];

fn document() -> KeyDocument {
    let roles = [Role::Writer, Role::Rehearser, Role::Auditor, Role::Pruner];
    let entry = |role| KeyEntry::new(role, key(role).public(), "host", DAY);
    KeyDocument::first(REPOSITORY, DAY, roles.map(entry).to_vec())
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let descriptor = Descriptor::new(REPOSITORY, DAY, key(Role::Root).public());
    vec![
        canonical_json(&descriptor).unwrap(),
        canonical_json(&document()).unwrap(),
        descriptor.seal(&key(Role::Root)).unwrap(),
        document().seal(&key(Role::Root)).unwrap(),
        br#"{"critical":["x"],"schema":"muster.manifest/1"}"#.to_vec(),
    ]
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let root = key(Role::Root);
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        let canonical = canonical_json(&value).unwrap();
        let again: Value = serde_json::from_slice(&canonical).unwrap();
        assert_eq!(canonical_json(&again).unwrap(), canonical);
    }
    if let Ok(descriptor) = Descriptor::parse(data) {
        assert!(descriptor.critical.is_empty());
        assert_eq!(
            Descriptor::parse(&canonical_json(&descriptor).unwrap()).unwrap(),
            descriptor
        );
    }
    if let Ok(document) = KeyDocument::parse(data) {
        assert!(document.critical.is_empty());
        assert_eq!(
            KeyDocument::parse(&canonical_json(&document).unwrap()).unwrap(),
            document
        );
    }
    let _ = Descriptor::open_self_signed(data);
    if let Ok(opened) = Descriptor::open(&seal(payload::DESCRIPTOR, data, &root), &root.public()) {
        assert_eq!(opened.root_public_key, root.public());
    }
    let chain = [(1, seal(payload::KEYS, data, &root))];
    if let Ok(opened) = KeyDocument::verify_chain(&chain, &root.public(), REPOSITORY) {
        let ids: BTreeSet<_> = opened.keys.iter().map(|entry| &entry.key_id).collect();
        assert_eq!((opened.epoch, ids.len()), (1, opened.keys.len()));
        assert!(opened.keys.iter().all(|entry| entry.key_id == entry.public_key.id()));
        assert!(opened.keys(Role::Root).is_empty() && opened.role_of(&root.public().id()).is_none());
    }
    let (Some(first), Some(last)) = (data.first(), data.last()) else {
        return;
    };
    let role = Role::ALL[usize::from(*last) % Role::ALL.len()];
    let kind = TYPES[usize::from(*first) % TYPES.len()];
    if document().open_as::<Value>(&seal(kind, data, &key(role)), kind).is_ok() {
        assert_eq!(payload::role_of(kind), Some(role));
        assert_ne!(role, Role::Root, "no key document lists the root");
    }
}
