//! A local directory: the contract, and what others may do to the directory meanwhile.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::fs::File;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use muster_archive::object_store::{ErrorKind, LocalStore, ObjectStore, PutOptions, S3Options, open};
use muster_testkit::contract;
use rustix::fs::{FlockOperation, Mode};

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_keeps_the_contract() {
    let scratch = tempfile::tempdir().unwrap();
    let url = format!("file://{}/my%20disk/100%25/repository", scratch.path().display());
    let store = open(&url, &S3Options::default()).await.unwrap();
    assert_eq!(store.get("muster.dsse").await.unwrap_err().kind, ErrorKind::NoContainer);
    assert_eq!(store.list("").await.unwrap_err().kind, ErrorKind::NoContainer);
    let error = store
        .put("muster.dsse", Bytes::new(), PutOptions::CREATE)
        .await
        .unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::NoContainer,
        "a disk that is not mounted is not written beside"
    );
    contract::check(store).await;
    let root = scratch.path().join("my disk/100%/repository");
    assert!(root.join("packs/00/whole").is_file());
    assert_eq!(
        std::fs::read_dir(root.join(".tmp")).unwrap().count(),
        0,
        "no unfinished write stays"
    );
}

#[tokio::test]
async fn what_is_written_is_its_owners_alone() {
    let (scratch, store) = fresh().await;
    store
        .put("packs/ab/x", Bytes::from("x"), PutOptions::CREATE)
        .await
        .unwrap();
    store
        .put("checkpoint", Bytes::from("x"), PutOptions::OVERWRITE)
        .await
        .unwrap();
    for (path, expected) in [
        ("packs", 0o700),
        ("packs/ab", 0o700),
        (".tmp", 0o700),
        ("packs/ab/x", 0o600),
        ("checkpoint", 0o600),
    ] {
        let mode = std::fs::metadata(scratch.path().join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777;
        assert_eq!(mode, expected, "{path}: {mode:o}");
    }
}

#[tokio::test]
async fn no_link_leads_out_of_the_repository() {
    let (scratch, store) = fresh().await;
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    symlink(outside.path(), scratch.path().join("packs")).unwrap();
    symlink(outside.path().join("secret"), scratch.path().join("link")).unwrap();
    symlink(outside.path().join("new"), scratch.path().join("dangling")).unwrap();

    for key in ["packs/secret", "link", "dangling"] {
        assert_eq!(store.get(key).await.unwrap_err().kind, ErrorKind::NotFound, "{key}");
        assert_eq!(store.head(key).await.unwrap_err().kind, ErrorKind::NotFound, "{key}");
    }
    assert!(store.list("").await.unwrap().is_empty());
    for mode in [PutOptions::CREATE, PutOptions::OVERWRITE] {
        store.put("packs/written", Bytes::from("x"), mode).await.unwrap_err();
    }
    assert_eq!(
        store
            .put("dangling", Bytes::from("x"), PutOptions::CREATE)
            .await
            .unwrap_err()
            .kind,
        ErrorKind::AlreadyExists
    );
    store
        .put("link", Bytes::from("replaced"), PutOptions::OVERWRITE)
        .await
        .unwrap();
    store.delete("packs/secret").await.unwrap();
    assert_eq!(names(outside.path()), ["secret"]);
    assert_eq!(std::fs::read(outside.path().join("secret")).unwrap(), b"secret");
    assert_eq!(store.get("link").await.unwrap(), "replaced");
}

#[tokio::test]
async fn a_scratch_folder_that_leads_out_is_not_used() {
    let (scratch, store) = fresh().await;
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("1-0"), "not muster's").unwrap();
    symlink(outside.path(), scratch.path().join(".tmp")).unwrap();
    store.put("x", Bytes::from("x"), PutOptions::CREATE).await.unwrap_err();
    assert_eq!(names(outside.path()), ["1-0"]);
}

#[tokio::test]
async fn a_fifo_in_an_objects_place_hangs_nobody() {
    let (scratch, store) = fresh().await;
    let made = rustix::fs::mknodat(
        rustix::fs::CWD,
        scratch.path().join("checkpoint"),
        rustix::fs::FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    );
    made.unwrap();
    assert_eq!(store.get("checkpoint").await.unwrap_err().kind, ErrorKind::NotFound);
    assert!(store.list("").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_whole_objects_while_they_are_replaced() {
    let (_scratch, store) = fresh().await;
    let old_or_new = |byte: u8| Bytes::from(vec![byte; 300_000]);
    store
        .put("checkpoint", old_or_new(b'a'), PutOptions::CREATE)
        .await
        .unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        async move {
            for round in 0..60 {
                store
                    .put(
                        "checkpoint",
                        Bytes::from(vec![b'a' + round % 2; 300_000]),
                        PutOptions::OVERWRITE,
                    )
                    .await
                    .unwrap();
            }
            done.store(true, Ordering::Relaxed);
        }
    });
    while !done.load(Ordering::Relaxed) {
        let seen = store.get("checkpoint").await.unwrap();
        assert!(seen == old_or_new(seen[0]), "a mixture of {} bytes", seen.len());
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn the_remains_of_a_dead_run_go_and_a_living_one_is_let_be() {
    let (scratch, store) = fresh().await;
    let folder = scratch.path().join(".tmp");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("77-0"), vec![0; 1 << 20]).unwrap();
    let living = File::create(folder.join("78-0")).unwrap();
    rustix::fs::flock(&living, FlockOperation::LockExclusive).unwrap();

    store.put("x", Bytes::from("x"), PutOptions::CREATE).await.unwrap();
    assert_eq!(names(&folder), ["78-0"]);
    assert_eq!(
        store.list("").await.unwrap().len(),
        1,
        "no reader looks at unfinished writes"
    );
}

#[tokio::test]
async fn a_full_disk_says_so_and_keeps_what_it_had() {
    let disk = SmallDisk::mount();
    let store = open(&format!("file://{}", disk.0.path().display()), &S3Options::default())
        .await
        .unwrap();
    store
        .put("packs/small", Bytes::from(vec![1; 300_000]), PutOptions::CREATE)
        .await
        .unwrap();
    for mode in [PutOptions::CREATE, PutOptions::OVERWRITE] {
        let error = store
            .put("packs/large", Bytes::from(vec![2; 2 << 20]), mode)
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::NoSpace);
        assert!(error.to_string().contains("no space left"), "{error}");
    }
    assert_eq!(store.list("").await.unwrap().len(), 1);
    assert_eq!(store.get("packs/small").await.unwrap(), vec![1; 300_000]);
    store
        .put("packs/another", Bytes::from(vec![3; 300_000]), PutOptions::CREATE)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_object_cut_short_by_others_is_told_as_such() {
    let (scratch, store) = fresh().await;
    store
        .put("packs/x", Bytes::from("0123456789"), PutOptions::CREATE)
        .await
        .unwrap();
    File::options()
        .write(true)
        .open(scratch.path().join("packs/x"))
        .unwrap()
        .set_len(4)
        .unwrap();
    assert_eq!(
        store.get_range("packs/x", 2..8).await.unwrap_err().kind,
        ErrorKind::Truncated
    );
    assert_eq!(store.head("packs/x").await.unwrap().size, 4);
    std::fs::remove_dir_all(scratch.path().join("packs")).unwrap();
    assert_eq!(store.get("packs/x").await.unwrap_err().kind, ErrorKind::NotFound);
    store
        .put("packs/x", Bytes::from("again"), PutOptions::CREATE)
        .await
        .unwrap();
}

async fn fresh() -> (tempfile::TempDir, Arc<dyn ObjectStore>) {
    let scratch = tempfile::tempdir().unwrap();
    let store = LocalStore::new(scratch.path()).unwrap();
    store.prepare().await.unwrap();
    (scratch, Arc::new(store))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A file system of one megabyte.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs"])
            .arg(directory.path());
        assert!(
            mount.status().unwrap().success(),
            "a small tmpfs cannot be mounted: run the tests as root"
        );
        Self(directory)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let ended = Command::new("umount").arg(self.0.path()).status();
        assert!(
            std::thread::panicking() || ended.is_ok_and(|status| status.success()),
            "umount"
        );
    }
}
