//! Writers that run at once, in an order of calls that a seed decides, one of them held still in the worst place: all their snapshots come
//! back, each log is one line, and everybody agrees on what is newest.

use std::collections::BTreeSet;

use muster_testkit::sim::{Bucket, Deed, Held, Moment, Sim, crowd};

use crate::world::{Host, NOW, RunEdge, World, chain, for_each, seeds};

/// Who a racing writer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Racer {
    /// The host that wrote what is there.
    Home,
    /// A machine with the same disk image and the same key.
    Clone,
    /// A machine with the same key that knows nothing.
    Stranger,
    /// A host with a key of its own, which never wrote.
    Other(u8),
}

/// Where a writer is held still until all others are done.
const MOMENTS: [Option<Moment>; 6] = [
    None,
    Some(Moment::Before("put packs/")),
    Some(Moment::After("put packs/")),
    Some(Moment::Before("put snapshots/")),
    Some(Moment::After("put snapshots/")),
    Some(Moment::After("/tile/entries/")),
];

struct Race<'a> {
    world: &'a World,
    sim: &'a Sim,
    home: &'a Host,
    racers: &'a [Racer],
}

/// A repository with a snapshot, and the host that wrote it.
fn begun(world: &World, bucket: Bucket) -> (Sim, Host) {
    let (sim, home) = (Sim::new(1, bucket, NOW), Host::fresh());
    world.init(sim.store(), &home, &RunEdge::at(0, 0), 5).unwrap();
    world.backup(sim.store(), &home, &RunEdge::at(100, 0), (0, 0)).unwrap();
    (sim, home)
}

impl Race<'_> {
    /// Each backs up a round of its own. `held` is held still, if at all.
    fn run(&self, seed: u64, held: Option<Held>) {
        let words = format!("seed {seed}, {:?}, {held:?}", self.racers);
        let sim = self.sim.fork_with(seed);
        let hosts: Vec<Host> = self
            .racers
            .iter()
            .map(|racer| match racer {
                Racer::Home | Racer::Clone => self.home.image(),
                Racer::Stranger | Racer::Other(_) => Host::fresh(),
            })
            .collect();
        let processes: Vec<_> = (0..hosts.len()).map(|at| sim.process(&format!("racer {at}"))).collect();
        let deeds = (1u64..).zip(self.racers).zip(processes.iter().zip(&hosts));
        let clients = deeds.map(|((round, racer), (process, host))| {
            let deed: Deed<'_, _> = Box::new(move || {
                let writer = match racer {
                    Racer::Other(number) => *number,
                    _ => 0,
                };
                let edge = RunEdge::at(1000 + round, seed);
                self.world.backup(process.store(), host, &edge, (writer, round))
            });
            (process, deed)
        });
        let mut committed = BTreeSet::new();
        for outcome in crowd(seed, held, clients.collect()) {
            let report = outcome.unwrap_or_else(|error| panic!("{words}: {}", chain(&error)));
            committed.insert(report.manifest.snapshot);
        }
        let seen = self.world.see(&sim, &words);
        let mut rounds = seen.is_whole();
        rounds.sort_unstable();
        let expected: Vec<u64> = (0..=self.racers.len() as u64).collect();
        assert_eq!(rounds, expected, "{words}");
        let points = seen.points();
        let now: BTreeSet<String> = points.iter().map(|point| point.snapshot.clone()).collect();
        assert!(now.is_superset(&committed), "{words}");
        assert!(seen.ledger().unlogged.is_empty(), "{words}");
        for point in &points {
            seen.restores(point);
        }
        // Nobody who raced finds another history than the one that it saw.
        for host in hosts.iter().chain([&self.home.image()]) {
            let opened = self.world.open(sim.store(), host);
            let latest = opened.and_then(|repository| self.world.runtime.block_on(repository.latest()));
            let latest = latest.unwrap_or_else(|error| panic!("{words}: {}", chain(&error)));
            assert_eq!(latest.get(crate::world::STORE), seen.latest().as_ref(), "{words}");
        }
    }
}

fn race(bucket: Bucket, crowds: &[&[Racer]], seed_count: u64) {
    let world = World::new(false);
    let (sim, home) = begun(&world, bucket);
    let mut cases = Vec::new();
    for seed in seeds(seed_count) {
        for racers in crowds {
            let moment = MOMENTS[usize::try_from(seed).unwrap() % MOMENTS.len()];
            cases.push((seed, *racers, moment));
        }
    }
    for_each(&cases, |(seed, racers, moment)| {
        let race = Race {
            world: &world,
            sim: &sim,
            home: &home,
            racers,
        };
        let client = usize::try_from(*seed).unwrap() / MOMENTS.len() % racers.len();
        race.run(*seed, moment.map(|from| Held { client, from }));
    });
}

#[test]
fn two_writers_at_once_lose_nothing_whoever_they_are_and_wherever_one_stalls() {
    use Racer::{Clone, Home, Other, Stranger};
    let pairs: [&[Racer]; 4] = [
        &[Home, Other(1)],
        &[Home, Clone],
        &[Home, Stranger],
        &[Other(1), Other(2)],
    ];
    race(Bucket::PLAIN, &pairs, 12);
}

#[test]
fn eight_writers_at_once_lose_nothing_wherever_one_stalls() {
    use Racer::{Clone, Home, Other, Stranger};
    let all: &[Racer] = &[Home, Clone, Stranger, Other(1), Other(1), Other(2), Other(3), Other(4)];
    race(Bucket::PLAIN, &[all], 6);
}

#[test]
fn without_conditional_creates_writers_of_different_keys_and_new_hosts_lose_nothing() {
    use Racer::{Home, Other, Stranger};
    let bucket = Bucket {
        conditional: false,
        ..Bucket::PLAIN
    };
    race(
        bucket,
        &[
            &[Home, Other(1)],
            &[Home, Stranger],
            &[Home, Stranger, Other(1), Other(2)],
        ],
        6,
    );
}

#[test]
fn a_recipient_who_is_let_in_during_a_backup_reads_what_is_backed_up_next() {
    let world = World::new(true);
    let (sim, home) = begun(&world, Bucket::PLAIN);
    let moments = [
        None,
        Some(Moment::After("put runs/")),
        Some(Moment::Before("put snapshots/")),
    ];
    for_each(&seeds(9), |seed| {
        let held = moments[usize::try_from(*seed).unwrap() % 3].map(|from| Held { client: 0, from });
        let words = format!("seed {seed}, {held:?}");
        let (sim, host, admin) = (sim.fork_with(*seed), home.image(), Host::fresh());
        let (writer, root) = (sim.process("writer"), sim.process("root"));
        let backup: Deed<'_, _> = Box::new(|| {
            let edge = RunEdge::at(1000, *seed);
            world.backup(writer.store(), &host, &edge, (0, 1)).map(|_| ())
        });
        let rotate: Deed<'_, _> = Box::new(|| world.rotate(root.store(), &admin, &RunEdge::at(1001, *seed)));
        for outcome in crowd(*seed, held, vec![(&writer, backup), (&root, rotate)]) {
            outcome.unwrap_or_else(|error| panic!("{words}: {}", chain(&error)));
        }
        world
            .backup(sim.store(), &host, &RunEdge::at(2000, *seed), (0, 2))
            .unwrap();
        let seen = world.see(&sim, &words);
        assert_eq!(seen.is_whole(), [0, 1, 2], "{words}");
        for point in seen.points() {
            seen.restores(&point);
        }
        let newcomer = world.see_as(1, &sim, &words);
        assert_eq!(newcomer.restores(&newcomer.latest().unwrap()), 2, "{words}");
    });
}
