//! Directory chunks and the root of an index set: which files there were, and where what is remembered of each is.
//!
//! Invariant: files stand in path order, within a chunk and from chunk to chunk, so that one is found without reading the others.

use std::sync::Arc;

use muster_signing::Digest;

use super::IndexError;
use super::segment::Segment;
use crate::content::{HashKey, path_order};
use crate::seal::RunId;
use crate::tree::wire::{Cursor, put_bytes, put_varint};
use crate::tree::{FILE_MAX, PATH_MAX};

/// Most files of a chunk.
const FILES_MAX: usize = 1 << 16;
/// Most chunks of a set.
const CHUNKS_MAX: usize = 1 << 20;
/// Most tree objects of a set.
const TREES_MAX: usize = 1 << 20;

/// When something happened: seconds since the epoch, and nanoseconds.
pub(crate) type Instant = (i64, u32);

/// What is remembered of a file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Remembered {
    /// Few extents, with their hashes.
    Inline(Arc<Segment>),
    /// One per segment.
    Leaves(Vec<LeafRef>),
}

/// Where a segment of a long file is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeafRef {
    /// The leaf in the index.
    pub(crate) leaf: Digest,
    /// Its extent map in the tree.
    pub(crate) map: Digest,
    /// The run that the map was sealed in, in an encrypted repository.
    pub(crate) run: Option<RunId>,
}

/// A file as its writer remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileRecord {
    pub(crate) path: Vec<u8>,
    pub(crate) sparse: bool,
    pub(crate) size: u64,
    pub(crate) mtime: Instant,
    pub(crate) ctime: Instant,
    /// When it was last read whole, in seconds since the epoch; 0: that is not known, and it is read again.
    pub(crate) read_whole: u64,
    pub(crate) digest: [u8; 32],
    pub(crate) content: Remembered,
}

impl FileRecord {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.path);
        out.push(u8::from(self.sparse) | u8::from(matches!(self.content, Remembered::Leaves(_))) << 1);
        put_varint(out, self.size);
        for (seconds, nanos) in [self.mtime, self.ctime] {
            out.extend_from_slice(&seconds.to_le_bytes());
            out.extend_from_slice(&nanos.to_le_bytes());
        }
        put_varint(out, self.read_whole);
        out.extend_from_slice(&self.digest);
        match &self.content {
            Remembered::Inline(segment) => segment.encode(out),
            Remembered::Leaves(leaves) => {
                put_varint(out, leaves.len() as u64);
                for LeafRef { leaf, map, run } in leaves {
                    out.extend_from_slice(leaf.as_bytes());
                    out.extend_from_slice(map.as_bytes());
                    out.push(u8::from(run.is_some()));
                    if let Some(run) = run {
                        out.extend_from_slice(run.as_bytes());
                    }
                }
            }
        }
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, IndexError> {
        let path = cursor.bytes(PATH_MAX)?.to_vec();
        let flags = cursor.byte()?;
        let size = cursor.varint()?;
        if flags > 3 || size > FILE_MAX {
            return Err(IndexError("a file is out of bounds"));
        }
        let mut instant = || -> Result<Instant, IndexError> {
            Ok((i64::from_le_bytes(cursor.array()?), u32::from_le_bytes(cursor.array()?)))
        };
        let (mtime, ctime) = (instant()?, instant()?);
        let read_whole = cursor.varint()?;
        let digest = cursor.array()?;
        let content = if flags & 2 == 0 {
            let segment = Segment::decode(cursor)?;
            if segment.bytes != size {
                return Err(IndexError("a file's extents do not add up to its size"));
            }
            Remembered::Inline(Arc::new(segment))
        } else {
            let count = cursor.count(1 << 20, 65)?;
            Remembered::Leaves((0..count).map(|_| decode_leaf_ref(cursor)).collect::<Result<_, _>>()?)
        };
        Ok(Self {
            path,
            sparse: flags & 1 == 1,
            size,
            mtime,
            ctime,
            read_whole,
            digest,
            content,
        })
    }
}

fn decode_leaf_ref(cursor: &mut Cursor<'_>) -> Result<LeafRef, IndexError> {
    Ok(LeafRef {
        leaf: Digest::from_bytes(cursor.array()?),
        map: Digest::from_bytes(cursor.array()?),
        run: match cursor.byte()? {
            0 => None,
            1 => Some(RunId::from_bytes(cursor.array()?)),
            _ => return Err(IndexError("a map is sealed in an unknown way")),
        },
    })
}

/// The files of a chunk's body, in path order.
pub(super) fn decode_chunk(body: &[u8]) -> Result<Vec<Arc<FileRecord>>, IndexError> {
    let mut cursor = Cursor::new(body);
    let count = cursor.count(FILES_MAX, 40)?;
    let mut files: Vec<Arc<FileRecord>> = Vec::with_capacity(count);
    for _ in 0..count {
        let file = FileRecord::decode(&mut cursor)?;
        if files
            .last()
            .is_some_and(|last| path_order(&last.path, &file.path).is_ge())
        {
            return Err(IndexError("its files are not in path order"));
        }
        files.push(Arc::new(file));
    }
    cursor.finish()?;
    Ok(files)
}

/// A chunk as the root names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    pub(crate) id: Digest,
    pub(crate) first: Vec<u8>,
}

/// A sealed listing leaf or tree index. Sealed again it would be another object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SealedTree {
    /// BLAKE3 of its kind and decoded body.
    pub(crate) hash: [u8; 32],
    pub(crate) id: Digest,
    /// The run that sealed it.
    pub(crate) run: RunId,
}

/// The root of an index set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) hash_key: HashKey,
    /// When the run that wrote it began: milliseconds since the epoch.
    pub(crate) started_ms: u64,
    pub(crate) chunks: Vec<ChunkRef>,
    /// Of the snapshot's tree, in an encrypted repository.
    pub(crate) trees: Vec<SealedTree>,
}

impl Root {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = self.hash_key.as_bytes().to_vec();
        put_varint(&mut body, self.started_ms);
        put_varint(&mut body, self.chunks.len() as u64);
        for chunk in &self.chunks {
            body.extend_from_slice(chunk.id.as_bytes());
            put_bytes(&mut body, &chunk.first);
        }
        put_varint(&mut body, self.trees.len() as u64);
        for tree in &self.trees {
            body.extend_from_slice(&tree.hash);
            body.extend_from_slice(tree.id.as_bytes());
            body.extend_from_slice(tree.run.as_bytes());
        }
        body
    }

    pub(super) fn decode(body: &[u8]) -> Result<Self, IndexError> {
        let mut cursor = Cursor::new(body);
        let hash_key = HashKey::new(cursor.array()?);
        let started_ms = cursor.varint()?;
        let count = cursor.count(CHUNKS_MAX, 33)?;
        let mut chunks: Vec<ChunkRef> = Vec::with_capacity(count);
        for _ in 0..count {
            let chunk = ChunkRef {
                id: Digest::from_bytes(cursor.array()?),
                first: cursor.bytes(PATH_MAX)?.to_vec(),
            };
            if chunks
                .last()
                .is_some_and(|last| path_order(&last.first, &chunk.first).is_ge())
            {
                return Err(IndexError("its chunks are not in path order"));
            }
            chunks.push(chunk);
        }
        let count = cursor.count(TREES_MAX, 80)?;
        let mut trees = Vec::with_capacity(count);
        for _ in 0..count {
            trees.push(SealedTree {
                hash: cursor.array()?,
                id: Digest::from_bytes(cursor.array()?),
                run: RunId::from_bytes(cursor.array()?),
            });
        }
        cursor.finish()?;
        Ok(Self {
            hash_key,
            started_ms,
            chunks,
            trees,
        })
    }

    /// The chunk that a file would stand in.
    pub(super) fn chunk_of(&self, path: &[u8]) -> Option<&ChunkRef> {
        let after = self
            .chunks
            .partition_point(|chunk| path_order(&chunk.first, path).is_le());
        self.chunks.get(after.checked_sub(1)?)
    }
}
