//! The parsers of stored bytes, for `fuzz/` alone: each reads bytes and gives back what it understood, written again.
//!
//! Not an interface: nothing here is promised to anybody. It exists because these parsers are private and the fuzzer is another crate.

use std::collections::BTreeMap;
use std::path::Path;

use muster_signing::Digest;

use crate::content::HashKey;
use crate::list;
use crate::pack::{self, PackBuilder};
use crate::seal::Identities;
use crate::tree::{Child, Extent, Index, LeafBuilder, TreeEntry, encode_map, read_index};

pub use crate::index::fuzzing::{index_again, index_body, index_object};
pub use crate::ledger::fuzzing::{bundle, edge_root, grown_root, heads_again, split_bundle, split_tile, tile};
pub use crate::writer::fuzzing::journal_again;

/// A leaf of these entries.
pub fn leaf(entries: &[TreeEntry]) -> Option<Vec<u8>> {
    let mut builder = LeafBuilder::default();
    entries.iter().for_each(|entry| builder.push(entry));
    builder.finish(None).ok()?.0.object(None).ok()
}

/// A map of these extents.
pub fn map(extents: &[Extent]) -> Option<Vec<u8>> {
    encode_map(extents, None).ok()
}

/// An index object with one child.
pub fn tree_index(child: Digest, first: &[u8]) -> Option<Vec<u8>> {
    let child = Child {
        id: child,
        entries: 7,
        first: first.to_vec(),
    };
    let index = Index {
        hash_key: HashKey::new([7; 32]),
        level: 1,
        ordered: true,
        children: vec![child],
    };
    index.body().object(None).ok()
}

/// A tree's index as it would be written again, and how many children it has.
pub fn tree_index_again(object: &[u8]) -> Option<(Vec<u8>, usize)> {
    let index = read_index(object, None).ok()?;
    Some((index.body().object(None).ok()?, index.children.len()))
}

/// A pack of these frames: bytes, whether they are raw, decoded length.
pub fn pack(frames: &[(&[u8], bool, u32)]) -> Option<Vec<u8>> {
    let mut builder = PackBuilder::new([9; 32], None);
    for (frame, raw, length) in frames {
        builder.push(frame, *raw, *length);
    }
    Some(builder.finish().ok()?.1.to_vec())
}

/// The directory of a pack: offset, stored and decoded length of each frame.
pub fn pack_directory(pack: &[u8]) -> Option<Vec<(u32, u32, u32)>> {
    let entries = pack::read_directory(pack, None).ok()?;
    let lengths = entries
        .iter()
        .map(|entry| (entry.offset, entry.stored, entry.frame_length));
    Some(lengths.collect())
}

/// A hunk of a public list that names these packs and tree objects.
pub fn hunk(packs: &[(Digest, u64)], trees: &[(Digest, u64)]) -> Option<Vec<u8>> {
    let packs = packs.iter().map(|(id, bytes)| ((list::Named::Pack, *id), *bytes));
    let trees = trees.iter().map(|(id, bytes)| ((list::Named::Tree, *id), *bytes));
    let objects: BTreeMap<_, _> = packs.chain(trees).collect();
    list::encode(&objects).pop().map(|(_, bytes)| bytes)
}

/// A hunk as it would be written again, where it is short and its lines are in order.
pub fn hunk_again(hunk: &[u8]) -> Option<Vec<u8>> {
    let lines = list::decode(hunk).ok()?;
    let count = lines.len();
    let objects: BTreeMap<_, _> = lines.iter().map(|(what, id, number)| ((*what, *id), *number)).collect();
    let sorted = lines
        .iter()
        .map(|(what, id, _)| (*what, *id))
        .eq(objects.keys().copied());
    // A longer list is cut into hunks.
    (sorted && count < 64).then(|| list::encode(&objects).remove(0).1)
}

/// The run key that a wrapped object holds for the identities in a file; `None` for others and for what is none.
pub fn run_key(identities: &Path, object: &[u8]) -> Option<[u8; 32]> {
    let identities = Identities::read(identities).ok()?;
    identities.unwrap(object).ok().flatten().map(|key| *key)
}

/// A run key wrapped to recipients. Never the same twice.
pub fn wrap(key: &[u8; 32], recipients: &[String]) -> Option<Vec<u8>> {
    crate::seal::wrap(key, recipients).ok()
}
