//! Memory stays within bounds while more than that goes through it: by a restore whose target is slow, and by a full read.
//!
//! Invariant: what was read ahead is bounded, however fast the storage is and however slow whoever waits for it.

use std::sync::Arc;
use std::time::Duration;

use muster_archive::object_store::LocalStore;
use muster_archive::tree::{Content, NodeKind, TreeEntry};
use muster_archive::{Manifest, VerifyDepth};
use muster_restore::Event;
use muster_signing::Verified;
use muster_testkit::memory::{forget_peak, peak};

use crate::bench::Bench;

/// Several times what a restore reads ahead, and what a full read holds.
const FILES: u8 = 80;
const FILE: usize = 8 << 20;

/// A snapshot of noise. What it took to write it is forgotten.
fn backup_noise(bench: &Bench) -> Verified<Manifest> {
    let file = |number: u8| {
        let kind = NodeKind::File {
            sparse: false,
            size: 0,
            digest: [0; 32],
            content: Content::Inline(Vec::new()),
        };
        let entry = TreeEntry {
            kind,
            ..TreeEntry::directory(format!("{number:03}"))
        };
        let mut bytes = vec![0; FILE];
        blake3::Hasher::new().update(&[number]).finalize_xof().fill(&mut bytes);
        (entry, bytes)
    };
    let manifest = bench.commit("files", (0..FILES).map(file));
    forget_peak();
    manifest
}

#[test]
fn a_restore_into_a_slow_target_and_a_full_read_hold_a_bounded_part_of_what_they_read() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::over(Arc::new(LocalStore::new(folder.path()).unwrap()));
    let manifest = backup_noise(&bench);
    let slow = |event: Event| {
        if matches!(event, Event::Progress { .. }) {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let session = bench.session(&slow);
    let plan = muster_restore::plan(&session, &manifest, &Default::default()).unwrap();
    let report = muster_restore::execute(&session, &plan, &bench.path("back")).unwrap();
    assert!(report.lost.is_empty(), "{:?}", report.lost);
    assert!(report.fetched_bytes >= u64::from(FILES) * FILE as u64);
    let restored = peak();
    assert!(restored < 256, "a restore took {restored} MiB");

    let verification = bench.repository.verify(None, VerifyDepth::ReadData, &|_| {});
    let found = bench.runtime.block_on(verification).unwrap();
    assert!(found.damaged.is_empty(), "{:?}", found.damaged);
    let verified = peak();
    eprintln!("restored within {restored} MiB, read within {verified} MiB");
    assert!(verified < 256, "a full read took {verified} MiB");
}
