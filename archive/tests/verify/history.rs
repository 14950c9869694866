//! `--read-data=30d`: what was read whole is not read again for so long, and nothing else is passed over.

use std::sync::Arc;
use std::time::Duration;

use muster_archive::object_store::MemoryStore;
use muster_archive::{Verification, VerifyDepth, VerifyOptions};
use muster_testkit::recording::{Call, Notes, RecordingStore};

use crate::world::{DAY, World, at, told};

struct Month {
    world: World,
    notes: Notes,
}

impl Month {
    fn new() -> Self {
        let (objects, notes) = RecordingStore::before(Arc::new(MemoryStore::new()));
        let world = World::new(objects);
        world.two_snapshots();
        Self { world, notes }
    }

    /// Reads at this time what was not read within 30 days; says how often packs were asked for.
    fn read(&self, seconds: i64, within: Option<Duration>) -> (Verification, usize) {
        self.notes.clear();
        let options = VerifyOptions {
            now: Some(at(seconds)),
            skip_read_within: within,
            ..VerifyOptions::new(VerifyDepth::ReadData)
        };
        let found = self.world.verify(&self.world.repository, &options);
        (found, self.notes.count(Call::Get, "packs/"))
    }
}

const MONTH: Option<Duration> = Some(Duration::from_secs(30 * 86_400));

#[test]
fn what_was_read_whole_within_the_time_is_not_read_again_and_is_counted() {
    let month = Month::new();
    let packs = month.world.keys("packs/");
    let (first, asked) = month.read(0, MONTH);
    assert_eq!((asked, first.skipped.objects), (packs.len(), 0), "{:?}", told(&first));
    let (second, asked) = month.read(29 * DAY, MONTH);
    assert_eq!(told(&second), Vec::<String>::new());
    assert_eq!((asked, second.skipped.objects), (0, packs.len() as u64));
    assert_eq!(second.skipped.bytes, packs.values().sum::<u64>());
    let (third, asked) = month.read(31 * DAY, MONTH);
    assert_eq!((asked, third.skipped.objects), (packs.len(), 0));
    // A time in the future is not believed: the clock went back.
    let (fourth, asked) = month.read(30 * DAY, MONTH);
    assert_eq!((asked, fourth.skipped.objects), (packs.len(), 0));
    let (fifth, asked) = month.read(30 * DAY, None);
    assert_eq!(
        (asked, fifth.skipped.objects),
        (packs.len(), 0),
        "everything is everything"
    );
}

#[test]
fn what_was_found_wrong_is_read_again_until_it_is_right() {
    let month = Month::new();
    let packs = month.world.keys("packs/");
    let (pack, _) = packs.iter().next().unwrap();
    month.read(0, MONTH);
    let whole = month.world.runtime.block_on(month.world.objects.get(pack)).unwrap();
    let mut bytes = whole.to_vec();
    bytes[100] ^= 1;
    month.world.put(pack, bytes);
    let (found, _) = month.read(DAY, None);
    assert_eq!(found.damaged.len(), 1, "{:?}", told(&found));
    for seconds in [2 * DAY, 3 * DAY] {
        let (found, asked) = month.read(seconds, MONTH);
        assert_eq!((asked, found.damaged.len()), (1, 1), "{:?}", told(&found));
        assert_eq!(found.skipped.objects, packs.len() as u64 - 1);
    }
    month.world.put(pack, whole.to_vec());
    assert_eq!(month.read(4 * DAY, MONTH).1, 1);
    assert_eq!(month.read(5 * DAY, MONTH).1, 0);
}

#[test]
fn a_damaged_memory_costs_a_read_and_a_lost_object_is_missed_all_the_same() {
    let month = Month::new();
    let packs = month.world.keys("packs/");
    month.read(0, MONTH);
    let state = month.world.repository.state().dir().to_owned();
    let memory = std::fs::read_dir(&state)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("read-"))
        .unwrap();
    let mut bytes = std::fs::read(&memory).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&memory, bytes).unwrap();
    assert_eq!(month.read(DAY, MONTH).1, packs.len());
    let (pack, _) = packs.iter().next().unwrap();
    month.world.runtime.block_on(month.world.objects.delete(pack)).unwrap();
    let (found, asked) = month.read(2 * DAY, MONTH);
    assert_eq!((asked, found.damaged.len()), (0, 1), "{:?}", told(&found));
    assert!(told(&found)[0].starts_with(pack.as_str()));
}
