//! Logs: tiles, entry bundles, entries and files of pins. What is taken apart is what it would be written as; no root is made of a
//! tile of another width; nobody's head is a pin.
use crate::key;
use muster_archive::fuzzing::{bundle, edge_root, grown_root, split_bundle, split_tile, tile};
use muster_archive::ledger::Entry;
use muster_signing::{Checkpoint, Digest, KeyDocument, KeyEntry, Pin, Role, merkle};

const REPOSITORY: &str = "0123456789abcdef0123456789abcdef";

fn keys() -> KeyDocument {
    let writer = KeyEntry::new(Role::Writer, key(Role::Writer).public(), "w", "t");
    KeyDocument::first(REPOSITORY, "t", vec![writer])
}

fn head(role: Role) -> Vec<u8> {
    let checkpoint = Checkpoint {
        origin: format!("muster/{REPOSITORY}/fffffe6637d33ff7-c05f4b39"),
        size: 3,
        root: Digest::of(b"root"),
    };
    checkpoint.sign(&key(role)).unwrap().into_bytes()
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let last = r#"[{"index":2,"time":"t","type":"keys","epoch":1,"document":"sha256:00"}]"#;
    let entry =
        format!(r#"{{"schema":"muster.entry/1","time":"t","type":"stores","stores":{{"a":"files"}},"last":{last}}}"#);
    let behind = |first: u8, bytes: &[u8]| [&[first], bytes].concat();
    vec![
        behind(2, &[7; 64]),
        behind(255, &[9; 255 * 32]),
        behind(2, &bundle(&[entry.clone().into_bytes(), Vec::new()])),
        behind(0, entry.as_bytes()),
        behind(0, &[head(Role::Writer), b"\n".to_vec(), head(Role::Writer)].concat()),
        behind(0, &head(Role::Auditor)),
    ]
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let Some((width, bytes)) = data.split_first() else {
        return;
    };
    hashes(bytes, u64::from(*width));
    hashes(bytes, 256);
    if let Some(entry) = Entry::parse(bytes) {
        let again = serde_json::to_vec(&entry).unwrap();
        assert!(Entry::parse(&again).is_some());
    }
    if let Ok(pins) = Pin::open_all(bytes, &keys(), REPOSITORY) {
        assert!(pins.iter().all(|pin| pin.public == key(Role::Writer).public()));
    }
}

/// Takes the bytes as a tile and as a bundle of this width.
fn hashes(bytes: &[u8], width: u64) {
    if let Some(hashes) = split_tile(bytes, width) {
        assert_eq!(hashes.len() as u64, width);
        assert_eq!(tile(&hashes), bytes);
        let root = edge_root(hashes.clone(), width);
        assert_eq!(root, (1..256).contains(&width).then(|| merkle::root(&hashes)));
    }
    if let Some(entries) = split_bundle(bytes, width) {
        assert_eq!(entries.len() as u64, width);
        assert_eq!(bundle(&entries), bytes);
        let leaves: Vec<Digest> = entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
        assert_eq!(grown_root(&leaves), merkle::root(&leaves));
    }
}
