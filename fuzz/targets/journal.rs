//! Files that an interrupted run leaves on its host: the journal of a backup, the journal of a restore, and remembered heads.
//!
//! Whatever they say, the next run goes on with what is whole in them, and what it goes on with is read by the run after it.

use std::path::PathBuf;
use std::sync::LazyLock;

use muster_archive::fuzzing::{heads_again, journal_again};
use muster_restore::fuzzing::journal_again as restore_again;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

fn record(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&length[..], body, &blake3::hash(body).as_bytes()[..8]].concat()
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let head = [&b"MUSTJRNL\x01"[..], &[7; 32], &1u64.to_le_bytes()].concat();
    let plain = record(&[&[1; 32][..], &100u64.to_le_bytes(), &[0], &[5; 96]].concat());
    let sealed = record(&[&[2; 32][..], &100u64.to_le_bytes(), &[1], &[4; 48], &[5; 48]].concat());
    let restore = r#"muster restore of a@b has not finished
{"schema":"muster.restore-journal/1","repository":"r","store":"a","snapshot":"b","tree":"t","include":["*.x"]}
"#;
    let root = "0".repeat(64);
    let heads = format!(r#"{{"fffffe6637d33ff7-c05f4b39":{{"size":3,"root":"sha256:{root}"}}}}"#);
    let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    vec![
        with(0, &[head.clone(), plain.clone(), sealed].concat()),
        with(0, &[head.clone(), u32::MAX.to_le_bytes().to_vec()].concat()),
        with(0, &[head, (64u32 << 20).to_le_bytes().to_vec()].concat()),
        with(1, &plain[4..]),
        with(2, restore.as_bytes()),
        with(3, heads.as_bytes()),
    ]
}

/// Takes one input: the first byte says which file the rest is.
pub(crate) fn check(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 4 {
        0 => goes_on(bytes),
        // A record whose length and checksum are right, behind a right head.
        1 => goes_on(&[&b"MUSTJRNL\x01"[..], &[7; 40], &record(bytes)].concat()),
        2 => {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            if let Some((journal, written)) = restore_again(text) {
                let (again, _) = restore_again(&written).expect("what was written is read");
                assert_eq!(again, journal);
            }
        }
        _ => {
            if let Some(written) = heads_again(bytes) {
                assert_eq!(heads_again(&written), Some(written.clone()));
            }
        }
    }
}

fn goes_on(bytes: &[u8]) {
    let path: PathBuf = FOLDER.path().join("journal");
    std::fs::write(&path, bytes).unwrap();
    let Some(found) = journal_again(&path) else { return };
    let kept = std::fs::read(&path).unwrap();
    assert!(bytes.starts_with(&kept), "what was whole is kept as it was");
    assert_eq!(journal_again(&path), Some(found));
    assert_eq!(std::fs::read(&path).unwrap(), kept);
}
