//! What it takes to open a repository, find a point in it and restore it does not grow with the number of snapshots that its log names.
//!
//! The one difference that is allowed: each 256-fold length adds a level of tiles, and each level may cost a request where a head is
//! opened, and one where something is looked up behind it.

use std::fs;

use muster_archive::Repository;
use muster_archive::ledger::{self, LogEvent, Place};
use muster_signing::Digest;
use muster_testkit::recording::Call;

use crate::bench::{Bench, nothing};

/// A repository whose first and last snapshots are real, with so many in between that are only logged, of twenty other stores.
struct Grown {
    bench: Bench,
    first: String,
    last: String,
}

fn grown(snapshots: usize) -> Grown {
    let bench = Bench::new();
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("one"), "the first").unwrap();
    let first = bench.backup_files(&tree).snapshot.clone();
    log_others(&bench, 0..snapshots - 2);
    fs::write(tree.join("one"), "the last").unwrap();
    let last = bench.backup_files(&tree).snapshot.clone();
    Grown { bench, first, last }
}

fn log_others(bench: &Bench, numbers: std::ops::Range<usize>) {
    let event = |number: usize| LogEvent::Snapshot {
        store: format!("other-{}", number % 20),
        snapshot: format!("01K{number:023}"),
        sequence: number as u64,
        manifest: Digest::of(&number.to_le_bytes()),
    };
    let events: Vec<LogEvent> = numbers.map(event).collect();
    let cited = [bench.writer().public()];
    let place = Place {
        store: &bench.objects,
        repository: bench.repository.id(),
        state: bench.repository.state(),
        conditional_create: bench.repository.conditional_create(),
        cited: &cited,
    };
    let appended = ledger::append(&place, bench.writer(), None, &events, &*bench.edge);
    bench.runtime.block_on(appended).unwrap();
}

/// Requests by kind: those for listings and those for objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Requests {
    lists: usize,
    others: usize,
}

/// Opens it as a host that has `state`, and restores what is asked for.
fn restore(grown: &Grown, wanted: Option<&str>, state: &str, to: &str, expected: &str) -> Requests {
    let bench = &grown.bench;
    bench.notes.clear();
    let root = bench.repository.root();
    let objects = std::sync::Arc::clone(bench.repository.objects());
    let opened = bench
        .runtime
        .block_on(Repository::open(objects, Some(&root), &bench.path(state)))
        .unwrap();
    let point = bench.runtime.block_on(opened.point("store", wanted)).unwrap();
    let (manifest, _) = bench.runtime.block_on(opened.manifest(&point)).unwrap();
    let session = muster_restore::Session {
        repository: &opened,
        ..bench.session(&nothing)
    };
    let plan = muster_restore::plan(&session, &manifest, &Default::default()).unwrap();
    let report = muster_restore::execute(&session, &plan, &bench.path(to)).unwrap();
    assert!(report.lost.is_empty());
    assert_eq!(fs::read_to_string(bench.path(to).join("one")).unwrap(), expected);
    let lists = bench.notes.count(Call::List, "");
    Requests {
        lists,
        others: bench.notes.all().len() - lists,
    }
}

#[test]
fn restoring_from_a_hundred_thousand_snapshots_takes_the_requests_of_a_thousand() {
    let (small, large) = (grown(1_000), grown(100_000));
    // 1,000 entries have two levels of tiles, 100,000 have three.
    let levels = 1;
    let newest = |grown: &Grown| restore(grown, None, "stranger", "newest", "the last");
    let (few, many) = (newest(&small), newest(&large));
    assert_eq!(few.lists, many.lists);
    assert!(many.others <= few.others + levels, "{few:?} {many:?}");
    assert!(many.lists <= 4 && many.others <= 20, "{many:?}");

    for text in ["the first", "the last"] {
        let by_id = |grown: &Grown| {
            let id = if text == "the first" { &grown.first } else { &grown.last };
            restore(grown, Some(id), "stranger", &format!("by id, {text}"), text)
        };
        let (few, many) = (by_id(&small), by_id(&large));
        assert_eq!(few.lists, many.lists);
        assert!(many.others <= few.others + 2 * levels, "{few:?} {many:?}");
    }
}

#[test]
fn a_host_that_saw_a_short_log_is_shown_that_the_long_one_grew_out_of_it_in_a_few_requests() {
    let grown = grown(1_000);
    let before = restore(&grown, None, "remembers", "before", "the last");
    log_others(&grown.bench, 1_000..70_000);
    let after = restore(&grown, None, "remembers", "after", "the last");
    let again = restore(&grown, None, "remembers", "again", "the last");
    assert_eq!((before.lists, after.lists), (before.lists, before.lists));
    // One tile of each level of the longer log, at most, and the level that the head itself gained.
    assert!(after.others <= before.others + 3 + 1, "{before:?} {after:?}");
    assert!(again.others <= before.others + 1, "{before:?} {again:?}");
}

#[test]
fn a_backup_onto_a_long_log_takes_the_requests_of_one_onto_a_short_one() {
    let requests = |snapshots: usize| {
        let grown = grown(snapshots);
        fs::write(grown.bench.path("tree").join("one"), "one more").unwrap();
        grown.bench.notes.clear();
        grown.bench.backup_files(&grown.bench.path("tree"));
        grown.bench.notes.all().len()
    };
    let (few, many) = (requests(1_000), requests(100_000));
    // The head is read a few times in a run: for its parent, for what was not logged, and before it commits.
    assert!(many <= few + 8, "{few} {many}");
}
