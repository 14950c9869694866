//! Tree objects as bytes: listing leaves, extent maps, indexes (docs/format/archive.md, "Tree objects").
//!
//! Invariant: encoding what was decoded gives the same body; decoding never panics and never allocates beyond the page's bounds.

use muster_signing::Digest;

pub(crate) use super::packs::Packs;
use super::packs::{PackTable, take_packs};
use super::wire::{Cursor, put_bytes, put_varint};
use super::{
    Check, Content, Extent, FILE_MAX, FRAME_MAX, Group, Location, NodeKind, PATH_MAX, TreeEntry, TreeError, blocks,
    check_entry,
};
use crate::content::{BLOCK, HashKey};
use crate::seal::{Cipher, Part, RunId, SealError, SealedAt, TreeSeal};

const MAGIC: &[u8; 8] = b"MUSTTREE";
const VERSION: u8 = 1;
const HEADER: usize = 14;
/// Bit of the kind in the header: the body is sealed.
const SEALED: u8 = 0x80;
/// Bytes of the header of a sealed object: run and salt follow.
const SEALED_HEADER: usize = HEADER + 48;
pub(super) const BODY_MAX: usize = 16 << 20;
/// Most extents of a tree object: 1 GiB in pages of 4 KiB.
const EXTENTS_MAX: usize = 1 << 18;
/// Most logical bytes of an extent map.
pub(crate) const MAP_BYTES: u64 = 1 << 30;
/// What several extents of one block stand behind.
const TAG_GROUP: u8 = 3;
const KIND_LEAF: u8 = 1;
const KIND_MAP: u8 = 2;
const KIND_INDEX: u8 = 3;
/// Most bytes of a tree object: an incompressible body and zstd's overhead.
pub(crate) const OBJECT_MAX: u64 = (BODY_MAX + BODY_MAX / 128 + 1024) as u64;

/// The decoded body of a listing leaf or an index.
pub(crate) struct Body {
    kind: u8,
    bytes: Vec<u8>,
}

impl Body {
    /// What is equal where kind and bytes are.
    pub(crate) fn hash(&self, key: &HashKey) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(key.as_bytes());
        hasher.update(&[self.kind]).update(&self.bytes);
        *hasher.finalize().as_bytes()
    }

    /// Its object, sealed where `sealing` is there.
    pub(crate) fn object(&self, sealing: Option<&TreeSeal>) -> Result<Vec<u8>, SealError> {
        seal(self.kind, &self.bytes, sealing)
    }
}

/// Where entries gather until they make a listing leaf.
#[derive(Default)]
pub(crate) struct LeafBuilder {
    packs: PackTable,
    entries: Vec<u8>,
    count: u64,
    first: Option<Vec<u8>>,
}

impl LeafBuilder {
    pub(crate) fn push(&mut self, entry: &TreeEntry) {
        put_entry(&mut self.entries, &mut self.packs, entry);
        self.first.get_or_insert_with(|| entry.path.clone());
        self.count += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether a leaf ends after the entry with this path, which was pushed last.
    pub(crate) fn ends_after(&self, path: &[u8]) -> bool {
        let hash = blake3::hash(path);
        let cut = u16::from_be_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]) >> 6 == 0;
        self.count >= 4096 || self.entries.len() >= 1 << 20 || (cut && self.count >= 64)
    }

    /// The leaf, number of entries and first path; leaves the builder empty.
    pub(crate) fn finish(&mut self, sealing: Option<&TreeSeal>) -> Result<(Body, u64, Vec<u8>), SealError> {
        let taken = std::mem::take(self);
        let mut bytes = taken.packs.encode(sealing)?;
        put_varint(&mut bytes, taken.count);
        bytes.extend_from_slice(&taken.entries);
        let body = Body { kind: KIND_LEAF, bytes };
        Ok((body, taken.count, taken.first.unwrap_or_default()))
    }
}

/// The object of one extent map.
pub(crate) fn encode_map(extents: &[Extent], sealing: Option<&TreeSeal>) -> Result<Vec<u8>, SealError> {
    let mut packs = PackTable::default();
    let mut tail = Vec::with_capacity(extents.len() * 48);
    put_extents(&mut tail, &mut packs, extents);
    let mut body = packs.encode(sealing)?;
    body.extend_from_slice(&tail);
    seal(KIND_MAP, &body, sealing)
}

/// A child of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) id: Digest,
    pub(crate) entries: u64,
    pub(crate) first: Vec<u8>,
}

/// An index object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) hash_key: HashKey,
    pub(crate) level: u8,
    pub(crate) ordered: bool,
    pub(crate) children: Vec<Child>,
}

impl Index {
    pub(crate) fn body(&self) -> Body {
        let mut body = self.hash_key.as_bytes().to_vec();
        body.extend_from_slice(&[self.level, u8::from(self.ordered)]);
        put_varint(&mut body, self.children.len() as u64);
        for child in &self.children {
            body.extend_from_slice(child.id.as_bytes());
            put_varint(&mut body, child.entries);
            put_bytes(&mut body, &child.first);
        }
        Body {
            kind: KIND_INDEX,
            bytes: body,
        }
    }
}

/// Decodes a plain index object.
#[cfg(test)]
pub(crate) fn decode_index(object: &[u8]) -> Result<Index, TreeError> {
    read_index(object, None)
}

/// Decodes an index object; `cipher` opens it where it is sealed.
pub(crate) fn read_index(object: &[u8], cipher: Option<&Cipher>) -> Result<Index, TreeError> {
    let body = unseal(KIND_INDEX, object, cipher)?;
    let mut cursor = Cursor::new(&body);
    let hash_key = HashKey::new(cursor.array()?);
    let level = cursor.byte()?;
    let ordered = match cursor.byte()? {
        0 => false,
        1 => true,
        _ => return Err(TreeError("an index has an unknown order")),
    };
    if level > 8 {
        return Err(TreeError("an index is nested too deep"));
    }
    let count = cursor.count(BODY_MAX / 34, 34)?;
    let mut children = Vec::with_capacity(count);
    for _ in 0..count {
        let id = Digest::from_bytes(cursor.array()?);
        let entries = cursor.varint()?;
        children.push(Child {
            id,
            entries,
            first: cursor.bytes(PATH_MAX)?.to_vec(),
        });
    }
    cursor.finish()?;
    Ok(Index {
        hash_key,
        level,
        ordered,
        children,
    })
}

/// The ids that a plain index object names, in order, for tools that only follow references.
pub fn decode_index_children(object: &[u8]) -> Result<Vec<Digest>, TreeError> {
    Ok(read_index(object, None)?
        .children
        .into_iter()
        .map(|child| child.id)
        .collect())
}

/// Decodes a plain listing leaf.
pub fn decode_leaf(object: &[u8]) -> Result<Vec<TreeEntry>, TreeError> {
    Ok(read_leaf(object, None)?.0)
}

/// Decodes a listing leaf; `cipher` opens it where it is sealed. With it come its packs.
pub(crate) fn read_leaf(object: &[u8], cipher: Option<&Cipher>) -> Result<(Vec<TreeEntry>, Packs), TreeError> {
    let body = unseal(KIND_LEAF, object, cipher)?;
    let mut cursor = Cursor::new(&body);
    let packs = take_packs(&mut cursor, cipher.is_some())?;
    let count = cursor.count(1 << 20, 20)?;
    let mut entries = Vec::with_capacity(count);
    let mut room = EXTENTS_MAX;
    for _ in 0..count {
        entries.push(take_entry(&mut cursor, &packs.ids, &mut room)?);
    }
    cursor.finish()?;
    Ok((entries, packs))
}

/// Decodes a plain extent map.
pub fn decode_map(object: &[u8]) -> Result<Vec<Extent>, TreeError> {
    Ok(read_map(object, None)?.0)
}

/// Decodes an extent map; `cipher` opens it where it is sealed. With it come its packs.
pub(crate) fn read_map(object: &[u8], cipher: Option<&Cipher>) -> Result<(Vec<Extent>, Packs), TreeError> {
    let body = unseal(KIND_MAP, object, cipher)?;
    let mut cursor = Cursor::new(&body);
    let packs = take_packs(&mut cursor, cipher.is_some())?;
    let mut room = EXTENTS_MAX;
    let extents = take_extents(&mut cursor, &packs.ids, &mut room)?;
    cursor.finish()?;
    if total_length(&extents).is_none_or(|total| total > MAP_BYTES) {
        return Err(TreeError("an extent map covers more than 1 GiB"));
    }
    Ok((extents, packs))
}

/// Writes the number of extents and groups, and each of them.
fn put_extents(out: &mut Vec<u8>, packs: &mut PackTable, extents: &[Extent]) {
    let inner: u64 = extents
        .iter()
        .filter_map(|extent| extent.group.as_ref())
        .map(|group| u64::from(group.extents).saturating_sub(1))
        .sum();
    put_varint(out, (extents.len() as u64).saturating_sub(inner));
    for block in blocks(extents) {
        if let Some(group) = block.first().and_then(|first| first.group.as_ref()) {
            put_varint(out, block.iter().map(|extent| extent.length).sum());
            out.push(TAG_GROUP);
            out.extend_from_slice(&group.hash);
            put_varint(out, block.len() as u64);
        }
        block.iter().for_each(|extent| put_extent(out, packs, extent));
    }
}

fn put_extent(out: &mut Vec<u8>, packs: &mut PackTable, extent: &Extent) {
    put_varint(out, extent.length);
    let Some(at) = &extent.location else {
        out.push(0);
        return;
    };
    let whole = at.within == 0 && u64::from(at.frame_length) == extent.length;
    out.push(if whole { 1 } else { 2 });
    match &extent.check {
        Check::Zeros => {}
        Check::Whole(hash) => out.extend_from_slice(hash),
        Check::Piece(first) => out.extend_from_slice(first),
    }
    put_varint(out, packs.position(at.pack));
    put_varint(out, u64::from(at.ordinal));
    put_varint(out, u64::from(at.offset));
    put_varint(out, u64::from(at.stored) * 2 + u64::from(at.raw));
    if !whole {
        put_varint(out, u64::from(at.frame_length));
        put_varint(out, u64::from(at.within));
    }
}

fn take_extents(cursor: &mut Cursor<'_>, packs: &[Digest], room: &mut usize) -> Result<Vec<Extent>, TreeError> {
    let count = cursor.count(*room, 2)?;
    *room -= count;
    let mut extents = Vec::with_capacity(count);
    let mut position = 0u64;
    for _ in 0..count {
        let (length, tag) = take_head(cursor)?;
        if tag == TAG_GROUP {
            if !position.is_multiple_of(BLOCK as u64) || length > BLOCK as u64 {
                return Err(TreeError("a group of extents is not a block"));
            }
            take_group(cursor, packs, room, length, &mut extents)?;
        } else {
            extents.push(take_extent(cursor, packs, length, tag, false)?);
        }
        position = position.saturating_add(length);
    }
    Ok(extents)
}

/// The extents of one block of `length` bytes.
fn take_group(
    cursor: &mut Cursor<'_>,
    packs: &[Digest],
    room: &mut usize,
    length: u64,
    extents: &mut Vec<Extent>,
) -> Result<(), TreeError> {
    let hash = cursor.array()?;
    let count = cursor.count((*room + 1).min(BLOCK), 2)?;
    if count < 2 {
        return Err(TreeError("a group has less than two extents"));
    }
    *room -= count - 1;
    let first = extents.len();
    for _ in 0..count {
        let (length, tag) = take_head(cursor)?;
        extents.push(take_extent(cursor, packs, length, tag, true)?);
    }
    if extents[first..].iter().all(|extent| extent.location.is_none()) {
        return Err(TreeError("a group of extents is zeros alone"));
    }
    if total_length(&extents[first..]) != Some(length) {
        return Err(TreeError("the extents of a group do not add up to its block"));
    }
    let extents_in_it = u32::try_from(count).map_err(|_| TreeError("a count is out of bounds"))?;
    extents[first].group = Some(Box::new(Group {
        hash,
        extents: extents_in_it,
    }));
    Ok(())
}

fn take_head(cursor: &mut Cursor<'_>) -> Result<(u64, u8), TreeError> {
    let length = cursor.varint()?;
    if length == 0 || length > FILE_MAX {
        return Err(TreeError("the length of an extent is out of bounds"));
    }
    Ok((length, cursor.byte()?))
}

fn take_extent(
    cursor: &mut Cursor<'_>,
    packs: &[Digest],
    length: u64,
    tag: u8,
    piece: bool,
) -> Result<Extent, TreeError> {
    if tag == 0 {
        return Ok(Extent::zeros(length));
    }
    let check = if piece {
        Check::Piece(cursor.array()?)
    } else {
        Check::Whole(cursor.array()?)
    };
    let pack = usize::try_from(cursor.varint()?)
        .ok()
        .and_then(|at| packs.get(at))
        .copied();
    let pack = pack.ok_or(TreeError("an extent names a pack that is not in its table"))?;
    let ordinal = cursor.u32()?;
    let offset = cursor.u32()?;
    let stored = cursor.varint()?;
    let raw = stored & 1 == 1;
    let stored = u32::try_from(stored / 2).map_err(|_| TreeError("a frame is too long"))?;
    let (frame_length, within) = match tag {
        1 => (
            u32::try_from(length).map_err(|_| TreeError("an extent is too long"))?,
            0,
        ),
        2 => (cursor.u32()?, cursor.u32()?),
        _ => return Err(TreeError("an extent has an unknown tag")),
    };
    let fits = u64::from(within)
        .checked_add(length)
        .is_some_and(|end| end <= u64::from(frame_length));
    if !fits || length == 0 || frame_length as usize > FRAME_MAX || stored as usize > FRAME_MAX {
        return Err(TreeError("an extent does not fit its frame"));
    }
    let location = Location {
        pack,
        ordinal,
        offset,
        stored,
        raw,
        frame_length,
        within,
    };
    Ok(Extent {
        length,
        check,
        location: Some(location),
        group: None,
    })
}

fn put_entry(out: &mut Vec<u8>, packs: &mut PackTable, entry: &TreeEntry) {
    put_bytes(out, &entry.path);
    out.push(entry.kind.code());
    put_varint(out, u64::from(entry.mode));
    put_varint(out, u64::from(entry.uid));
    put_varint(out, u64::from(entry.gid));
    out.extend_from_slice(&entry.mtime_seconds.to_le_bytes());
    out.extend_from_slice(&entry.mtime_nanos.to_le_bytes());
    put_varint(out, entry.xattrs.len() as u64);
    for (name, value) in &entry.xattrs {
        put_bytes(out, name);
        put_bytes(out, value);
    }
    match &entry.kind {
        NodeKind::File {
            sparse,
            size,
            digest,
            content,
        } => {
            let maps = matches!(content, Content::Maps(_));
            out.push(u8::from(*sparse) | (u8::from(maps) << 1));
            put_varint(out, *size);
            out.extend_from_slice(digest);
            match content {
                Content::Inline(extents) => {
                    put_extents(out, packs, extents);
                }
                Content::Maps(ids) => {
                    put_varint(out, ids.len() as u64);
                    ids.iter().for_each(|id| out.extend_from_slice(id.as_bytes()));
                }
            }
        }
        NodeKind::Symlink { target } => put_bytes(out, target),
        NodeKind::HardLink { to } => put_bytes(out, to),
        NodeKind::Device { major, minor, .. } => {
            put_varint(out, u64::from(*major));
            put_varint(out, u64::from(*minor));
        }
        NodeKind::Directory | NodeKind::Fifo => {}
    }
    put_varint(out, 0);
}

fn take_entry(cursor: &mut Cursor<'_>, packs: &[Digest], room: &mut usize) -> Result<TreeEntry, TreeError> {
    let path = cursor.bytes(PATH_MAX)?.to_vec();
    let code = cursor.byte()?;
    let mode = cursor.u32()?;
    let (uid, gid) = (cursor.u32()?, cursor.u32()?);
    let mtime_seconds = i64::from_le_bytes(cursor.array()?);
    let mtime_nanos = u32::from_le_bytes(cursor.array()?);
    let count = cursor.count(1024, 2)?;
    let mut xattrs = Vec::with_capacity(count);
    for _ in 0..count {
        let name = cursor.bytes(255)?.to_vec();
        xattrs.push((name, cursor.bytes(65_536)?.to_vec()));
    }
    let kind = match code {
        0 => take_file(cursor, packs, room)?,
        1 => NodeKind::Directory,
        2 => NodeKind::Symlink {
            target: cursor.bytes(PATH_MAX)?.to_vec(),
        },
        3 => NodeKind::HardLink {
            to: cursor.bytes(PATH_MAX)?.to_vec(),
        },
        4 => NodeKind::Fifo,
        5 | 6 => NodeKind::Device {
            block: code == 6,
            major: cursor.u32()?,
            minor: cursor.u32()?,
        },
        _ => return Err(TreeError("an entry has an unknown kind")),
    };
    cursor.bytes(65_536)?;
    let entry = TreeEntry {
        path,
        kind,
        mode,
        uid,
        gid,
        mtime_seconds,
        mtime_nanos,
        xattrs,
    };
    check_entry(&entry).map(|()| entry)
}

fn take_file(cursor: &mut Cursor<'_>, packs: &[Digest], room: &mut usize) -> Result<NodeKind, TreeError> {
    let flags = cursor.byte()?;
    if flags > 3 {
        return Err(TreeError("a file has unknown flags"));
    }
    let size = cursor.varint()?;
    let digest = cursor.array()?;
    let content = if flags & 2 == 0 {
        let extents = take_extents(cursor, packs, room)?;
        if total_length(&extents) != Some(size) {
            return Err(TreeError("a file's extents do not add up to its size"));
        }
        Content::Inline(extents)
    } else {
        let count = cursor.count(1 << 20, 32)?;
        Content::Maps(
            (0..count)
                .map(|_| Ok(Digest::from_bytes(cursor.array()?)))
                .collect::<Result<_, TreeError>>()?,
        )
    };
    Ok(NodeKind::File {
        sparse: flags & 1 == 1,
        size,
        digest,
        content,
    })
}

/// The logical length of extents; `None` where it overflows.
pub(crate) fn total_length(extents: &[Extent]) -> Option<u64> {
    extents
        .iter()
        .try_fold(0u64, |sum, extent| sum.checked_add(extent.length))
}

fn seal(kind: u8, body: &[u8], sealing: Option<&TreeSeal>) -> Result<Vec<u8>, SealError> {
    debug_assert!(body.len() <= BODY_MAX);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut object = Vec::with_capacity(HEADER + body.len() / 2);
    object.extend_from_slice(MAGIC);
    object.push(kind | if sealing.is_some() { SEALED } else { 0 });
    object.push(VERSION);
    object.extend_from_slice(&length.to_le_bytes());
    let frame = zstd::bulk::compress(body, 3).map_err(|error| SealError(format!("compress a tree object: {error}")))?;
    match sealing {
        None => object.extend_from_slice(&frame),
        Some(sealing) => sealing.append(kind, length, frame, &mut object)?,
    }
    Ok(object)
}

/// The run and salt in the header of a sealed tree object; `None` where it is plain, or no tree object.
pub(crate) fn sealed_at(object: &[u8]) -> Option<SealedAt> {
    let header = object.get(..SEALED_HEADER)?;
    let sealed = &header[..8] == MAGIC && header[8] & SEALED != 0;
    sealed.then_some(())?;
    Some(SealedAt {
        run: RunId::from_bytes(header[HEADER..HEADER + 16].try_into().ok()?),
        salt: header[HEADER + 16..].try_into().ok()?,
    })
}

fn unseal(kind: u8, object: &[u8], cipher: Option<&Cipher>) -> Result<Vec<u8>, TreeError> {
    let early = TreeError("it ends early");
    let (header, rest) = object.split_at_checked(HEADER).ok_or(early)?;
    if &header[..8] != MAGIC {
        return Err(TreeError("it does not begin with MUSTTREE"));
    }
    if header[9] > VERSION {
        return Err(TreeError("it needs a newer version of muster"));
    }
    if header[8] & !SEALED != kind {
        return Err(TreeError("it is a tree object of another kind"));
    }
    let length = u32::from_le_bytes([header[10], header[11], header[12], header[13]]);
    if length as usize > BODY_MAX {
        return Err(TreeError("its length is out of bounds"));
    }
    let mut opened = Vec::new();
    let frame = match (header[8] & SEALED != 0, cipher) {
        (false, None) => rest,
        (false, Some(_)) => return Err(TreeError("it is plain where it must be sealed")),
        (true, None) => return Err(TreeError("it is sealed, and its key is not at hand")),
        (true, Some(cipher)) => {
            let stored = rest.get(SEALED_HEADER - HEADER..).ok_or(TreeError("it ends early"))?;
            let part = Part {
                kind,
                ordinal: 0,
                stored: u32::try_from(stored.len()).map_err(|_| TreeError("its length is out of bounds"))?,
                decoded: length,
            };
            cipher
                .open(part, stored, &mut opened)
                .map_err(|_| TreeError("its body is not the one that its run sealed"))?;
            &opened
        }
    };
    let length = length as usize;
    let body = zstd::bulk::decompress(frame, length).map_err(|_| TreeError("its body cannot be decompressed"))?;
    if body.len() == length {
        Ok(body)
    } else {
        Err(TreeError("its body has another length than it says"))
    }
}

#[cfg(test)]
mod tests;
