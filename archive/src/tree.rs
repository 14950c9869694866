//! Trees: what a snapshot holds, entry by entry, extent by extent.
//!
//! Invariant: a decoded entry's path is relative and cannot leave the tree; every length was bounded before it was allocated.

mod codec;
mod packs;
pub(crate) mod wire;

#[cfg(test)]
pub(crate) use codec::decode_index;
pub(crate) use codec::{
    Body, Child, Index, LeafBuilder, OBJECT_MAX, Packs, encode_map, read_index, read_leaf, read_map, sealed_at,
};
pub use codec::{decode_index_children, decode_leaf, decode_map};

use muster_signing::Digest;

/// Most bytes of a frame, stored or decoded.
pub(crate) const FRAME_MAX: usize = 4 << 20;
/// Longest path of an entry, in bytes.
pub const PATH_MAX: usize = 4096;

/// Why bytes are not a tree object.
#[derive(Debug, thiserror::Error)]
#[error("not a tree object: {0}")]
pub struct TreeError(pub(crate) &'static str);

/// An entry of a snapshot's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// Relative path in bytes, `/`-separated, without empty, `.` or `..` components; need not be UTF-8.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: NodeKind,
    /// `st_mode & 0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds since the epoch.
    pub mtime_seconds: i64,
    /// Modification time: nanoseconds within the second.
    pub mtime_nanos: u32,
    /// Extended attributes as (name, value), sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl TreeEntry {
    /// A directory with mode 0755 and zero owner and times.
    pub fn directory(path: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            kind: NodeKind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime_seconds: 0,
            mtime_nanos: 0,
            xattrs: Vec::new(),
        }
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file.
    File {
        /// The source had holes: zeros come back as holes.
        sparse: bool,
        /// Logical length in bytes.
        size: u64,
        /// See [`crate::FileDigest`].
        digest: [u8; 32],
        /// Where the bytes are.
        content: Content,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// As stored; never followed.
        target: Vec<u8>,
    },
    /// A further name of an earlier file.
    HardLink {
        /// The earlier path.
        to: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A device node.
    Device {
        /// Block device, else character device.
        block: bool,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

impl NodeKind {
    /// The kind's code in the format.
    pub fn code(&self) -> u8 {
        match self {
            Self::File { .. } => 0,
            Self::Directory => 1,
            Self::Symlink { .. } => 2,
            Self::HardLink { .. } => 3,
            Self::Fifo => 4,
            Self::Device { block: false, .. } => 5,
            Self::Device { block: true, .. } => 6,
        }
    }
}

/// Where a file's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Few extents, in the listing itself.
    Inline(Vec<Extent>),
    /// Ids of extent maps, in file order.
    Maps(Vec<Digest>),
}

/// A run of logical bytes, stored in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Logical bytes, at most 4 MiB where a frame holds them.
    pub length: u64,
    /// What the logical bytes are compared with.
    pub check: Check,
    /// The frame that holds them; `None`: they are zeros.
    pub location: Option<Location>,
    /// Set on the first extent of those that make up one block together.
    pub group: Option<Box<Group>>,
}

impl Extent {
    /// A run of zeros.
    pub fn zeros(length: u64) -> Self {
        Self {
            length,
            check: Check::Zeros,
            location: None,
            group: None,
        }
    }
}

/// The extents of a file block by block: those of a block that lies in several pieces together, each other one alone.
pub fn blocks(extents: &[Extent]) -> impl Iterator<Item = &[Extent]> {
    let mut rest = extents;
    std::iter::from_fn(move || {
        let count = rest.first()?.group.as_ref().map_or(1, |group| group.extents as usize);
        let (block, after) = rest.split_at(count.clamp(1, rest.len()));
        rest = after;
        Some(block)
    })
}

/// What an extent's bytes are compared with ([`crate::HashKey::fits`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// They are zeros; `location` is `None` then, and only then.
    Zeros,
    /// Their keyed BLAKE3.
    Whole([u8; 32]),
    /// The first bytes of it, for a piece of a block: says which piece is wrong, while the block's own hash says that none is.
    Piece([u8; 8]),
}

impl Check {
    /// The check of a piece whose bytes have this hash.
    pub(crate) fn piece(hash: &[u8; 32]) -> Self {
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        Self::Piece(first)
    }
}

/// A block that is stored in several pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Keyed BLAKE3 of the whole block.
    pub hash: [u8; 32],
    /// How many extents make it up, the one that carries this included.
    pub extents: u32,
}

/// A slice of a frame in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The pack.
    pub pack: Digest,
    /// The frame's ordinal in the pack.
    pub ordinal: u32,
    /// The frame's offset in the pack, in bytes.
    pub offset: u32,
    /// The frame's stored length in bytes.
    pub stored: u32,
    /// Stored without compression.
    pub raw: bool,
    /// The frame's decoded length in bytes.
    pub frame_length: u32,
    /// Where in the decoded frame the extent begins.
    pub within: u32,
}

/// Longest file, in bytes: 32 TiB.
pub const FILE_MAX: u64 = 1 << 45;
/// Most bytes of one entry's extended attributes that a writer takes, names and values.
const XATTRS_MAX: usize = 1 << 20;

/// The rules that hold for an entry before it is written and after it was read.
pub(crate) fn check_entry(entry: &TreeEntry) -> Result<(), TreeError> {
    let xattrs = &entry.xattrs;
    let wrong = |reason| Err(TreeError(reason));
    if !is_valid_path(&entry.path) {
        return wrong("a path leaves the tree");
    }
    if entry.mode > 0o7777 {
        return wrong("a mode has unknown bits");
    }
    if entry.mtime_nanos >= 1_000_000_000 {
        return wrong("a time is out of bounds");
    }
    if xattrs.len() > 1024
        || xattrs
            .iter()
            .any(|(name, value)| name.len() > 255 || value.len() > 65_536)
    {
        return wrong("an extended attribute is out of bounds");
    }
    if xattrs
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum::<usize>()
        > XATTRS_MAX
    {
        return wrong("it has more than 1 MiB of extended attributes");
    }
    match &entry.kind {
        NodeKind::Symlink { target } if target.len() > PATH_MAX => wrong("the target of a link is too long"),
        NodeKind::HardLink { to } if !is_valid_path(to) => wrong("a path leaves the tree"),
        NodeKind::File { size, .. } if *size > FILE_MAX => wrong("a file is too long"),
        _ => Ok(()),
    }
}

/// Whether `path` may stand in a tree: see [`TreeEntry::path`].
pub fn is_valid_path(path: &[u8]) -> bool {
    !path.is_empty()
        && path.len() <= PATH_MAX
        && !path.contains(&0)
        && path
            .split(|byte| *byte == b'/')
            .all(|part| !part.is_empty() && part != b"." && part != b"..")
}
