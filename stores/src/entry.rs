//! One entry of a snapshot's tree, as every kind of store describes it.
//!
//! Invariant: a path is relative, `/`-separated, not empty, without `.`, `..`, empty components or NUL; it need not be UTF-8.

/// A file, directory, link or special file, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative path in bytes; see the module's invariant. The tree's own root is not an entry.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with set-id and sticky bits (`st_mode & 0o7777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds since the epoch.
    pub mtime_seconds: i64,
    /// Modification time: nanoseconds within the second, below 1,000,000,000.
    pub mtime_nanos: u32,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<Xattr>,
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xattr {
    /// Full name with its namespace, e.g. `user.comment`.
    pub name: Vec<u8>,
    /// Raw value.
    pub value: Vec<u8>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file. Its content follows through the sink.
    File {
        /// The source has holes: zero blocks come back as holes, not as written zeros.
        sparse: bool,
    },
    /// A directory. It comes before everything in it.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Target as stored, never followed.
        target: Vec<u8>,
    },
    /// A further name of a file that came earlier in the same tree.
    HardLink {
        /// The path under which the content was given.
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
