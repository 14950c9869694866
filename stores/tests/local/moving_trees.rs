//! Trees that change while they are read: everything that moved is named, the rest is there, and nothing leads out.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use muster_stores::EntryKind;
use muster_stores::Source as _;
use muster_stores::files::FilesSource;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::collected::{Collected, Moment, scratch};

fn take(tree: &Path, mut sink: Collected) -> Collected {
    FilesSource::new::<&str>(tree, &[], "2026-05-04T03:02:01Z".to_owned())
        .unwrap()
        .snapshot(&mut sink)
        .unwrap();
    sink
}

/// Does something once, when the walk comes to `path`.
fn at(moment: Moment, path: &'static str, deed: impl FnOnce() + 'static) -> Collected {
    let mut deed = Some(deed);
    Collected::with(move |now, here| {
        if now == moment
            && here == path.as_bytes()
            && let Some(deed) = deed.take()
        {
            deed();
        }
    })
}

fn tree_of(paths: &[&str]) -> (tempfile::TempDir, impl Fn(&str) -> PathBuf + Clone + 'static) {
    let tree = scratch();
    for path in paths {
        fs::create_dir_all(tree.path().join(path).parent().unwrap()).unwrap();
        fs::write(tree.path().join(path), path).unwrap();
    }
    let root = tree.path().to_owned();
    (tree, move |path: &str| root.join(path))
}

#[test]
fn a_file_and_a_directory_that_vanish_are_named_and_the_rest_is_there() {
    let (tree, path) = tree_of(&["a", "b", "c/x", "d"]);
    let sink = take(
        tree.path(),
        at(Moment::Begin, "a", move || {
            fs::remove_file(path("b")).unwrap();
            fs::remove_dir_all(path("c")).unwrap();
        }),
    );
    assert_eq!(sink.paths(), ["a", "d"]);
    assert_eq!(sink.told_of("b"), "vanished before it could be read");
    assert_eq!(sink.told_of("c"), "vanished before it could be read");
    assert_eq!(sink.unreadable.len(), 2);
}

#[test]
fn a_file_that_grows_is_kept_up_to_its_first_size_and_named() {
    let (tree, path) = tree_of(&["a"]);
    let content = vec![7; 1 << 20];
    fs::write(path("a"), &content).unwrap();
    let mut file = OpenOptions::new().append(true).open(path("a")).unwrap();
    // With every read it grows by more than was read: a walk that ran after its end would never end.
    let sink = Collected::with(move |moment, _| {
        if moment == Moment::Write {
            file.write_all(&[8; 512 << 10]).unwrap();
        }
    });
    let sink = take(tree.path(), sink);
    assert!(sink.content_of("a") == content);
    assert!(
        sink.told_of("a").starts_with("grew from 1048576 to "),
        "{}",
        sink.told_of("a")
    );
}

#[test]
fn a_file_that_shrinks_is_kept_as_far_as_it_was_read_and_named() {
    let (tree, path) = tree_of(&["a", "b"]);
    fs::write(path("a"), vec![7; 1 << 20]).unwrap();
    let file = OpenOptions::new().write(true).open(path("a")).unwrap();
    let sink = take(
        tree.path(),
        at(Moment::Write, "a", move || file.set_len(300 << 10).unwrap()),
    );
    assert!(sink.content_of("a") == vec![7; 300 << 10]);
    assert_eq!(
        sink.told_of("a"),
        "shrank from 1048576 to 307200 bytes while it was read"
    );
    assert_eq!(sink.content_of("b"), b"b");
}

#[test]
fn a_sparse_file_that_shrinks_does_not_get_zeros_that_it_never_had() {
    let (tree, path) = tree_of(&["a"]);
    let file = File::create(path("a")).unwrap();
    file.set_len(1 << 20).unwrap();
    file.write_all_at(b"x", 512 << 10).unwrap();
    let writer = OpenOptions::new().write(true).open(path("a")).unwrap();
    let sink = take(
        tree.path(),
        at(Moment::Write, "a", move || writer.set_len(600 << 10).unwrap()),
    );
    assert!(sink.content_of("a") == fs::read(path("a")).unwrap());
    assert!(sink.told_of("a").starts_with("shrank from"), "{}", sink.told_of("a"));
}

#[test]
fn a_file_that_is_overwritten_in_place_is_named() {
    let (tree, path) = tree_of(&["a"]);
    let old = rustix::fs::Timespec { tv_sec: 1, tv_nsec: 0 };
    let times = rustix::fs::Timestamps {
        last_access: old,
        last_modification: old,
    };
    rustix::fs::utimensat(CWD, path("a"), &times, rustix::fs::AtFlags::empty()).unwrap();
    let file = OpenOptions::new().write(true).open(path("a")).unwrap();
    let sink = take(
        tree.path(),
        at(Moment::Write, "a", move || file.write_all_at(b"b", 0).unwrap()),
    );
    assert_eq!(sink.told_of("a"), "changed while it was read");
    assert_eq!(sink.content_of("a").len(), 1);
}

#[test]
fn a_file_that_became_a_pipe_or_a_link_is_taken_for_what_it_is_and_does_not_hang() {
    let (tree, path) = tree_of(&["a", "b", "c"]);
    let sink = take(
        tree.path(),
        at(Moment::Begin, "a", move || {
            fs::remove_file(path("b")).unwrap();
            rustix::fs::mknodat(CWD, path("b"), FileType::Fifo, Mode::from(0o600), 0).unwrap();
            fs::remove_file(path("c")).unwrap();
            symlink("/etc/passwd", path("c")).unwrap();
        }),
    );
    assert_eq!(sink.entry_of("b").kind, EntryKind::Fifo);
    assert_eq!(
        sink.entry_of("c").kind,
        EntryKind::Symlink {
            target: b"/etc/passwd".to_vec()
        }
    );
    assert_eq!(sink.files.len(), 1);
}

#[test]
fn a_directory_that_became_a_link_does_not_lead_out_of_the_tree() {
    let outside = scratch();
    fs::write(outside.path().join("x"), "not ours").unwrap();
    let target = outside.path().to_owned();
    let (tree, path) = tree_of(&["d/a", "d/x", "e/x"]);
    // Once while "d" is being read, once before "e" is.
    let sink = at(Moment::Begin, "d/a", move || {
        for name in ["d", "e"] {
            fs::rename(path(name), path(&format!("moved-{name}"))).unwrap();
            symlink(&target, path(name)).unwrap();
        }
    });
    let sink = take(tree.path(), sink);
    assert_eq!(
        sink.content_of("d/x"),
        b"d/x",
        "the open directory is read on, wherever it is by now"
    );
    assert_eq!(
        sink.entry_of("e").kind,
        EntryKind::Symlink {
            target: outside.path().to_str().unwrap().into()
        }
    );
    assert!(sink.files.iter().all(|(_, content)| content != b"not ours"));
}

/// A chain of directories `d`, deeper than a path may be long, each with a file `z` in it.
fn deep(root: &Path, depth: usize) {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut here = rustix::fs::open(root, directory, Mode::empty()).unwrap();
    for _ in 0..depth {
        rustix::fs::mkdirat(&here, "d", Mode::from(0o700)).unwrap();
        let next = rustix::fs::openat(&here, "d", directory, Mode::empty()).unwrap();
        rustix::fs::openat(
            &next,
            "z",
            OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::from(0o600),
        )
        .unwrap();
        here = next;
    }
}

/// Removes what is too deep for a path.
fn remove(tree: tempfile::TempDir) {
    let removed = std::process::Command::new("rm")
        .arg("-rf")
        .arg(tree.path())
        .status()
        .unwrap();
    assert!(removed.success());
}

#[test]
fn a_tree_deeper_than_any_path_is_read_whole_with_few_descriptors() {
    let tree = scratch();
    deep(tree.path(), 2500);
    let sink = Collected::with(|_, path| {
        if path.len() % 97 == 0 {
            let open = fs::read_dir("/proc/self/fd").unwrap().count();
            assert!(open < 300, "{open} descriptors are open");
        }
    });
    let sink = take(tree.path(), sink);
    assert_eq!((sink.entries.len(), sink.files.len()), (5000, 2500));
    assert!(sink.unreadable.is_empty());
    remove(tree);
}

#[test]
fn a_deep_directory_that_is_swapped_for_a_link_is_lost_and_named_and_its_parents_are_read_on() {
    let outside = scratch();
    fs::write(outside.path().join("z"), "not ours").unwrap();
    let target = outside.path().to_owned();
    let tree = scratch();
    deep(tree.path(), 400);
    let level = |depth: usize| vec!["d"; depth].join("/");
    let swapped = tree.path().join(level(150));
    let bottom: &'static str = Box::leak(format!("{}/z", level(400)).into_boxed_str());
    let aside = tree.path().join("aside");
    let sink = take(
        tree.path(),
        at(Moment::Begin, bottom, move || {
            fs::rename(&swapped, aside).unwrap();
            symlink(target, swapped).unwrap();
        }),
    );
    assert_eq!(
        sink.told_of(&level(150)),
        "was moved while it was read; 1 names in it were passed over"
    );
    let paths = sink.paths();
    for depth in 1..=400 {
        let there = paths.contains(&format!("{}/z", level(depth)));
        let told = sink.unreadable.iter().any(|(path, _)| path == level(depth).as_bytes());
        assert!(there != told, "level {depth}: there {there}, told {told}");
        assert!(there || depth >= 150, "level {depth} lies above what was moved");
    }
    assert!(sink.files.iter().all(|(_, content)| content != b"not ours"));
    remove(tree);
}

#[test]
fn what_may_not_be_read_is_named_and_the_rest_is_there() {
    let (tree, path) = tree_of(&["a", "closed/x", "secret", "z"]);
    for (name, mode) in [("closed", 0o000), ("secret", 0o000)] {
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    // Root reads everything; a thread without these two capabilities does not.
    let root = tree.path().to_owned();
    let walk = std::thread::spawn(move || {
        let mut sets = capabilities(None).unwrap();
        sets.effective
            .remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
        set_capabilities(None, sets).unwrap();
        let sink = take(&root, Collected::default());
        (sink.paths(), sink.unreadable)
    });
    let (paths, unreadable) = walk.join().unwrap();
    assert_eq!(paths, ["a", "closed", "z"]);
    let denied = |path: &str| (path.as_bytes().to_vec(), "permission denied".to_owned());
    assert_eq!(unreadable, [denied("closed"), denied("secret")]);
    fs::set_permissions(path("closed"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_file_whose_reads_fail_or_end_early_is_kept_as_far_as_it_was_read_and_named() {
    // The kernel's own files: of 4096 bytes each, they end where they please, and some refuse to be read at all.
    let sink = take(Path::new("/sys/class/net/lo/"), Collected::default());
    let refused = sink.told_of("speed");
    assert!(refused.starts_with("could not be read beyond byte 0: "), "{refused}");
    assert_eq!(sink.content_of("speed"), b"");
    assert_eq!(sink.told_of("mtu"), "ended early while it was read");
    assert_eq!(sink.content_of("mtu"), fs::read("/sys/class/net/lo/mtu").unwrap());
}
