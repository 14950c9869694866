//! Evidence bundles: a tar has one spelling, and no bundle is valid but the one that was sealed.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::{key, turn_a_bit};
use muster_evidence::tar::{self, Member};
use muster_evidence::{Audit, Bundle, Signed, Tool, verify_bundle};
use muster_signing::{Checkpoint, Descriptor, Digest, KeyDocument, KeyEntry, Role, canonical_json, payload, seal};
use serde_json::json;

const REPOSITORY: &str = "000102030405060708090a0b0c0d0e0f";
const DAY: &str = "2026-11-25T00:00:00Z";
const SNAPSHOT: &str = "01K00000000000000000000001";

static SEALED: LazyLock<Vec<u8>> = LazyLock::new(|| sealed().unwrap());

fn sealed() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let root = key(Role::Root);
    let roles = [Role::Writer, Role::Rehearser, Role::Auditor];
    let entries = roles.map(|role| KeyEntry::new(role, key(role).public(), "host", DAY));
    let manifest =
        json!({"repository": REPOSITORY, "store": "accounts", "snapshot": SNAPSHOT, "schema": "muster.manifest/1"});
    let head = Checkpoint {
        origin: format!("muster/{REPOSITORY}/0-1"),
        size: 7,
        root: Digest::of(b"root"),
    };
    let bundle = Bundle {
        descriptor: Descriptor::new(REPOSITORY, DAY, root.public()).seal(&root)?,
        key_documents: vec![(1, KeyDocument::first(REPOSITORY, DAY, entries.to_vec()).seal(&root)?)],
        audit: Audit {
            repository: REPOSITORY.to_owned(),
            evaluated_at: DAY.to_owned(),
            started: DAY.to_owned(),
            finished: DAY.to_owned(),
            tool: Tool {
                name: "muster".to_owned(),
                version: "0".to_owned(),
            },
            summary: BTreeMap::from([("pass".to_owned(), 1)]),
            ..Audit::default()
        },
        results: json!({"summary": {"pass": 1}, "results": [{"verdict": "pass"}]})
            .to_string()
            .into_bytes(),
        inputs: BTreeMap::from([("accounts.json".to_owned(), b"{}".to_vec())]),
        manifests: vec![Signed {
            store: "accounts".to_owned(),
            id: SNAPSHOT.to_owned(),
            envelope: seal(payload::MANIFEST, &canonical_json(&manifest)?, &key(Role::Writer)),
        }],
        checkpoints: vec![(
            key(Role::Writer).public().id(),
            "0-1".to_owned(),
            head.sign(&key(Role::Writer))?.into_bytes(),
        )],
        ..Bundle::default()
    };
    Ok(bundle.seal(&key(Role::Auditor))?)
}

fn judged(bundle: &[u8]) {
    assert!(!verify_bundle(bundle, None).valid, "valid without a root");
    let valid = verify_bundle(bundle, Some(&key(Role::Root).public())).valid;
    assert_eq!(valid, bundle == *SEALED);
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let one = |(number, member): (usize, Member<'_>)| [&[u8::try_from(number).unwrap()][..], member.bytes].concat();
    let members = tar::parse(&SEALED).unwrap().into_iter().enumerate();
    [SEALED.clone()].into_iter().chain(members.map(one)).collect()
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    if let Ok(members) = tar::parse(data) {
        assert_eq!(tar::encode(&members).unwrap(), data);
        judged(data);
    }
    if let Some(turned) = turn_a_bit(&SEALED, data) {
        judged(&turned);
    }
    // One member replaced, or one more, in a tar that is right: only what is inside can give it away.
    let Some((number, bytes)) = data.split_first() else {
        return;
    };
    let mut members = tar::parse(&SEALED).unwrap();
    match members.get_mut(usize::from(*number)) {
        Some(member) => member.bytes = bytes,
        None => members.push(Member {
            name: format!("z{number}"),
            bytes,
        }),
    }
    judged(&tar::encode(&members).unwrap());
}
