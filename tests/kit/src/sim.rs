//! A simulated object store: versions and delete markers, locks, a clock of its own, weather by a seed, and processes that die.
//!
//! The server is one value in memory; each [`Process`] is one client of it with its own life and its own luck. What the seed decides depends
//! on who asks for what the how-many-eth time, not on which thread is faster, so that a failure comes again with its seed. [`race`] and
//! [`crowd`] go further: the seed decides the order of every single call of clients that run at once.

mod crowd;
mod process;
mod race;
mod versions;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use muster_archive::object_store::ObjectStore;

pub use crowd::{Deed, Held, Moment, crowd};
pub use process::{Fate, Process};
pub use race::{Run, Stall, race};
use versions::Objects;

/// What the network and the server do to calls, each as so many of a thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    /// Calls that are answered with "slow down" (503) and not carried out.
    pub throttled: u32,
    /// Writes that are carried out and whose answer is lost.
    pub lost_answers: u32,
    /// Reads whose answer breaks off.
    pub broken_reads: u32,
    /// A call takes at most so long.
    pub latency: Duration,
    /// A listing shows a change only when so many later changes were made.
    pub stale_lists: u64,
}

impl Weather {
    /// Nothing goes wrong.
    pub const FAIR: Self = Self {
        throttled: 0,
        lost_answers: 0,
        broken_reads: 0,
        latency: Duration::ZERO,
        stale_lists: 0,
    };
}

/// What the bucket was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Overwriting and deleting leave the old version there.
    pub versions: bool,
    /// Versions can be locked; needs versions.
    pub locks: bool,
    /// A create is one step. Else whoever creates looks first and writes then, and others may be in between.
    pub conditional: bool,
    /// A write is compared with its checksum, which stays with the object. What is planted has none.
    pub checksums: bool,
}

impl Bucket {
    /// Conditional creates, and no more.
    pub const PLAIN: Self = Self {
        versions: false,
        locks: false,
        conditional: true,
        checksums: false,
    };
    /// Versions that can be locked, and conditional creates.
    pub const LOCKED: Self = Self {
        versions: true,
        locks: true,
        conditional: true,
        checksums: false,
    };
}

/// The server. Clones are the same server; [`Sim::fork`] makes another one.
#[derive(Debug, Clone)]
pub struct Sim {
    seed: u64,
    server: Arc<Mutex<Server>>,
}

#[derive(Debug, Clone)]
struct Server {
    objects: Objects,
    weather: Weather,
}

impl Sim {
    /// An empty bucket under a fair sky. Its clock begins at `now_ms` after 1970 and moves a millisecond at each change.
    pub fn new(seed: u64, bucket: Bucket, now_ms: u64) -> Self {
        let server = Server {
            objects: Objects::new(bucket, now_ms),
            weather: Weather::FAIR,
        };
        Self {
            seed,
            server: Arc::new(Mutex::new(server)),
        }
    }

    /// Another server that holds now what this one holds.
    pub fn fork(&self) -> Self {
        let server = self.server().clone();
        Self {
            seed: self.seed,
            server: Arc::new(Mutex::new(server)),
        }
    }

    /// The same with another seed for the weather.
    pub fn fork_with(&self, seed: u64) -> Self {
        Self { seed, ..self.fork() }
    }

    /// Changes the weather for everybody.
    pub fn weather(&self, weather: Weather) {
        self.server().weather = weather;
    }

    /// Moves the server's clock.
    pub fn wait(&self, time: Duration) {
        self.server().objects.wait(time);
    }

    /// A new client that lives. Its name makes its luck.
    pub fn process(&self, name: &str) -> Process {
        Process::new(self.clone(), name)
    }

    /// A client that nothing ever happens to.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        Process::sheltered(self.clone()).store()
    }

    /// Every object that the bare keys mean now.
    pub fn all(&self) -> BTreeMap<String, Bytes> {
        self.server().objects.all()
    }

    /// What the bare key means now.
    pub fn read(&self, key: &str) -> Option<Bytes> {
        self.server().objects.newest(key)
    }

    /// Puts these bytes behind the key, past every rule: a thief with the server's own hands, or a disk that forgot.
    pub fn plant(&self, key: &str, body: impl Into<Bytes>) {
        self.server().objects.plant(key, Some(body.into()));
    }

    /// Takes the object away: a delete marker where versions are kept, else for good.
    pub fn hide(&self, key: &str) {
        self.server().objects.plant(key, None);
    }

    /// The seed that decides everything here.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that the seed and these words decide.
fn fate_of(seed: u64, words: &[&[u8]]) -> u64 {
    // FNV-1a, then the finalizer of SplitMix64: no secret, only well mixed.
    let mut sum = 0xcbf2_9ce4_8422_2325u64 ^ seed;
    for byte in words
        .iter()
        .flat_map(|word| word.iter().copied().chain(std::iter::once(0xff)))
    {
        sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    mixed(sum)
}

fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
