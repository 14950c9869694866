//! Logs: tiles, entry bundles, entries and files of pins. What is taken apart is what it would be written as; no root is made of a
//! tile of another width; nobody's head is a pin.
//!
//! The archive's private module is compiled in by path.
#![no_main]
#![expect(
    dead_code,
    unreachable_pub,
    reason = "private parts of another crate, compiled in by path"
)]

#[path = "../../archive/src/ledger"]
mod ledger {
    mod tiles;

    use muster_signing::{Digest, merkle};

    /// Takes the bytes as a tile and as a bundle of this width.
    pub fn check(bytes: &[u8], width: u64) {
        if let Some(hashes) = tiles::split_tile(bytes, width) {
            assert_eq!(hashes.len() as u64, width);
            assert_eq!(tiles::join_tile(0, 0, &hashes).bytes, bytes);
            let edge = tiles::Edge::of(vec![hashes.clone()], width);
            assert_eq!(edge.is_some(), (1..256).contains(&width));
            if let Some(edge) = edge {
                assert_eq!(edge.root(), merkle::root(&hashes));
            }
        }
        if let Some(entries) = tiles::split_bundle(bytes, width) {
            assert_eq!(entries.len() as u64, width);
            assert_eq!(tiles::join_bundle(0, &entries).bytes, bytes);
            grow(&entries);
        }
    }

    /// An edge that grows entry by entry has the root of them all.
    fn grow(entries: &[Vec<u8>]) {
        let leaves: Vec<Digest> = entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
        let (mut edge, mut full) = (tiles::Edge::default(), Vec::new());
        for leaf in &leaves {
            edge.push(*leaf, &mut full);
        }
        assert_eq!(edge.root(), merkle::root(&leaves));
    }

    /// A bundle of these entries.
    pub fn bundle(entries: &[Vec<u8>]) -> Vec<u8> {
        tiles::join_bundle(0, entries).bytes
    }
}

use libfuzzer_sys::fuzz_target;
use muster_archive::ledger::Entry;
use muster_fuzz::key;
use muster_fuzz::seeds::plant;
use muster_signing::{Checkpoint, Digest, KeyDocument, KeyEntry, Pin, Role};

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

fn seeds() -> Vec<Vec<u8>> {
    let last = r#"[{"index":2,"time":"t","type":"keys","epoch":1,"document":"sha256:00"}]"#;
    let entry =
        format!(r#"{{"schema":"muster.entry/1","time":"t","type":"stores","stores":{{"a":"files"}},"last":{last}}}"#);
    let behind = |first: u8, bytes: &[u8]| [&[first], bytes].concat();
    vec![
        behind(2, &[7; 64]),
        behind(255, &[9; 255 * 32]),
        behind(2, &ledger::bundle(&[entry.clone().into_bytes(), Vec::new()])),
        behind(0, entry.as_bytes()),
        behind(0, &[head(Role::Writer), b"\n".to_vec(), head(Role::Writer)].concat()),
        behind(0, &head(Role::Auditor)),
    ]
}

fuzz_target!(init: plant("log", &seeds()), |data: &[u8]| {
    let Some((width, bytes)) = data.split_first() else { return };
    ledger::check(bytes, u64::from(*width));
    ledger::check(bytes, 256);
    if let Some(entry) = Entry::parse(bytes) {
        let again = serde_json::to_vec(&entry).unwrap();
        assert!(Entry::parse(&again).is_some());
    }
    if let Ok(pins) = Pin::open_all(bytes, &keys(), REPOSITORY) {
        assert!(pins.iter().all(|pin| pin.public == key(Role::Writer).public()));
    }
});
