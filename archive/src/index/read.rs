//! Reading an index set: from this host's cache, else from the repository.
//!
//! Invariant: an object is parsed only when its bytes are those of its name and its seal held. What cannot be had is as if it had
//! never been remembered: the caller stores again.

use std::collections::VecDeque;
use std::sync::Arc;

use muster_signing::Digest;
use tokio::runtime::Handle;

use super::cache::Cache;
use super::directory::{FileRecord, Root, decode_chunk};
use super::key::IndexSeal;
use super::object::{DIRECTORY, LEAF, OBJECT_MAX, ROOT, decode};
use super::segment::Segment;
use crate::seal::SealedAt;
use crate::tree::wire::Cursor;
use crate::{ArchiveError, Repository, layout};

/// Decoded chunks that are kept.
const CHUNKS: usize = 4;
/// Decoded leaves that are kept, each a few MiB at most.
const LEAVES: usize = 2;

/// The index of one snapshot, as far as it can be read.
pub(crate) struct IndexReader {
    repository: Repository,
    handle: Handle,
    store: String,
    seal: IndexSeal,
    cache: Cache,
    root: Root,
    chunks: VecDeque<(Digest, Arc<Vec<Arc<FileRecord>>>)>,
    leaves: VecDeque<(Digest, Arc<Segment>)>,
}

impl std::fmt::Debug for IndexReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IndexReader({}, {} chunks)", self.store, self.root.chunks.len())
    }
}

impl IndexReader {
    /// Reads the root of a set.
    pub(crate) async fn open(
        repository: &Repository,
        handle: Handle,
        store: &str,
        seal: IndexSeal,
        root: &Digest,
    ) -> Result<Self, ArchiveError> {
        let cache = Cache::new(repository.state(), store);
        let object = object(repository, &cache, store, root).await?;
        let body = decode(&seal, ROOT, &object).and_then(|body| Root::decode(&body));
        let root = body.map_err(|error| ArchiveError::damaged(&layout::index(store, root), error))?;
        Ok(Self {
            repository: repository.clone(),
            handle,
            store: store.to_owned(),
            seal,
            cache,
            root,
            chunks: VecDeque::new(),
            leaves: VecDeque::new(),
        })
    }

    /// A second reader of the same set.
    pub(crate) fn again(&self) -> Self {
        Self {
            repository: self.repository.clone(),
            handle: self.handle.clone(),
            store: self.store.clone(),
            seal: self.seal.clone(),
            cache: self.cache.clone(),
            root: self.root.clone(),
            chunks: VecDeque::new(),
            leaves: VecDeque::new(),
        }
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    /// What is remembered of the file at `path`. Blocks.
    pub(crate) fn file(&mut self, path: &[u8]) -> Result<Option<Arc<FileRecord>>, ArchiveError> {
        let Some(id) = self.root.chunk_of(path).map(|chunk| chunk.id) else {
            return Ok(None);
        };
        let files = self.chunk(&id)?;
        Ok(files
            .binary_search_by(|file| crate::content::path_order(&file.path, path))
            .ok()
            .and_then(|at| files.get(at).cloned()))
    }

    /// The files of one chunk, in path order. Blocks.
    pub(crate) fn chunk(&mut self, id: &Digest) -> Result<Arc<Vec<Arc<FileRecord>>>, ArchiveError> {
        if let Some((_, files)) = self.chunks.iter().find(|chunk| chunk.0 == *id) {
            return Ok(Arc::clone(files));
        }
        let body = self.body(DIRECTORY, id)?;
        let files = decode_chunk(&body).map_err(|error| self.damaged(id, error))?;
        for file in &files {
            match &file.content {
                super::Remembered::Inline(segment) => self.note(segment),
                super::Remembered::Leaves(leaves) => {
                    for leaf in leaves {
                        if let Some(run) = leaf.run {
                            self.repository.note_sealed_tree(leaf.map, run);
                        }
                    }
                }
            }
        }
        let files = Arc::new(files);
        keep(&mut self.chunks, CHUNKS, (*id, Arc::clone(&files)));
        Ok(files)
    }

    /// The segment of one leaf. Blocks.
    pub(crate) fn leaf(&mut self, id: &Digest) -> Result<Arc<Segment>, ArchiveError> {
        if let Some((_, leaf)) = self.leaves.iter().find(|leaf| leaf.0 == *id) {
            return Ok(Arc::clone(leaf));
        }
        let body = self.body(LEAF, id)?;
        let mut cursor = Cursor::new(&body);
        let segment = Segment::decode(&mut cursor)
            .and_then(|segment| cursor.finish().map(|()| segment).map_err(Into::into))
            .map_err(|error| self.damaged(id, error))?;
        self.note(&segment);
        let segment = Arc::new(segment);
        keep(&mut self.leaves, LEAVES, (*id, Arc::clone(&segment)));
        Ok(segment)
    }

    /// Tells the repository what the packs of a segment were sealed with.
    fn note(&self, segment: &Segment) {
        for pack in &segment.packs {
            if let Some(SealedAt { run, salt }) = pack.sealed {
                self.repository.note_sealed(pack.id, SealedAt { run, salt });
            }
        }
    }

    fn body(&self, kind: u8, id: &Digest) -> Result<Vec<u8>, ArchiveError> {
        let object = self
            .handle
            .block_on(object(&self.repository, &self.cache, &self.store, id))?;
        decode(&self.seal, kind, &object).map_err(|error| self.damaged(id, error))
    }

    fn damaged(&self, id: &Digest, error: super::IndexError) -> ArchiveError {
        ArchiveError::damaged(&layout::index(&self.store, id), error)
    }
}

fn keep<T>(kept: &mut VecDeque<T>, most: usize, item: T) {
    if kept.len() >= most {
        kept.pop_front();
    }
    kept.push_back(item);
}

async fn object(repository: &Repository, cache: &Cache, store: &str, id: &Digest) -> Result<Vec<u8>, ArchiveError> {
    if let Some(bytes) = cache.read(id) {
        return Ok(bytes);
    }
    let object = layout::index(store, id);
    let bytes = repository.get_content(&object, id, OBJECT_MAX, "the manifest").await?;
    cache.write(id, &bytes);
    Ok(bytes.to_vec())
}
