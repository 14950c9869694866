//! What a verification is asked and what it says: options, events, findings.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use muster_signing::Digest;
use time::OffsetDateTime;

use crate::ArchiveError;
use crate::list::Named;
use crate::object_store::{LockMode, LockPolicy, Retention};

/// Most errors, and names of recovered objects, that are kept one by one.
const KEPT: usize = 10_000;
/// What a verification holds in memory, unless it is told otherwise.
const MEMORY: usize = 160 << 20;

/// How deep to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyDepth {
    /// Signatures, logs, lists, and that every listed object is there with its size; where the place keeps checksums or locks, what it says
    /// of each.
    Inventory,
    /// Also every byte of every listed object, decoded and compared.
    ReadData,
}

/// How a repository is verified.
#[derive(Clone, Copy, Debug)]
pub struct VerifyOptions<'a> {
    /// How deep.
    pub depth: VerifyDepth,
    /// The wall clock. Without it nothing of earlier reads is used or remembered, and no lock is judged.
    pub now: Option<OffsetDateTime>,
    /// What was read whole within this time is not read again.
    pub skip_read_within: Option<Duration>,
    /// Whether each object is asked for its checksum and lock; `None`: where the place was seen to keep either.
    pub heads: Option<bool>,
    /// For how long what is written is to be locked.
    pub lock: Option<LockPolicy>,
    /// Most bytes of memory, roughly; a pack and two extent maps are held in any case.
    pub memory: usize,
    /// When this is set the run ends with [`ArchiveError::Cancelled`]; what was read until then is remembered.
    pub cancel: Option<&'a AtomicBool>,
}

impl VerifyOptions<'_> {
    /// Everything else as it is where nobody says more.
    pub fn new(depth: VerifyDepth) -> Self {
        Self {
            depth,
            now: None,
            skip_read_within: None,
            heads: None,
            lock: None,
            memory: MEMORY,
            cancel: None,
        }
    }
}

/// What happened on the way.
#[derive(Clone, Debug)]
pub enum VerifyEvent {
    /// This begins, in words.
    Began(&'static str),
    /// So many bytes were read whole of so many that are to be read.
    Read {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// So many objects were looked at of so many.
    Looked {
        /// Objects so far.
        done: u64,
        /// Objects in all.
        total: u64,
    },
    /// An object was looked at as far as was asked.
    Object(ObjectReport),
}

/// What was found of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectReport {
    /// Its key in the repository.
    pub object: String,
    /// Its length in bytes, as what names it says.
    pub bytes: u64,
    /// How far it was looked at.
    pub state: ObjectState,
    /// Its name is hidden or was overwritten, and an older version is it.
    pub recovered: bool,
    /// What holds it, where that was asked and may be seen.
    pub lock: Option<Retention>,
    /// What the lock is against what was promised.
    pub held: Held,
}

/// How far an object was looked at, and what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectState {
    /// It is there with its size.
    There,
    /// Every byte was read and compared.
    Read,
    /// It was read whole not long ago.
    Skipped,
    /// It is not there.
    Missing,
    /// It is not what its name says.
    Damaged,
    /// It could not be asked for.
    Unknown,
}

impl ObjectState {
    /// As it is written in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::There => "there",
            Self::Read => "read",
            Self::Skipped => "skipped",
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::Unknown => "unknown",
        }
    }
}

/// What a lock is against what was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nobody asked the place, or nothing says how long it must last.
    Unjudged,
    /// As strict and as long as it must be.
    Enough,
    /// It ends too early or may be lifted.
    Short,
    /// There is none, and there must be.
    Free,
}

impl Held {
    /// As it is written in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unjudged => "unjudged",
            Self::Enough => "enough",
            Self::Short => "short",
            Self::Free => "free",
        }
    }
}

/// Objects and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Tally {
    pub(super) fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// What holds the objects that were asked for their locks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Locks {
    /// Objects that were asked.
    pub objects: u64,
    /// Those with a lock that has not ended.
    pub locked: u64,
    /// Those without.
    pub free: u64,
    /// Those without that must have one.
    pub lacking: u64,
    /// Those whose lock ends too early or may be lifted.
    pub short: u64,
    /// When the first of the locks ends.
    pub earliest: Option<OffsetDateTime>,
    /// When the last does.
    pub latest: Option<OffsetDateTime>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Verification {
    /// Recovery points whose manifests hold.
    pub snapshots: u64,
    /// Scorecards whose signatures hold.
    pub rehearsals: u64,
    /// Distinct objects that the manifests name.
    pub objects: u64,
    /// Bytes that were read whole.
    pub read_bytes: u64,
    /// Wrong or absent: each names the object (exit 7). At most 10,000; [`Self::more_damaged`] counts the rest.
    pub damaged: Vec<ArchiveError>,
    /// Wrong or absent objects beyond those.
    pub more_damaged: u64,
    /// Encrypted recovery points that no identity at hand decodes: read whole and compared with their names, and no further.
    pub sealed: u64,
    /// Could not be read now (exit 3). At most 10,000.
    pub unreadable: Vec<ArchiveError>,
    /// What was not read because it was read whole not long ago.
    pub skipped: Tally,
    /// What nothing names: left by runs that did not end, or under way. `None` where not everything was looked at.
    pub unnamed: Option<Tally>,
    /// What writers remember for themselves: no reader needs it.
    pub index: Option<Tally>,
    /// Names that are hidden or were overwritten, and whose right version is there. At most 10,000; [`Self::recovered_objects`] counts all.
    pub recovered: Vec<String>,
    /// How many these are.
    pub recovered_objects: u64,
    /// What holds the objects; `None` where nobody asked.
    pub locks: Option<Locks>,
    /// Objects that an error stands for already.
    pub(super) noted: HashSet<String>,
}

impl Verification {
    /// Whether nothing is wrong and everything could be had.
    pub fn is_whole(&self) -> bool {
        self.damaged.is_empty() && self.unreadable.is_empty()
    }

    /// Keeps an error; of several about one object the first.
    pub(super) fn note(&mut self, error: ArchiveError) {
        if let ArchiveError::Damaged { object, .. } | ArchiveError::Missing { object, .. } = &error {
            if self.damaged.len() >= KEPT {
                self.more_damaged += u64::from(!self.noted.contains(object));
                return;
            }
            if !self.noted.insert(object.clone()) {
                return;
            }
        }
        if error.is_damage() {
            self.damaged.push(error)
        } else if self.unreadable.len() < KEPT {
            self.unreadable.push(error)
        }
    }

    pub(super) fn note_recovered(&mut self, object: &str) {
        self.recovered_objects += 1;
        if self.recovered.len() < KEPT {
            self.recovered.push(object.to_owned());
        }
    }
}

/// What was found of one object, for whoever adds it up.
pub(super) struct Verdict {
    pub(super) what: Option<Named>,
    pub(super) id: Option<Digest>,
    pub(super) object: String,
    pub(super) bytes: u64,
    /// Until when it must be held, in seconds since 1970.
    pub(super) demand: i64,
    pub(super) state: ObjectState,
    pub(super) recovered: bool,
    pub(super) lock: Option<Retention>,
    /// Bytes that were read and compared.
    pub(super) read: u64,
    /// Whether they were to be read now, and not before.
    pub(super) fetched: bool,
    pub(super) error: Option<ArchiveError>,
}

/// Judges locks and adds them up.
pub(super) struct Judge {
    pub(super) now: Option<OffsetDateTime>,
    pub(super) mode: Option<LockMode>,
}

impl Judge {
    /// What the lock is against what was promised; `locks` counts it.
    pub(super) fn judge(&self, lock: Option<Retention>, demand: i64, locks: &mut Locks) -> Held {
        let Some(now) = self.now else {
            return Held::Unjudged;
        };
        locks.objects += 1;
        let lock = lock.filter(|lock| lock.until > now);
        let demanded = demand > now.unix_timestamp();
        let Some(lock) = lock else {
            locks.free += 1;
            locks.lacking += u64::from(demanded);
            return if demanded { Held::Free } else { Held::Unjudged };
        };
        locks.locked += 1;
        locks.earliest = Some(locks.earliest.map_or(lock.until, |other| other.min(lock.until)));
        locks.latest = locks.latest.max(Some(lock.until));
        if !demanded {
            return Held::Unjudged;
        }
        if lock.until.unix_timestamp() < demand || self.mode.is_some_and(|mode| lock.mode < mode) {
            locks.short += 1;
            return Held::Short;
        }
        Held::Enough
    }
}
