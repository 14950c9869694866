//! A repository with one object changed, cut or removed never verifies.
//!
//! Two modes, by the first byte: a stranger who can write the storage, and a believed writer who lies. Of the writer's lies
//! only survival is asked: the log, the manifest, a tree object and a list are then whatever the input says, rightly signed.

use std::sync::{Arc, LazyLock};

use crate::world::{SNAPSHOT, STORE, World};
use crate::{key, turn_a_bit};
use bytes::Bytes;
use muster_archive::object_store::ObjectStore;
use muster_archive::{Manifest, Repository, VerifyDepth, layout};
use muster_signing::{Checkpoint, Digest, PublicKey, Role, canonical_json, merkle, payload, seal};
use serde_json::json;

static WORLD: LazyLock<World> = LazyLock::new(|| World::new().unwrap());

/// Whether everything in this place verifies.
fn verifies(store: Arc<dyn ObjectStore>, root: Option<&PublicKey>) -> bool {
    WORLD.runtime.block_on(async {
        let Ok(repository) = Repository::open(store, root, WORLD.state.path()).await else {
            return false;
        };
        let found = repository.verify(None, VerifyDepth::ReadData, &|_| {}).await;
        found.is_ok_and(|found| found.damaged.is_empty() && found.unreadable.is_empty())
    })
}

fn stranger(data: &[u8]) {
    let [which, how, rest @ ..] = data else { return };
    let mut objects = WORLD.objects.clone();
    let at = usize::from(*which) % objects.len();
    let (name, bytes) = &objects[at];
    let changed = match how % 4 {
        0 => turn_a_bit(bytes, rest),
        1 => Some(bytes[..bytes.len() - 1 - usize::from(how / 4) % bytes.len()].to_vec()),
        2 => Some(rest.to_vec()),
        _ => None,
    };
    let whole = changed.as_deref() == Some(&bytes[..]);
    let what = format!("{name} ({how})");
    match changed {
        Some(changed) => objects[at].1 = Bytes::from(changed),
        None => drop(objects.remove(at)),
    }
    let root = key(Role::Root).public();
    assert_eq!(verifies(WORLD.place(&objects), Some(&root)), whole, "{what}");
}

/// The log of the writer with these entries.
fn log(entries: &[Vec<u8>]) -> Vec<(String, Bytes)> {
    let base = format!("{}00000001-a/", layout::log(&key(Role::Writer).public().id()));
    let leaves: Vec<Digest> = entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
    let head = Checkpoint {
        origin: format!("muster/{}/00000001-a", WORLD.manifest.repository),
        size: entries.len() as u64,
        root: merkle::root(&leaves),
    };
    let length = |entry: &Vec<u8>| u16::try_from(entry.len()).unwrap().to_be_bytes();
    let bundle: Vec<u8> = entries
        .iter()
        .flat_map(|entry| [&length(entry)[..], entry].concat())
        .collect();
    let note = head.sign(&key(Role::Writer)).unwrap();
    vec![
        (format!("{base}checkpoint"), Bytes::from(note)),
        (
            format!("{base}tile/entries/000.p/{}", entries.len()),
            Bytes::from(bundle),
        ),
    ]
}

/// The objects of a writer whose snapshot has this manifest, and a log that names it.
fn snapshot(manifest: &[u8]) -> Vec<(String, Bytes)> {
    let envelope = seal(payload::MANIFEST, manifest, &key(Role::Writer));
    let event = json!({
        "schema": "muster.entry/1", "time": "2026-11-25T00:00:00Z", "type": "snapshot", "store": STORE,
        "snapshot": SNAPSHOT, "sequence": 1, "manifest": Digest::of(&envelope),
    });
    let mut objects = log(&[
        br#"{"schema":"muster.entry/1"}"#.to_vec(),
        canonical_json(&event).unwrap(),
    ]);
    objects.push((layout::manifest(STORE, SNAPSHOT), Bytes::from(envelope)));
    objects
}

fn wrapped(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [
        b"MUSTTREE",
        &[kind, 1][..],
        &length,
        &zstd::bulk::compress(body, 1).unwrap(),
    ]
    .concat()
}

fn lying_writer(data: &[u8]) {
    let [how, rest @ ..] = data else { return };
    let mine = layout::log(&key(Role::Writer).public().id());
    let kept = |(name, _): &&(String, Bytes)| !name.starts_with(&mine);
    let mut objects: Vec<_> = WORLD.objects.iter().filter(kept).cloned().collect();
    let mut put = |name: String, bytes: &[u8]| objects.push((name, Bytes::copy_from_slice(bytes)));
    let mut manifest: Manifest = WORLD.manifest.clone();
    let forged = match how % 4 {
        0 => {
            let short = |entry: &&[u8]| entry.len() < 1 << 16;
            let entries: Vec<_> = rest.split(|byte| *byte == b'\n').filter(short).take(250).collect();
            log(&entries.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>())
        }
        1 => snapshot(rest),
        2 => {
            // A leaf or extent map of any content, beneath an index that is right.
            let object = wrapped(1 + (how / 4) % 2, rest);
            let id = Digest::of(&object);
            put(layout::tree(&id), &object);
            let index = wrapped(3, &[&[7; 32][..], &[0, 1, 1], id.as_bytes(), &[1, 0]].concat());
            manifest.tree.root = Digest::of(&index);
            put(layout::tree(&manifest.tree.root), &index);
            snapshot(&canonical_json(&manifest).unwrap())
        }
        _ => {
            manifest.list.root = Digest::of(rest);
            put(layout::list(&manifest.list.root), rest);
            snapshot(&canonical_json(&manifest).unwrap())
        }
    };
    for object in forged {
        objects.retain(|(name, _)| *name != object.0);
        objects.push(object);
    }
    // Without a named root nothing is remembered from one input to the next.
    verifies(WORLD.place(&objects), None);
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let root = key(Role::Root).public();
    // Also lets this host remember the heads, so that a removed log is missed.
    assert!(verifies(WORLD.place(&WORLD.objects), Some(&root)), "the world itself");
    let manifest = canonical_json(&WORLD.manifest).unwrap();
    let mut seeds = vec![[&[1, 1][..], &manifest].concat()];
    for (at, (name, bytes)) in (0u8..).zip(&WORLD.objects) {
        seeds.extend([vec![0, at, 0, 0, 9, 9], vec![0, at, 1], vec![0, at, 3]]);
        if name.starts_with("lists/") {
            seeds.push([&[1, 3][..], bytes].concat());
        }
        if name.contains("tile/entries") {
            seeds.push([&[1, 0][..], &bytes[2..]].concat());
        }
        if name.starts_with("trees/") {
            seeds.push([&[1, 2][..], &zstd::bulk::decompress(&bytes[14..], 1 << 20).unwrap()].concat());
        }
    }
    seeds
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    match data.split_first() {
        Some((mode, rest)) if mode % 2 == 0 => stranger(rest),
        Some((_, rest)) => lying_writer(rest),
        None => {}
    }
}
