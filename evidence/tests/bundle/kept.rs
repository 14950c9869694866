//! Bundles held against log heads that somebody kept: what left the logs since, or stands in another order, is found.

use muster_evidence::{Kept, verify_bundle_against};

use super::*;

/// The bundle after the writer's log became this, with the entry of the manifest at `place`.
fn with_log(entries: &[Vec<u8>], place: u64) -> Vec<u8> {
    let mut bundle = bundle();
    let writer = key(Role::Writer).public().id();
    let grown = log(entries, &[place]);
    bundle.checkpoints[0].2 = head(Role::Writer, &grown.leaves);
    bundle.logs.insert((writer, INCARNATION.to_owned()), grown);
    bundle.seal(&key(Role::Auditor)).unwrap()
}

fn pin(entries: &[Vec<u8>]) -> Vec<u8> {
    head(Role::Writer, &log(entries, &[]).leaves)
}

fn against(bundle: &[u8], pins: Option<&[u8]>, previous: Option<&[u8]>) -> Verification {
    verify_bundle_against(bundle, Some(&root()), Kept { pins, previous })
}

#[track_caller]
fn refused_by(found: &Verification, check: &str, reason: &str) {
    let failed: Vec<_> = found.checks.iter().filter(|check| !check.passed).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(
        failed[0].name == check && failed[0].detail.contains(reason),
        "{failed:?}"
    );
    assert_eq!((found.failure, found.removal), (Some(Failure::Wrong), "self-asserted"));
}

fn more() -> Vec<Vec<u8>> {
    [written(), vec![b"seven".to_vec(), b"eight".to_vec()]].concat()
}

#[test]
fn a_log_that_only_grew_is_proven_against_each_of_its_older_heads() {
    let later = with_log(&more(), 3);
    for size in 1..=more().len() {
        let found = against(&later, Some(&pin(&more()[..size])), None);
        assert!(found.valid, "{:?}", found.checks);
        assert_eq!(found.removal, "proven-against-pin");
        assert!(
            !found
                .not_shown
                .iter()
                .any(|line| line.contains("before this bundle was made"))
        );
    }
    let found = against(&later, None, Some(&sealed()));
    assert_eq!((found.valid, found.removal), (true, "proven-against-pin"));
    assert_eq!(against(&later, None, None).removal, "self-asserted");
}

#[test]
fn deletion_reordering_rollback_and_forks_are_found() {
    let kept = pin(&more());
    let mut swapped = more();
    swapped.swap(4, 5);
    refused_by(
        &against(&with_log(&swapped, 3), Some(&kept), None),
        "pin",
        "another order",
    );
    let mut deleted = more();
    deleted.remove(5);
    deleted.push(b"nine".to_vec());
    refused_by(&against(&with_log(&deleted, 3), Some(&kept), None), "pin", "removed");
    let mut forked = more();
    forked[8] = b"another eighth".to_vec();
    forked.push(b"nine".to_vec());
    refused_by(&against(&with_log(&forked, 3), Some(&kept), None), "pin", "changed");
    refused_by(&against(&sealed(), Some(&kept), None), "pin", "went back to 7 entries");
    let mut gone = bundle();
    gone.checkpoints.remove(0);
    gone.logs
        .remove(&(key(Role::Writer).public().id(), INCARNATION.to_owned()));
    gone.manifests.clear();
    gone.audit.stores[0].newest = None;
    let gone = gone.seal(&key(Role::Auditor)).unwrap();
    refused_by(&against(&gone, Some(&kept), None), "pin", "is gone");
    refused_by(
        &against(&sealed(), None, Some(&with_log(&more(), 3))),
        "previous",
        "went back",
    );
}

#[test]
fn a_pin_or_an_earlier_bundle_that_is_none_is_refused() {
    refused_by(
        &against(&sealed(), Some(b"hello"), None),
        "pin",
        "not a file of signed checkpoints",
    );
    let strangers = Checkpoint {
        origin: format!("muster/{REPOSITORY}/{INCARNATION}"),
        size: 1,
        root: Digest::of(b""),
    };
    let strangers = strangers.sign(&SecretKey::generate([99; 32])).unwrap();
    refused_by(
        &against(&sealed(), Some(strangers.as_bytes()), None),
        "pin",
        "does not list",
    );
    let mut damaged = sealed();
    let at = damaged.len() / 2;
    damaged[at] ^= 1;
    refused_by(&against(&sealed(), None, Some(&damaged)), "previous", "not valid");
}

#[test]
fn a_manifest_or_scorecard_that_stands_in_no_log_is_refused() {
    let without = |role: Role| {
        let mut bundle = bundle();
        let log = bundle
            .logs
            .get_mut(&(key(role).public().id(), INCARNATION.to_owned()))
            .unwrap();
        log.entries.clear();
        match bundle.seal(&key(Role::Auditor)) {
            Err(BundleError::Invalid { check, .. }) => assert_eq!(check, "inclusion"),
            other => panic!("{other:?}"),
        }
    };
    without(Role::Writer);
    without(Role::Rehearser);
}

#[test]
fn leaves_and_entries_that_are_not_the_logs_are_refused() {
    let writer = key(Role::Writer).public().id();
    let with = |name: &str, bytes: Option<&[u8]>| {
        let mut members = members(&sealed());
        match bytes {
            Some(bytes) => members.insert(name.to_owned(), bytes.to_vec()),
            None => members.remove(name),
        };
        refused(&resigned(members, &key(Role::Auditor), |_| ()), "logs")
    };
    let leaves = format!("ledger/{writer}/{INCARNATION}.leaves");
    let sealed = members(&sealed());
    let cut = &sealed[&leaves][65..];
    for wrong in [cut, b"", b"no hash\n", &sealed[&leaves][1..]] {
        with(&leaves, Some(wrong));
    }
    with(&leaves, None);
    with(&format!("ledger/{writer}/{INCARNATION}/3.entry"), Some(b"other"));
    with(&format!("ledger/{writer}/{INCARNATION}/9.entry"), Some(b"other"));
    with(&format!("ledger/{writer}/{INCARNATION}/03.entry"), Some(&written()[3]));
    with(&format!("ledger/{writer}/0000000000000000-00000000.leaves"), Some(cut));
}
