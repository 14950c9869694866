//! The parsers of a writer's index, for `fuzz/` alone (see `crate::fuzzing`).

use std::sync::Arc;

use super::directory::{FileRecord, Root, decode_chunk};
use super::key::{IndexKey, IndexSeal};
use super::object::{DIRECTORY, LEAF, ROOT, decode, encode};
use super::segment::Segment;
use crate::tree::wire::{Cursor, put_varint};

const KINDS: [u8; 3] = [ROOT, DIRECTORY, LEAF];

/// The body of a root (0), a directory chunk (1) or a leaf (2) as it would be written again. What it says is also looked at
/// as a writer looks at it: block by block, and as the extents of a tree.
pub fn index_again(kind: u8, body: &[u8]) -> Option<Vec<u8>> {
    let mut again = Vec::new();
    match kind {
        0 => {
            let root = Root::decode(body).ok()?;
            let _ = root.chunk_of(b"dir/a");
            again = root.encode();
        }
        1 => {
            let files: Vec<Arc<FileRecord>> = decode_chunk(body).ok()?;
            put_varint(&mut again, files.len() as u64);
            files.iter().for_each(|file| file.encode(&mut again));
        }
        _ => {
            let mut cursor = Cursor::new(body);
            let segment = Segment::decode(&mut cursor).ok()?;
            cursor.finish().ok()?;
            look_at(&segment);
            segment.encode(&mut again);
        }
    }
    Some(again)
}

fn look_at(segment: &Segment) {
    for number in 0..segment.block_count() {
        let Some(block) = segment.block(number) else { continue };
        for extent in block.extents {
            let _ = (extent.pack(), extent.frame(), segment.location(extent, block.length));
        }
    }
    let _ = (segment.tree_extents(), segment.frames().count());
}

/// An index object of a body, sealed to a key and bound to a repository and a store.
pub fn index_object(key: [u8; 32], repository: &str, store: &str, kind: u8, body: &[u8]) -> Option<Vec<u8>> {
    let seal = IndexSeal::new(&IndexKey::new(key), repository, store).ok()?;
    encode(&seal, *KINDS.get(usize::from(kind))?, body).ok()
}

/// The kind and the body of an index object that this key opens.
pub fn index_body(key: &IndexKey, repository: &str, store: &str, object: &[u8]) -> Option<(u8, Vec<u8>)> {
    let seal = IndexSeal::new(key, repository, store).ok()?;
    (0..)
        .zip(KINDS)
        .find_map(|(number, kind)| Some((number, decode(&seal, kind, object).ok()?)))
}
