//! What of a tree is kept, and what of it is left out.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use muster_stores::files::{FilesSource, TreeRehearsed};
use muster_stores::{CheckOutcome, EntryKind, Rehearsed as _, Sandbox, Source as _, StoreError, Taken, Xattr};
use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use crate::collected::{Collected, scratch, text};

const STARTED: &str = "2026-05-04T03:02:01Z";

fn take_into(tree: &Path, exclude: &[&str], sink: &mut Collected) -> Taken {
    FilesSource::new(tree, exclude, STARTED.to_owned())
        .unwrap()
        .snapshot(sink)
        .unwrap()
}

fn take(tree: &Path, exclude: &[&str]) -> Collected {
    let mut sink = Collected::default();
    take_into(tree, exclude, &mut sink);
    sink
}

#[test]
fn entries_come_depth_first_in_the_byte_order_of_names_each_directory_before_what_is_in_it() {
    let tree = scratch();
    for path in ["b", "a", "B", "a.txt", "a/z", "a/é"] {
        fs::create_dir_all(tree.path().join(path).parent().unwrap()).unwrap();
        if path == "a" {
            fs::create_dir(tree.path().join(path))
        } else {
            fs::write(tree.path().join(path), path)
        }
        .unwrap();
    }
    let sink = take(tree.path(), &[]);
    assert_eq!(sink.paths(), ["B", "a", "a/z", "a/\\xc3\\xa9", "a.txt", "b"]);
    assert_eq!(sink.content_of("a/é"), "a/é".as_bytes());
    assert!(sink.unreadable.is_empty(), "{:?}", sink.unreadable);
}

#[test]
fn the_consistency_point_is_the_instant_of_the_start_and_says_that_a_tree_is_not_atomic() {
    let tree = scratch();
    fs::create_dir(tree.path().join("d")).unwrap();
    fs::write(tree.path().join("d/f"), "12345").unwrap();
    let taken = take_into(tree.path(), &[], &mut Collected::default());
    let point = serde_json::to_value(&taken.consistency_point).unwrap();
    assert_eq!(
        point,
        serde_json::json!({ "time": STARTED, "atomic": false, "entries": 2, "files": 1, "bytes": 5 })
    );
    assert_eq!(taken.identity["path"], tree.path().to_str().unwrap());
}

#[test]
fn mode_owner_and_times_are_kept_to_the_nanosecond() {
    let tree = scratch();
    let path = tree.path().join("f");
    fs::write(&path, "x").unwrap();
    std::os::unix::fs::chown(&path, Some(1234), Some(5678)).expect("chown needs root: run the tests as root");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o6751)).unwrap();
    let stamp = Timespec {
        tv_sec: -5,
        tv_nsec: 123_456_789,
    };
    let times = Timestamps {
        last_access: stamp,
        last_modification: stamp,
    };
    rustix::fs::utimensat(CWD, &path, &times, rustix::fs::AtFlags::empty()).unwrap();
    let sink = take(tree.path(), &[]);
    let entry = sink.entry_of("f");
    assert_eq!((entry.mode, entry.uid, entry.gid), (0o6751, 1234, 5678));
    assert_eq!((entry.mtime_seconds, entry.mtime_nanos), (-5, 123_456_789));
}

#[test]
fn reading_leaves_the_access_time_alone() {
    let tree = scratch();
    let path = tree.path().join("f");
    fs::write(&path, "x").unwrap();
    let old = Timespec { tv_sec: 1, tv_nsec: 0 };
    let times = Timestamps {
        last_access: old,
        last_modification: old,
    };
    rustix::fs::utimensat(CWD, &path, &times, rustix::fs::AtFlags::empty()).unwrap();
    take(tree.path(), &[]);
    assert_eq!(fs::metadata(&path).unwrap().atime(), 1);
}

#[test]
fn links_are_kept_as_they_are_stored_and_never_followed() {
    let outside = scratch();
    fs::write(outside.path().join("secret"), "not ours").unwrap();
    let tree = scratch();
    symlink(outside.path(), tree.path().join("dir")).unwrap();
    symlink(outside.path().join("secret"), tree.path().join("file")).unwrap();
    symlink(OsStr::from_bytes(b"nowhere/\xff"), tree.path().join("dangling")).unwrap();
    let sink = take(tree.path(), &[]);
    assert_eq!(sink.paths(), ["dangling", "dir", "file"]);
    let target = |path: &str| match &sink.entry_of(path).kind {
        EntryKind::Symlink { target } => target.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(target("dir"), outside.path().as_os_str().as_bytes());
    assert_eq!(target("dangling"), b"nowhere/\xff");
    assert!(sink.files.is_empty() && sink.unreadable.is_empty());
}

#[test]
fn the_second_name_of_a_file_is_a_hard_link_to_the_first() {
    let tree = scratch();
    fs::create_dir(tree.path().join("d")).unwrap();
    fs::write(tree.path().join("b"), "one").unwrap();
    fs::hard_link(tree.path().join("b"), tree.path().join("d/a")).unwrap();
    fs::hard_link(tree.path().join("b"), tree.path().join("z")).unwrap();
    fs::write(tree.path().join("same"), "one").unwrap();
    let sink = take(tree.path(), &[]);
    for further in ["d/a", "z"] {
        assert_eq!(sink.entry_of(further).kind, EntryKind::HardLink { to: b"b".to_vec() });
    }
    assert_eq!(
        sink.files.len(),
        2,
        "the content is given once, and equal content is not a link"
    );
}

#[test]
fn a_hard_link_whose_first_name_is_excluded_or_outside_is_a_file() {
    let tree = scratch();
    fs::create_dir(tree.path().join("in")).unwrap();
    fs::write(tree.path().join("a.tmp"), "kept").unwrap();
    fs::hard_link(tree.path().join("a.tmp"), tree.path().join("in/b")).unwrap();
    assert_eq!(take(tree.path(), &["*.tmp"]).content_of("in/b"), b"kept");
    assert_eq!(take(&tree.path().join("in"), &[]).content_of("b"), b"kept");
}

#[test]
fn extended_attributes_that_a_restore_can_set_are_kept_sorted_and_labels_of_the_machine_are_not() {
    let tree = scratch();
    let set = |path: &str, name: &str, value: &[u8]| {
        rustix::fs::lsetxattr(tree.path().join(path), name, value, XattrFlags::empty())
            .unwrap_or_else(|error| panic!("{name} on {path}: {error}: target/ must be on a file system with xattrs"));
    };
    fs::write(tree.path().join("f"), "x").unwrap();
    fs::create_dir(tree.path().join("d")).unwrap();
    rustix::fs::mknodat(CWD, tree.path().join("p"), FileType::Fifo, Mode::from(0o660), 0).unwrap();
    set("f", "user.z", b"last");
    set("f", "user.a", b"\0\xff");
    set("f", "user.empty", b"");
    set("f", "trusted.overlay", b"of this machine");
    // version 2, permitted net_bind_service
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    set("f", "security.capability", &capability);
    // version 2: user::rw- user:1234:r-- group::r-- mask::r-- other::---
    let mut acl = vec![2, 0, 0, 0];
    for (tag, permission, id) in [
        (1_u16, 6_u16, u32::MAX),
        (2, 4, 1234),
        (4, 4, u32::MAX),
        (16, 4, u32::MAX),
        (32, 0, u32::MAX),
    ] {
        acl.extend(tag.to_le_bytes());
        acl.extend(permission.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    set("d", "system.posix_acl_default", &acl);
    set("p", "system.posix_acl_access", &acl);
    let sink = take(tree.path(), &[]);
    let pair = |name: &str, value: &[u8]| Xattr {
        name: name.into(),
        value: value.to_vec(),
    };
    assert_eq!(
        sink.entry_of("f").xattrs,
        [
            pair("security.capability", &capability),
            pair("user.a", b"\0\xff"),
            pair("user.empty", b""),
            pair("user.z", b"last")
        ]
    );
    assert_eq!(sink.entry_of("d").xattrs, [pair("system.posix_acl_default", &acl)]);
    assert_eq!(sink.entry_of("p").xattrs, [pair("system.posix_acl_access", &acl)]);
    assert!(sink.unreadable.is_empty(), "{:?}", sink.unreadable);
}

#[test]
fn holes_are_given_as_zeros_and_only_a_file_that_has_one_is_sparse() {
    let tree = scratch();
    let sparse = File::create(tree.path().join("sparse")).unwrap();
    sparse.write_all_at(b"head", 0).unwrap();
    sparse.write_all_at(b"middle", 3 << 20).unwrap();
    sparse.set_len(8 << 20).unwrap();
    File::create(tree.path().join("hole"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    fs::write(tree.path().join("full"), vec![0; 1 << 20]).unwrap();
    fs::write(tree.path().join("empty"), "").unwrap();
    let sink = take(tree.path(), &[]);
    let is = |path: &str| sink.entry_of(path).kind == EntryKind::File { sparse: true };
    assert_eq!(
        (is("sparse"), is("hole"), is("full"), is("empty")),
        (true, true, false, false)
    );
    for path in ["sparse", "hole", "full", "empty"] {
        assert!(
            sink.content_of(path) == fs::read(tree.path().join(path)).unwrap(),
            "{path}"
        );
    }
    assert!(sink.zeros > 7 << 20, "{} bytes came as holes", sink.zeros);
    assert!(sink.unreadable.is_empty(), "{:?}", sink.unreadable);
}

#[test]
fn pipes_and_devices_are_kept_without_being_opened_and_sockets_are_noted() {
    let tree = scratch();
    let node = |name: &str, kind, device| {
        rustix::fs::mknodat(CWD, tree.path().join(name), kind, Mode::from(0o600), device)
            .expect("mknod needs root: run the tests as root");
    };
    node("pipe", FileType::Fifo, 0);
    node("character", FileType::CharacterDevice, rustix::fs::makedev(240, 77));
    node("block", FileType::BlockDevice, rustix::fs::makedev(259, 70_000));
    let _listener = std::os::unix::net::UnixListener::bind(tree.path().join("socket")).unwrap();
    assert!(
        fs::symlink_metadata(tree.path().join("pipe"))
            .unwrap()
            .file_type()
            .is_fifo()
    );
    let sink = take(tree.path(), &[]);
    assert_eq!(sink.paths(), ["block", "character", "pipe"]);
    assert_eq!(sink.entry_of("pipe").kind, EntryKind::Fifo);
    assert_eq!(
        sink.entry_of("character").kind,
        EntryKind::Device {
            block: false,
            major: 240,
            minor: 77
        }
    );
    assert_eq!(
        sink.entry_of("block").kind,
        EntryKind::Device {
            block: true,
            major: 259,
            minor: 70_000
        }
    );
    assert_eq!(sink.notes, ["socket: a socket, passed over"]);
    assert!(sink.unreadable.is_empty());
}

#[test]
fn names_that_are_not_utf8_are_kept_as_bytes() {
    let tree = scratch();
    let directory = tree.path().join(OsStr::from_bytes(b"\xff\xfe"));
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join(OsStr::from_bytes(b"caf\xe9\n")), "latin").unwrap();
    let sink = take(tree.path(), &[]);
    assert_eq!(sink.content_of(b"\xff\xfe/caf\xe9\n"), b"latin");
}

#[test]
fn what_is_excluded_is_not_there_and_an_excluded_directory_is_not_entered() {
    let tree = scratch();
    for path in [
        "cache/x",
        "a/cache/y",
        "a/keep.txt",
        "a/drop.tmp",
        "top/sub/n",
        "a/top/n",
        "logs/x.log",
        "logs/deep/x.log",
    ] {
        fs::create_dir_all(tree.path().join(path).parent().unwrap()).unwrap();
        fs::write(tree.path().join(path), path).unwrap();
    }
    let sink = take(tree.path(), &["*.tmp", "cache/", "/top", "logs/*.log"]);
    assert_eq!(
        sink.paths(),
        [
            "a",
            "a/keep.txt",
            "a/top",
            "a/top/n",
            "logs",
            "logs/deep",
            "logs/deep/x.log"
        ]
    );
}

#[test]
fn a_pattern_that_cannot_work_is_an_error_of_the_settings_and_names_it() {
    let error = FilesSource::new("/", &["ok", "a[b"], STARTED.to_owned()).unwrap_err();
    assert!(
        matches!(error, StoreError::Settings { .. }) && text(&error).contains("\"a[b\""),
        "{error}"
    );
}

#[test]
fn a_root_that_is_not_there_or_not_a_directory_is_refused_by_name() {
    let tree = scratch();
    fs::write(tree.path().join("file"), "x").unwrap();
    for (name, reason) in [("missing", "does not exist"), ("file", "not a directory")] {
        let mut source = FilesSource::new::<&str>(tree.path().join(name), &[], STARTED.to_owned()).unwrap();
        let error = source.snapshot(&mut Collected::default()).unwrap_err();
        let text = text(&error);
        assert!(
            matches!(error, StoreError::Refused { .. }) && text.contains(name) && text.contains(reason),
            "{text}"
        );
    }
}

#[test]
fn a_sink_that_takes_no_more_ends_the_walk() {
    let tree = scratch();
    fs::write(tree.path().join("a"), vec![1; 1 << 20]).unwrap();
    let mut sink = Collected {
        room: Some(300 << 10),
        ..Collected::default()
    };
    let error = FilesSource::new::<&str>(tree.path(), &[], STARTED.to_owned())
        .unwrap()
        .snapshot(&mut sink)
        .unwrap_err();
    assert!(matches!(error, StoreError::Sink(_)), "{error}");
}

#[test]
fn a_hundred_thousand_small_files_are_all_there() {
    let tree = tempfile::tempdir_in("/dev/shm").unwrap();
    for directory in 0..100 {
        let path = tree.path().join(format!("{directory:02}"));
        fs::create_dir(&path).unwrap();
        for file in 0..1000 {
            fs::write(path.join(format!("{file:03}")), format!("{directory}/{file}")).unwrap();
        }
    }
    let sink = take(tree.path(), &[]);
    assert_eq!(
        (sink.entries.len(), sink.files.len(), sink.unreadable.len()),
        (100_100, 100_000, 0)
    );
    assert!(sink.entries.is_sorted_by(|a, b| a.path < b.path));
}

fn started(data: &Path) -> TreeRehearsed {
    let sandbox = Sandbox {
        data: data.to_owned(),
        run: data.to_owned(),
        deadline: Instant::now() + Duration::from_secs(60),
        cancel: std::sync::Arc::default(),
    };
    let mut tree = TreeRehearsed::new();
    tree.start(&sandbox, &mut |_| {}).unwrap();
    tree
}

#[test]
fn a_check_of_a_restored_tree_is_a_glob_that_must_find_a_file_with_content() {
    let tree = scratch();
    fs::create_dir_all(tree.path().join("saves/1")).unwrap();
    fs::write(tree.path().join("saves/1/world.dat"), "x").unwrap();
    fs::write(tree.path().join("empty.dat"), "").unwrap();
    symlink("/etc/passwd", tree.path().join("link.conf")).unwrap();
    let mut rehearsed = started(tree.path());
    let mut check = |glob: &str| rehearsed.check(glob, Duration::from_secs(60));
    for glob in ["*.dat", "saves/**", "saves/*/world.dat"] {
        assert_eq!(
            check(glob),
            CheckOutcome::Passed {
                actual: "saves/1/world.dat".to_owned()
            }
        );
    }
    for glob in ["empty.dat", "link.conf", "saves", "world.dat/x", "*.sav"] {
        assert!(
            matches!(check(glob), CheckOutcome::Failed { .. }),
            "{glob}: {:?}",
            check(glob)
        );
    }
    assert!(matches!(check("a[b"), CheckOutcome::CouldNotRun { reason } if reason.contains("a[b")));
    assert!(matches!(
        rehearsed.check("*.dat", Duration::ZERO),
        CheckOutcome::CouldNotRun { reason } if reason.contains("no end")
    ));
}

#[test]
fn a_write_to_a_restored_tree_leaves_it_as_it_was() {
    let tree = scratch();
    fs::write(tree.path().join(".muster-rehearsal-0"), "somebody's").unwrap();
    let mut rehearsed = started(tree.path());
    assert!(rehearsed.identity().unwrap().is_empty());
    rehearsed.write().unwrap();
    let sink = take(tree.path(), &[]);
    assert_eq!(sink.paths(), [".muster-rehearsal-0"]);
    assert_eq!(sink.content_of(".muster-rehearsal-0"), b"somebody's");
    rehearsed.stop().unwrap();
    rehearsed.stop().unwrap();
    assert!(rehearsed.write().is_err());
}

#[test]
fn a_restored_tree_that_is_not_there_does_not_start() {
    let tree = scratch();
    let data = tree.path().join("gone");
    let sandbox = Sandbox {
        data,
        run: tree.path().to_owned(),
        deadline: Instant::now(),
        cancel: std::sync::Arc::default(),
    };
    let error = TreeRehearsed::new().start(&sandbox, &mut |_| {}).unwrap_err();
    assert!(text(&error).contains("gone"), "{}", text(&error));
}
