//! Writing an index set while a snapshot is written.
//!
//! Invariant: files leave in path order whatever the order in which they came; a chunk is cut where its paths say, so that an
//! unchanged neighbourhood is the same object as before. A file that does not fit the memory is left out, which costs time at the
//! next run and nothing else.

use std::collections::BTreeMap;

use muster_signing::Digest;

use super::IndexError;
use super::directory::{ChunkRef, FileRecord, Root, SealedTree};
use super::key::IndexSeal;
use super::object::{DIRECTORY, LEAF, ROOT, encode};
use super::segment::Segment;
use crate::content::{HashKey, path_order};

/// Bytes and files at which a chunk ends.
const CHUNK_BYTES: usize = 128 << 10;
const CHUNK_FILES: usize = 1024;
/// Least files of a chunk that ends where its paths say.
const CHUNK_LEAST: usize = 32;

/// An index object and its name.
pub(crate) type Object = (Digest, Vec<u8>);

/// A path in path order.
#[derive(PartialEq, Eq)]
struct Path(Vec<u8>);

impl Ord for Path {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        path_order(&self.0, &other.0)
    }
}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Gathers what is to be remembered of a snapshot.
pub(crate) struct IndexWriter {
    seal: IndexSeal,
    in_order: bool,
    /// Records of a source without order, encoded.
    held: BTreeMap<Path, Vec<u8>>,
    room: usize,
    chunk: Vec<u8>,
    files: usize,
    first: Vec<u8>,
    root: Root,
    objects: Vec<Object>,
}

impl IndexWriter {
    /// `room`: bytes that records of a source without order may take.
    pub(crate) fn new(seal: IndexSeal, hash_key: HashKey, started_ms: u64, in_order: bool, room: usize) -> Self {
        Self {
            seal,
            in_order,
            held: BTreeMap::new(),
            room,
            chunk: Vec::new(),
            files: 0,
            first: Vec::new(),
            root: Root {
                hash_key,
                started_ms,
                chunks: Vec::new(),
                trees: Vec::new(),
            },
            objects: Vec::new(),
        }
    }

    /// The leaf of a segment.
    pub(crate) fn leaf(&mut self, segment: &Segment) -> Result<Digest, IndexError> {
        let mut body = Vec::new();
        segment.encode(&mut body);
        self.object(LEAF, &body)
    }

    /// Remembers a sealed object of the tree.
    pub(crate) fn tree(&mut self, tree: SealedTree) {
        self.root.trees.push(tree);
    }

    /// Remembers a file.
    pub(crate) fn file(&mut self, record: &FileRecord) -> Result<(), IndexError> {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        if self.in_order {
            return self.push(&record.path, &bytes);
        }
        let cost = bytes.len() + record.path.len() + 128;
        if let Some(room) = self.room.checked_sub(cost) {
            self.room = room;
            self.held.insert(Path(record.path.clone()), bytes);
        }
        Ok(())
    }

    fn push(&mut self, path: &[u8], record: &[u8]) -> Result<(), IndexError> {
        if self.files == 0 {
            path.clone_into(&mut self.first);
        }
        self.chunk.extend_from_slice(record);
        self.files += 1;
        let hash = blake3::hash(path);
        let cut = u16::from_be_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]) >> 9 == 0;
        if self.files >= CHUNK_FILES || self.chunk.len() >= CHUNK_BYTES || (cut && self.files >= CHUNK_LEAST) {
            self.close()?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), IndexError> {
        if self.files == 0 {
            return Ok(());
        }
        let mut body = Vec::with_capacity(self.chunk.len() + 10);
        crate::tree::wire::put_varint(&mut body, self.files as u64);
        body.append(&mut self.chunk);
        self.files = 0;
        let id = self.object(DIRECTORY, &body)?;
        let first = std::mem::take(&mut self.first);
        self.root.chunks.push(ChunkRef { id, first });
        Ok(())
    }

    fn object(&mut self, kind: u8, body: &[u8]) -> Result<Digest, IndexError> {
        let object = encode(&self.seal, kind, body)?;
        let id = Digest::of(&object);
        self.objects.push((id, object));
        Ok(id)
    }

    /// The objects that came to be since the last call.
    pub(crate) fn take_objects(&mut self) -> Vec<Object> {
        std::mem::take(&mut self.objects)
    }

    /// The root's id, and the last objects.
    pub(crate) fn finish(mut self) -> Result<(Digest, Vec<Object>), IndexError> {
        for (path, record) in std::mem::take(&mut self.held) {
            self.push(&path.0, &record)?;
        }
        self.close()?;
        let body = self.root.encode();
        let id = self.object(ROOT, &body)?;
        Ok((id, self.objects))
    }
}
