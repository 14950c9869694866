//! Seasons of bad weather: requests refused and answers lost, listings that lag, clocks that jump, hosts that die, are brought back from an
//! image or are replaced. Whatever said that it was done is there in the end, byte for byte.

use std::collections::BTreeSet;
use std::time::Duration;

use muster_signing::Digest;
use muster_testkit::sim::{Bucket, Fate, Sim, Weather};

use crate::world::{Host, NOW, RunEdge, World, chain, for_each, seeds};

/// Rounds that a season has.
const ROUNDS: u64 = 5;
/// So often a run is tried before the season is called one that nobody gets through.
const TRIES: u64 = 60;
/// Seconds by which clocks are wrong at most, in both directions: three days.
const SKEW: u64 = 3 * 86_400;

/// Numbers that a seed decides.
struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.thrown += 1;
        let digest = Digest::of(&[self.seed, self.thrown].map(u64::to_le_bytes).concat());
        let (first, _) = digest.as_bytes().split_first_chunk::<8>().unwrap();
        u64::from_le_bytes(*first) % sides
    }
}

struct Season<'a> {
    world: &'a World,
    sim: Sim,
    dice: Dice,
    words: String,
    runs: u64,
    /// Why the last run failed.
    failed: String,
}

impl Season<'_> {
    /// A run of its own clock and luck, on a process that dies, if it must.
    fn run<T>(
        &mut self,
        host: &Host,
        deed: impl FnOnce(
            &World,
            std::sync::Arc<dyn muster_archive::object_store::ObjectStore>,
            &Host,
            &std::sync::Arc<RunEdge>,
        ) -> Result<T, muster_archive::ArchiveError>,
    ) -> Option<T> {
        self.runs += 1;
        let process = self.sim.process(&format!("run {}", self.runs));
        if self.dice.throw(3) == 0 {
            let fate = [Fate::Before, Fate::After][usize::try_from(self.dice.throw(2)).unwrap()];
            process.dies_at(1 + self.dice.throw(40), fate, || {});
        }
        let edge = RunEdge::at(SKEW + self.runs * 600 + self.dice.throw(2 * SKEW), self.dice.seed);
        match deed(self.world, process.store(), host, &edge) {
            Ok(done) => Some(done),
            Err(error) => {
                assert!(
                    !error.is_damage(),
                    "{}, run {}: {}",
                    self.words,
                    self.runs,
                    chain(&error)
                );
                self.failed = format!("after {} calls: {}", process.calls(), chain(&error));
                None
            }
        }
    }

    /// The host of the next run: the same, one from an image, or another.
    fn host(&mut self, host: Host, image: &Host) -> Host {
        match self.dice.throw(6) {
            0 => Host::fresh(),
            1 => image.image(),
            _ => host,
        }
    }
}

fn season(world: &World, seed: u64, weather: Weather) {
    let sim = Sim::new(seed, Bucket::PLAIN, NOW);
    sim.weather(weather);
    let mut season = Season {
        world,
        sim,
        dice: Dice { seed, thrown: 0 },
        words: format!("seed {seed}, {weather:?}"),
        runs: 0,
        failed: String::new(),
    };
    let mut host = Host::fresh();
    let made = (0..TRIES).any(|_| {
        season
            .run(&host, |world, store, host, edge| world.init(store, host, edge, 1))
            .is_some()
    });
    assert!(made, "{}: never made: {}", season.words, season.failed);
    let (mut image, mut said) = (host.image(), BTreeSet::new());
    for round in 0..ROUNDS {
        let done = (0..TRIES).find_map(|_| {
            let before = std::mem::replace(&mut host, Host::fresh());
            host = season.host(before, &image);
            season.run(&host, |world, store, host, edge| {
                world.backup(store, host, edge, (0, round))
            })
        });
        let report =
            done.unwrap_or_else(|| panic!("{}: round {round} never succeeded: {}", season.words, season.failed));
        said.insert(report.manifest.snapshot.clone());
        if season.dice.throw(2) == 0 {
            image = host.image();
        }
        let seen = world.see(&season.sim, &season.words);
        let rounds = seen.is_whole();
        assert_eq!(rounds.last(), Some(&round), "{}: {rounds:?}", season.words);
        assert_eq!(
            seen.latest().unwrap().snapshot,
            report.manifest.snapshot,
            "{}",
            season.words
        );
        let there: BTreeSet<String> = seen.points().into_iter().map(|point| point.snapshot).collect();
        assert!(there.is_superset(&said), "{}: {said:?} became {there:?}", season.words);
    }
    let seen = world.see(&season.sim, &season.words);
    for point in seen.points() {
        seen.restores(&point);
    }
}

fn seasons(encrypted: bool, count: u64, weather: Weather) {
    let world = World::new(encrypted);
    for_each(&seeds(count), |seed| season(&world, *seed, weather));
}

#[test]
fn refused_requests_lost_answers_deaths_and_wrong_clocks_lose_nothing() {
    let weather = Weather {
        throttled: 20,
        lost_answers: 20,
        broken_reads: 20,
        latency: Duration::from_micros(300),
        stale_lists: 0,
    };
    seasons(false, 24, weather);
}

#[test]
fn the_same_with_listings_that_lag() {
    let weather = Weather {
        throttled: 10,
        lost_answers: 10,
        stale_lists: 3,
        ..Weather::FAIR
    };
    seasons(false, 24, weather);
}

#[test]
fn the_same_with_encrypted_archives() {
    let weather = Weather {
        throttled: 10,
        lost_answers: 10,
        ..Weather::FAIR
    };
    seasons(true, 8, weather);
}
