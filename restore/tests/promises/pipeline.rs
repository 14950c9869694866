//! The pipeline of a restore, and that of a full read: all cores are busy, and memory stays bounded while more than that goes through.
//!
//! Invariant: what was read ahead is bounded, however fast the storage is and however slow whoever waits for it.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use muster_archive::object_store::LocalStore;
use muster_archive::tree::{Content, NodeKind, TreeEntry};
use muster_archive::{Manifest, VerifyDepth};
use muster_restore::Event;
use muster_signing::Verified;
use muster_testkit::memory::{forget_peak, peak};

use crate::bench::Bench;

/// Several times what a restore reads ahead, and what a full read holds.
const FILES: u8 = 56;
const FILE: usize = 8 << 20;

/// A snapshot of noise. What it took to write it is forgotten.
fn backup_noise(bench: &Bench, files: u8) -> Verified<Manifest> {
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
    let manifest = bench.commit("files", (0..files).map(file));
    forget_peak();
    manifest
}

#[test]
fn a_restore_into_a_slow_target_and_a_full_read_hold_a_bounded_part_of_what_they_read() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::over(Arc::new(LocalStore::new(folder.path()).unwrap()));
    let manifest = backup_noise(&bench, FILES);
    let slow = |event: Event| {
        if matches!(event, Event::Progress { .. }) {
            thread::sleep(Duration::from_millis(20));
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

#[test]
fn every_core_decodes_and_writes() {
    let bench = Bench::new();
    let manifest = backup_noise(&bench, 4);
    let cores = thread::available_parallelism().unwrap().get().min(8);
    let (met, all_there) = (Mutex::new(HashSet::<ThreadId>::new()), Condvar::new());
    // Whoever has written a part waits for the others.
    let meet = |event: Event| {
        if matches!(event, Event::Progress { .. }) {
            let mut threads = met.lock().unwrap();
            threads.insert(thread::current().id());
            all_there.notify_all();
            let missing = |threads: &mut HashSet<ThreadId>| threads.len() < cores;
            let _ = all_there.wait_timeout_while(threads, Duration::from_secs(5), missing);
        }
    };
    let session = bench.session(&meet);
    let plan = muster_restore::plan(&session, &manifest, &Default::default()).unwrap();
    muster_restore::execute(&session, &plan, &bench.path("back")).unwrap();
    assert_eq!(met.lock().unwrap().len(), cores);
}
