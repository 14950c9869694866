//! The logs in a bundle: their leaves, the entries that name what is in the bundle, and heads that somebody kept.
//!
//! With all leaves of a log at hand, the root that it had at any size can be computed offline: so a bundle can be held against a
//! head of any age, and against an older bundle.

use std::collections::{BTreeMap, BTreeSet};

use muster_signing::{Checkpoint, Digest, KeyDocument, KeyId, Pin, Role, Verified, merkle};
use serde_json::Value;

/// Longest log whose leaves a bundle carries.
const LEAVES_MAX: usize = 4 << 20;

/// A log as a bundle carries it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundledLog {
    /// The hashes of all entries, in order.
    pub leaves: Vec<Digest>,
    /// Entries, byte for byte, by index: those that name manifests and scorecards of the bundle.
    pub entries: BTreeMap<u64, Vec<u8>>,
}

/// The place of a log: key and incarnation.
pub(crate) type Place = (KeyId, String);

/// A log of a bundle, verified.
pub(crate) struct Held {
    pub(crate) checkpoint: Checkpoint,
    /// `None` where the bundle carries its head alone.
    pub(crate) log: Option<BundledLog>,
}

/// The leaves as the bundle writes them: a line each, in hex, so that `sed -n <index + 1>p` finds one.
pub(crate) fn write_leaves(leaves: &[Digest]) -> Vec<u8> {
    leaves
        .iter()
        .flat_map(|leaf| format!("{}\n", leaf.hex()).into_bytes())
        .collect()
}

fn read_leaves(bytes: &[u8]) -> Option<Vec<Digest>> {
    let text = std::str::from_utf8(bytes).ok()?;
    if text.len() % 65 != 0 || text.len() / 65 > LEAVES_MAX {
        return None;
    }
    let line = |line: &[u8]| Digest::from_hex(std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?).ok();
    text.as_bytes().chunks(65).map(line).collect()
}

/// Puts the members beneath `ledger/` other than checkpoints together with the heads, and checks that they give the signed roots.
pub(crate) fn held<'a>(
    heads: Vec<(Place, Checkpoint)>,
    members: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Result<(BTreeMap<Place, Held>, String), String> {
    let mut held: BTreeMap<Place, Held> = heads
        .into_iter()
        .map(|(place, checkpoint)| (place, Held { checkpoint, log: None }))
        .collect();
    let mut entries = Vec::new();
    for (name, bytes) in members {
        let misplaced = || format!("{name} belongs to no log head of this bundle");
        let mut parts = name.split('/').skip(1);
        let (Some(key), Some(rest)) = (parts.next().and_then(|key| KeyId::parse(key).ok()), parts.next()) else {
            return Err(misplaced());
        };
        match (rest.strip_suffix(".leaves"), parts.next()) {
            (Some(incarnation), None) => {
                let found = held.get_mut(&(key, incarnation.to_owned())).ok_or_else(misplaced)?;
                let leaves = read_leaves(bytes).ok_or_else(|| format!("{name}: not lines of 64 hex digits"))?;
                let fits = leaves.len() as u64 == found.checkpoint.size;
                if !fits || merkle::root(&leaves) != found.checkpoint.root {
                    return Err(format!(
                        "{name}: these leaves do not give the root that the log's head signs"
                    ));
                }
                found.log = Some(BundledLog {
                    leaves,
                    entries: BTreeMap::new(),
                });
            }
            (None, Some(entry)) => {
                let index = entry.strip_suffix(".entry").and_then(|index| index.parse::<u64>().ok());
                let index = index
                    .filter(|index| format!("{index}.entry") == entry)
                    .ok_or_else(misplaced)?;
                entries.push((name, (key, rest.to_owned()), index, bytes));
            }
            _ => return Err(misplaced()),
        }
    }
    let (mut count, mut logs) = (0, 0);
    for (name, place, index, bytes) in entries {
        let log = held.get_mut(&place).and_then(|held| held.log.as_mut());
        let log = log.ok_or_else(|| format!("{name} belongs to no log whose leaves are in this bundle"))?;
        let leaf = usize::try_from(index).ok().and_then(|index| log.leaves.get(index));
        if leaf != Some(&merkle::leaf_hash(bytes)) {
            return Err(format!("{name}: the log has another entry at this index"));
        }
        log.entries.insert(index, bytes.to_vec());
        count += 1;
    }
    logs += held.values().filter(|held| held.log.is_some()).count();
    let found = format!(
        "{logs} of {} logs with all their leaves, {count} entries in them",
        held.len()
    );
    Ok((held, found))
}

/// Documents of a kind, and what an entry that names one looks like.
pub(crate) struct Logged<'a> {
    /// Whose logs hold such entries.
    pub(crate) role: Role,
    /// The entries' type.
    pub(crate) kind: &'static str,
    /// Their field with the digest.
    pub(crate) field: &'static str,
    /// The documents, by their names in the bundle.
    pub(crate) documents: &'a BTreeMap<&'a str, Verified<Value>>,
}

/// Checks that every manifest and scorecard of the bundle stands in a log of a key that may write such an entry.
pub(crate) fn inclusion(
    held: &BTreeMap<Place, Held>,
    keys: &KeyDocument,
    documents: [Logged<'_>; 2],
) -> Result<((), String), String> {
    let mut count = 0;
    for Logged {
        role,
        kind,
        field,
        documents,
    } in documents
    {
        let mut named = BTreeSet::new();
        for ((key, _), held) in held {
            if keys.role_of(key) != Some(role) {
                continue;
            }
            let entries = held.log.iter().flat_map(|log| log.entries.values());
            for entry in entries.filter_map(|bytes| serde_json::from_slice::<Value>(bytes).ok()) {
                if entry["schema"] == "muster.entry/1" && entry["type"] == kind {
                    named.extend(entry[field].as_str().map(str::to_owned));
                }
            }
        }
        for (name, document) in documents {
            if !named.contains(&document.digest.to_string()) {
                return Err(format!("{name} stands in no log of this bundle"));
            }
            count += 1;
        }
    }
    Ok(((), format!("{count} manifests and scorecards stand in the logs")))
}

/// Holds the logs of a bundle against heads that somebody kept.
pub(crate) fn against(held: &BTreeMap<Place, Held>, kept: &[(Place, Checkpoint)]) -> Result<((), String), String> {
    for ((key, incarnation), kept) in kept {
        let name = format!("ledger/{key}/{incarnation}");
        let size = kept.size;
        let held = held.get(&(key.clone(), incarnation.clone())).ok_or_else(|| {
            format!("{name} is gone, or this bundle is older than the head that was kept, with {size} entries")
        })?;
        if held.checkpoint.size < size {
            return Err(format!(
                "{name} went back to {} entries, or this bundle is older than the head that was kept, with {size}",
                held.checkpoint.size
            ));
        }
        let then = match &held.log {
            _ if held.checkpoint.size == size => held.checkpoint.root,
            Some(log) => {
                let prefix = usize::try_from(size).ok().and_then(|size| log.leaves.get(..size));
                merkle::root(prefix.unwrap_or_default())
            }
            None => {
                return Err(format!(
                    "{name} grew, and its leaves are not in this bundle: it cannot be shown that it only grew"
                ));
            }
        };
        if then != kept.root {
            return Err(format!(
                "{name} is not the one that was kept: its first {size} entries were changed, removed or put in another order"
            ));
        }
    }
    Ok((
        (),
        format!(
            "{} log heads that were kept are beginnings of the logs in this bundle",
            kept.len()
        ),
    ))
}

/// A file of pins as places and heads.
pub(crate) fn pinned(bytes: &[u8], keys: &KeyDocument, repository: &str) -> Result<Vec<(Place, Checkpoint)>, String> {
    let pins = Pin::open_all(bytes, keys, repository).map_err(|error| chain(&error))?;
    Ok(pins
        .into_iter()
        .map(|pin| ((pin.key, pin.incarnation), pin.checkpoint))
        .collect())
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
