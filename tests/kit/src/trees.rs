//! File trees for tests: one with everything that a backup must bring back, and a description of any tree that two can be
//! compared by.
//!
//! The description leaves nothing out that a restore promises: two trees with equal descriptions are equal to a user.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::{AtFlags, CWD, Gid, Timespec, Timestamps, Uid, XattrFlags};

/// What is told of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// File type and permission bits, as `st_mode` has them.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Seconds and nanoseconds of the last change of content.
    pub modified: (i64, i64),
    /// Device numbers, of device nodes.
    pub device: u64,
    /// Content of a file, target of a symbolic link.
    pub content: Vec<u8>,
    /// First path, in order, of the same inode.
    pub first_name: Option<Vec<u8>>,
    /// At least a quarter of the file is not on the disk.
    pub sparse: bool,
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Everything beneath `root`, by relative path.
pub fn describe(root: &Path) -> BTreeMap<Vec<u8>, Described> {
    let mut inodes = BTreeMap::new();
    let mut all = BTreeMap::new();
    walk(root, root, &mut all, &mut inodes);
    all
}

/// Demands that two trees are equal, and names the first differences.
#[track_caller]
pub fn assert_same(expected: &Path, actual: &Path) {
    let (expected, actual) = (describe(expected), describe(actual));
    let names: std::collections::BTreeSet<_> = expected.keys().chain(actual.keys()).collect();
    let mut wrong = Vec::new();
    for name in names {
        let (before, after) = (expected.get(name), actual.get(name));
        if before != after {
            wrong.push(format!(
                "{}:\n  {}\n  {}",
                String::from_utf8_lossy(name),
                short(before),
                short(after)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} entries differ\n{}",
        wrong.len(),
        wrong[..wrong.len().min(10)].join("\n")
    );
}

fn short(described: Option<&Described>) -> String {
    match described {
        None => "absent".to_owned(),
        Some(one) => {
            let start = String::from_utf8_lossy(&one.content[..one.content.len().min(40)]).into_owned();
            let shown = Described {
                content: start.into_bytes(),
                ..one.clone()
            };
            format!("{} bytes, {shown:?}", one.content.len())
        }
    }
}

fn walk(
    root: &Path,
    folder: &Path,
    all: &mut BTreeMap<Vec<u8>, Described>,
    inodes: &mut BTreeMap<(u64, u64), Vec<u8>>,
) {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("read a folder")
        .map(|entry| entry.expect("entry").path())
        .collect();
    paths.sort();
    for path in paths {
        let meta = fs::symlink_metadata(&path).expect("stat");
        let name = path
            .strip_prefix(root)
            .expect("beneath the root")
            .as_os_str()
            .as_bytes()
            .to_vec();
        let content = match () {
            () if meta.is_file() => fs::read(&path).expect("read a file"),
            () if meta.is_symlink() => fs::read_link(&path).expect("read a link").into_os_string().into_vec(),
            () => Vec::new(),
        };
        let first_name = (meta.is_file() && meta.nlink() > 1).then(|| {
            inodes
                .entry((meta.dev(), meta.ino()))
                .or_insert_with(|| name.clone())
                .clone()
        });
        let described = Described {
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            modified: (meta.mtime(), meta.mtime_nsec()),
            device: meta.rdev(),
            content,
            first_name,
            sparse: meta.is_file() && meta.size() >= 1 << 20 && meta.blocks() * 512 < meta.size() / 4 * 3,
            xattrs: xattrs(&path),
        };
        all.insert(name, described);
        if meta.is_dir() {
            walk(root, &path, all, inodes);
        }
    }
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let mut found = BTreeMap::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 65536];
        let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..]).expect("read an attribute");
        found.insert(name.to_vec(), value[..length].to_vec());
    }
    found
}

/// Builds a tree with one of everything: modes, owners, old and odd times, attributes, links of both kinds, holes, a pipe, names that are
/// not UTF-8, an empty file and an empty folder, and files of one block, one byte more, and several MiB.
///
/// Wants root (owners) and a file system with `user.` attributes.
pub fn build_everything(root: &Path) {
    fs::create_dir_all(root.join("levels/deep/er")).expect("folders");
    fs::create_dir(root.join("empty folder")).expect("folder");
    fs::write(root.join("empty file"), b"").expect("file");
    fs::write(root.join("levels/one.txt"), b"one\n").expect("file");
    fs::write(root.join("levels/deep/block"), noise(65536, 1)).expect("file");
    fs::write(root.join("levels/deep/block and one"), noise(65537, 2)).expect("file");
    fs::write(root.join("levels/deep/er/large.bin"), noise(5_000_000, 3)).expect("file");
    fs::write(root.join("levels/zeros"), vec![0; 300_000]).expect("file");
    fs::write(root.join(OsStr::from_bytes(b"na\xffme\x01\n")), b"not UTF-8").expect("file");
    fs::create_dir(root.join(OsStr::from_bytes(b"\xfe folder"))).expect("folder");
    fs::write(root.join(OsStr::from_bytes(b"\xfe folder/\xc3\x28")), b"inside").expect("file");

    let mut holes = File::create(root.join("holes")).expect("file");
    holes.seek(SeekFrom::Start(1 << 20)).expect("seek");
    holes.write_all(b"an island").expect("write");
    holes.set_len(8 << 20).expect("grow");
    drop(holes);

    fs::hard_link(root.join("levels/one.txt"), root.join("second name")).expect("link");
    symlink("levels/one.txt", root.join("link")).expect("link");
    symlink("/nowhere/at all", root.join("dangling")).expect("link");
    rustix::fs::mknodat(
        CWD,
        root.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o640),
        0,
    )
    .expect("pipe");

    set_xattr(&root.join("levels/one.txt"), "user.comment", b"kept \x00 whole");
    set_xattr(&root.join("levels"), "user.folder", b"yes");
    own(&root.join("levels/deep/block"), 1234, 4321);
    own(&root.join("link"), 1234, 4321);
    for (path, mode) in [
        ("levels/deep/block", 0o4751),
        ("levels/one.txt", 0o400),
        ("levels/deep", 0o2710),
        ("empty folder", 0o1777),
    ] {
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).expect("mode");
    }
    // Folders last and deepest first: making an entry moves its folder's time.
    for (path, seconds, nanos) in [
        ("levels/one.txt", 981_173_106, 123_456_789),
        ("levels/zeros", -86_400, 0),
        ("link", 1_000_000_000, 1),
        ("levels/deep/er", 1_111_111_111, 222_222_222),
        ("levels/deep", 1_222_222_222, 333_333_333),
        ("empty folder", 1_333_333_333, 0),
    ] {
        touch(&root.join(path), seconds, nanos);
    }
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Sets the time of the last change of content.
pub fn touch(path: &Path, seconds: i64, nanos: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanos,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("set a time");
}

fn own(path: &Path, uid: u32, gid: u32) {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .expect("change an owner: these tests run as root");
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())
        .expect("set an attribute: needs a file system with user.*");
}

/// A small file system of its own that can be filled up. Unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// A tmpfs of `bytes`. Wants root.
    pub fn new(bytes: u64) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("mdisk")
            .tempdir()
            .expect("make a mount point");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=755"), "mtest-disk"])
            .arg(folder.path())
            .status()
            .expect("run mount: apt-get install mount");
        assert!(
            status.success(),
            "mounting a small tmpfs failed: these tests run as root"
        );
        Self { folder }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}
