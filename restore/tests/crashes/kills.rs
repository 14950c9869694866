//! A process that is killed at every single call it makes, in each way that a call can be cut off: what was logged before is there and whole,
//! and the next run succeeds, whatever that host still has on its disk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use muster_archive::ArchiveError;
use muster_archive::object_store::ObjectStore;
use muster_testkit::sim::{Bucket, Fate, Sim};

use crate::world::{Host, NOW, RunEdge, Seen, World, chain, for_each};

const FATES: [Fate; 3] = [Fate::Before, Fate::After, Fate::Torn];
/// When the run that dies begins, and when the next one does.
const DIES: u64 = 1000;
const AGAIN: u64 = 2000;

/// What the host of the next run has on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    /// What the dead one left there.
    Kept,
    /// What was there before it began: it was brought back from an image.
    Image,
    /// Nothing: another machine.
    Fresh,
}

/// A bucket and the disk of the host that wrote it.
struct Base {
    world: World,
    sim: Sim,
    host: Host,
}

impl Base {
    /// A repository that has these rounds already.
    fn with(encrypted: bool, rounds: std::ops::Range<u64>) -> Self {
        let base = Self {
            world: World::new(encrypted),
            sim: Sim::new(1, Bucket::PLAIN, NOW),
            host: Host::fresh(),
        };
        let init = base.world.init(base.sim.store(), &base.host, &RunEdge::at(0, 0), 1);
        init.unwrap();
        for round in rounds {
            let edge = RunEdge::at(100 + round, 0);
            base.world
                .backup(base.sim.store(), &base.host, &edge, (0, round))
                .unwrap();
        }
        base
    }
}

/// A run, on this disk, by this clock.
type Deed<'a> = &'a (dyn Fn(Arc<dyn ObjectStore>, &Host, &Arc<RunEdge>) -> Result<(), ArchiveError> + Sync);

/// What a killed run left, and what must be so of it.
struct Left<'a> {
    base: &'a Base,
    sim: Sim,
    host: Host,
    words: String,
}

/// Kills `deed` at every call in every way, looks at what is left, runs it again on every disk, and looks again.
fn kill_everywhere(base: &Base, deed: Deed<'_>, left: &(dyn Fn(&Left<'_>) + Sync), after: &(dyn Fn(&Left<'_>) + Sync)) {
    let calls = {
        let (sim, host) = (base.sim.fork(), base.host.image());
        let process = sim.process("unharmed");
        deed(process.store(), &host, &RunEdge::at(DIES, 1)).unwrap();
        process.calls()
    };
    let cases: Vec<(u64, Fate)> = (1..=calls).flat_map(|call| FATES.map(|fate| (call, fate))).collect();
    let died = AtomicU64::new(0);
    for_each(&cases, |case| {
        died.fetch_add(u64::from(kill(base, deed, *case, left, after)), Ordering::Relaxed);
    });
    assert!(
        died.into_inner() >= calls * 2,
        "{calls} calls, and fewer deaths than two at each"
    );
}

/// Says whether the case was one: it is none where a call that is no write would be torn.
fn kill(
    base: &Base,
    deed: Deed<'_>,
    (call, fate): (u64, Fate),
    left: &(dyn Fn(&Left<'_>) + Sync),
    after: &(dyn Fn(&Left<'_>) + Sync),
) -> bool {
    let (sim, host, disk) = (base.sim.fork(), base.host.image(), Host::fresh());
    let process = sim.process("victim");
    let (from, to) = (host.path(), Arc::new(disk));
    let kept = Arc::clone(&to);
    process.dies_at(call, fate, move || kept.take_image_of(&from));
    let outcome = deed(process.store(), &host, &RunEdge::at(DIES, 1));
    let Some(died) = process.died_at() else {
        return false;
    };
    if fate == Fate::Torn && !died.contains(", put ") {
        return false;
    }
    if let Err(error) = &outcome {
        assert!(
            !error.is_damage(),
            "{died}: a dead process calls it damage: {}",
            chain(error)
        );
    }
    drop(process);
    let seen = Left {
        base,
        sim: sim.fork(),
        host: to.image(),
        words: format!("killed at {died}"),
    };
    let torn = died.split([' ', ',']).find(|word| replaced_at_once(word));
    if let Some(torn) = torn.filter(|torn| fate == Fate::Torn && sim.read(torn) != base.sim.read(torn)) {
        seen.names(torn);
        return true;
    }
    left(&seen);
    for disk in [Disk::Kept, Disk::Image, Disk::Fresh] {
        let again = Left {
            base,
            sim: sim.fork(),
            host: match disk {
                Disk::Kept => to.image(),
                Disk::Image => base.host.image(),
                Disk::Fresh => Host::fresh(),
            },
            words: format!("killed at {died}, run again with its disk {disk:?}"),
        };
        let outcome = deed(again.sim.process("next").store(), &again.host, &RunEdge::at(AGAIN, 2));
        outcome.unwrap_or_else(|error| panic!("{}: {}", again.words, chain(&error)));
        after(&again);
    }
    true
}

/// The objects that a place must put whole or not at all, as a rename and an S3 server do.
fn replaced_at_once(key: &str) -> bool {
    key == "muster.dsse" || key.starts_with("keys/") || key.ends_with("/checkpoint")
}

impl Left<'_> {
    /// Where a place tore what it must not tear, nobody believes it, and the object is named.
    fn names(&self, torn: &str) {
        let stranger = Host::fresh();
        let outcome = self.base.world.open(self.sim.store(), &stranger);
        let outcome = outcome.and_then(|repository| self.base.world.runtime.block_on(repository.check_ledger()));
        let told = match outcome {
            Ok(checked) => checked.damaged.iter().map(|error| chain(error)).collect(),
            Err(error) => chain(&error),
        };
        let named = match torn {
            "muster.dsse" => "descriptor",
            torn if torn.starts_with("keys/") => "key document of epoch 1",
            torn => torn,
        };
        assert!(told.contains(named), "{}: {told}", self.words);
    }

    fn see(&self) -> Seen<'_> {
        self.base.world.see(&self.sim, &self.words)
    }

    /// Whoever saw the log before the crash still believes what is there now.
    fn grew_out_of_what_was_there(&self) {
        for host in [&self.host, &self.base.host] {
            let image = host.image();
            let opened = self.base.world.open(self.sim.store(), &image);
            let latest = opened.and_then(|repository| self.base.world.runtime.block_on(repository.latest()));
            latest.unwrap_or_else(|error| panic!("{}: {}", self.words, chain(&error)));
        }
    }

    fn bytes_of(&self, prefix: &str) -> usize {
        let all = self.sim.all();
        all.iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(_, body)| body.len())
            .sum()
    }
}

/// Kills the backup of `round` and asks for everything that the module promises.
fn kill_a_backup(base: &Base, round: u64) {
    let before: Vec<u64> = (0..round).collect();
    let ids: BTreeSet<String> = {
        let seen = base.world.see(&base.sim, "before");
        assert_eq!(seen.is_whole(), before);
        seen.points().into_iter().map(|point| point.snapshot).collect()
    };
    let deed = |store: Arc<dyn ObjectStore>, host: &Host, edge: &Arc<RunEdge>| {
        base.world.backup(store, host, edge, (0, round)).map(|_| ())
    };
    let whole = {
        let (sim, host) = (base.sim.fork(), base.host.image());
        deed(sim.store(), &host, &RunEdge::at(DIES, 1)).unwrap();
        let whole = sim.all().into_iter().filter(|(key, _)| key.starts_with("packs/"));
        whole.map(|(_, body)| body.len()).sum::<usize>()
    };
    let nothing_is_lost = |left: &Left<'_>| -> Vec<u64> {
        let seen = left.see();
        let rounds = seen.is_whole();
        assert_eq!(rounds[..before.len()], before, "{}", left.words);
        let now: BTreeSet<String> = seen.points().into_iter().map(|point| point.snapshot).collect();
        assert!(now.is_superset(&ids), "{}: {ids:?} became {now:?}", left.words);
        left.grew_out_of_what_was_there();
        rounds
    };
    kill_everywhere(
        base,
        &deed,
        &|left| {
            let rounds = nothing_is_lost(left);
            assert!(rounds.len() <= before.len() + 1, "{}: {rounds:?}", left.words);
            let seen = left.see();
            for point in seen.points() {
                seen.restores(&point);
            }
        },
        &|left| {
            let rounds = nothing_is_lost(left);
            // The killed run's snapshot is there too, where it came to its manifest.
            let new = &rounds[before.len()..];
            assert!(
                (1..=2).contains(&new.len()) && new.iter().all(|new| *new == round),
                "{}: {rounds:?}",
                left.words
            );
            let seen = left.see();
            // A torn manifest is nobody's.
            let unlogged = seen.ledger().unlogged;
            assert!(
                unlogged.is_empty() || left.words.contains("Torn"),
                "{}: {unlogged:?}",
                left.words
            );
            let latest = seen.latest().unwrap();
            assert_eq!(seen.restores(&latest), round);
            // What was put and noted before is used again: a run that went that far leaves no second copy.
            let late = ["lists/", "snapshots/", "ledger/"];
            if left.words.contains("disk Kept") && late.iter().any(|late| left.words.contains(&format!("put {late}"))) {
                assert_eq!(left.bytes_of("packs/"), whole, "{}: stored again", left.words);
            }
        },
    );
}

#[test]
fn the_first_backup_may_be_killed_at_any_call() {
    kill_a_backup(&Base::with(false, 0..0), 0);
}

#[test]
fn a_backup_of_changed_pages_may_be_killed_at_any_call() {
    kill_a_backup(&Base::with(false, 0..2), 2);
}

#[test]
fn an_encrypted_backup_may_be_killed_at_any_call() {
    kill_a_backup(&Base::with(true, 0..2), 2);
}

#[test]
fn init_may_be_killed_at_any_call() {
    let base = Base {
        world: World::new(false),
        sim: Sim::new(1, Bucket::PLAIN, NOW),
        host: Host::fresh(),
    };
    let world = &base.world;
    kill_everywhere(
        &base,
        &|store, host, edge| world.init(store, host, edge, 1).map(|_| ()),
        &|_| {},
        &|left| {
            let probes: Vec<String> = left.sim.all().into_keys().collect();
            assert!(
                probes.iter().filter(|key| key.starts_with("keys/")).count() == 1,
                "{}: {probes:?}",
                left.words
            );
            let edge = RunEdge::at(AGAIN + 100, 3);
            let backup = world.backup(left.sim.store(), &left.host, &edge, (0, 0));
            backup.unwrap_or_else(|error| panic!("{}: {}", left.words, chain(&error)));
            assert_eq!(left.see().is_whole(), [0]);
        },
    );
}

#[test]
fn logging_a_rehearsal_may_be_killed_at_any_call() {
    let base = Base::with(false, 0..1);
    let world = &base.world;
    world
        .log_rehearsal(
            base.sim.store(),
            &base.host,
            &RunEdge::at(200, 0),
            "01K00000000000000000000010",
        )
        .unwrap();
    kill_everywhere(
        &base,
        &|store, host, edge| {
            // Each run has an id of its own.
            let rehearsal = if edge.was_begun_at(DIES) {
                "01K00000000000000000000020"
            } else {
                "01K00000000000000000000030"
            };
            world.log_rehearsal(store, host, edge, rehearsal)
        },
        &|left| {
            let newest = left.see().rehearsal().unwrap();
            assert!(
                newest.ends_with("10") || newest.ends_with("20"),
                "{}: {newest}",
                left.words
            );
            left.see().ledger();
        },
        &|left| {
            let seen = left.see();
            assert_eq!(
                seen.rehearsal().unwrap(),
                "01K00000000000000000000030",
                "{}",
                left.words
            );
            let (rehearsals, unlogged) = (seen.ledger().rehearsals, seen.ledger().unlogged);
            assert!((2..=3).contains(&rehearsals), "{}: {rehearsals}", left.words);
            assert!(unlogged.len() <= 1, "{}: {unlogged:?}", left.words);
            assert_eq!(seen.is_whole(), [0]);
            left.grew_out_of_what_was_there();
        },
    );
}
