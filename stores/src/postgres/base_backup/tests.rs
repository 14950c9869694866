//! A small base backup, whole and spoiled in every way that a stream can be.

use proptest::prelude::*;
use sha2::Digest as _;

use super::*;
use crate::postgres::tar::tests::{header, padded};

const SEGMENT: u64 = 1 << 20;
const SYSTEM: u64 = 77;

/// Keeps paths and counts bytes.
#[derive(Default)]
struct Kept {
    entries: Vec<(String, usize)>,
}

impl Sink for Kept {
    fn entry(&mut self, entry: Entry) -> Result<(), SinkError> {
        self.entries
            .push((String::from_utf8(entry.path).map_err(|_| SinkError)?, 0));
        Ok(())
    }

    fn begin_file(&mut self, entry: Entry) -> Result<(), SinkError> {
        self.entry(entry)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.entries.last_mut().ok_or(SinkError)?.1 += bytes.len();
        Ok(())
    }

    fn zeros(&mut self, _length: u64) -> Result<(), SinkError> {
        Err(SinkError)
    }

    fn end_file(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn unreadable(&mut self, _path: &[u8], _reason: String) {}
}

fn segment() -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(SEGMENT).unwrap()];
    for page in 0..SEGMENT / 8192 {
        let at = usize::try_from(page * 8192).unwrap();
        bytes[at + 8..at + 16].copy_from_slice(&(2 * SEGMENT + page * 8192).to_le_bytes());
    }
    bytes[24..32].copy_from_slice(&SYSTEM.to_le_bytes());
    bytes[32..36].copy_from_slice(&u32::try_from(SEGMENT).unwrap().to_le_bytes());
    bytes
}

fn file(path: &str, content: &[u8]) -> Vec<u8> {
    [header(path.as_bytes(), b'0', content.len() as u64), padded(content)].concat()
}

fn folder(path: &str) -> Vec<u8> {
    header(path.as_bytes(), b'5', 0)
}

fn line(path: &str, content: &[u8]) -> String {
    let crc = u32::try_from(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, content))
        .unwrap()
        .to_le_bytes();
    let crc: String = crc.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{{ \"Path\": \"{path}\", \"Size\": {}, \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"{crc}\" }}",
        content.len()
    )
}

fn manifest(lines: &[String]) -> Vec<u8> {
    let text = format!(
        "{{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n{}\n],\n\"WAL-Ranges\": [\n{{ \"Timeline\": 1, \"Start-LSN\": \
         \"0/200028\", \"End-LSN\": \"0/200100\" }}\n],\n",
        lines.join(",\n")
    );
    let digest: String = sha2::Sha256::digest(&text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{text}\"Manifest-Checksum\": \"{digest}\"}}\n").into_bytes()
}

/// The archives and the manifest of a cluster with one tablespace.
struct Stream {
    tablespace: Vec<u8>,
    base: Vec<u8>,
    manifest: Vec<u8>,
}

fn stream() -> Stream {
    let trailer = vec![0; 1024];
    let tablespace = [folder("PG_15"), file("PG_15/9", b"nine"), trailer.clone()].concat();
    let base = [
        file("backup_label", b"START"),
        folder("base"),
        file("base/1", &[7; 3000]),
        folder("global"),
        folder("pg_wal"),
        folder("./pg_wal/archive_status"),
        folder("pg_tblspc"),
        header(b"pg_tblspc/16385/", b'2', 0),
        file("global/pg_control", b"control"),
        file("pg_wal/000000010000000000000002", &segment()),
        trailer,
    ]
    .concat();
    let manifest = manifest(&[
        line("pg_tblspc/16385/PG_15/9", b"nine"),
        line("backup_label", b"START"),
        line("base/1", &[7; 3000]),
        line("global/pg_control", b"control"),
    ]);
    Stream {
        tablespace,
        base,
        manifest,
    }
}

fn take(stream: &Stream, cut: usize) -> Result<(Intaken, Kept), IntakeError> {
    let mut kept = Kept::default();
    let wal = WalCheck::new(SEGMENT, 8192, SYSTEM).unwrap();
    let tablespaces = BTreeMap::from([("16385".to_owned(), "/srv/fast".to_owned())]);
    let mut intake = Intake::new(&mut kept, tablespaces, wal);
    let mut send = |opening: &[u8], bytes: &[u8]| -> Result<(), IntakeError> {
        intake.frame(opening)?;
        for part in bytes.chunks(cut) {
            intake.frame(&[b"d", part].concat())?;
        }
        intake.frame(b"p\0\0\0\0\0\0\0\x01")
    };
    send(b"n16385.tar\0/srv/fast\0", &stream.tablespace)?;
    send(b"nbase.tar\0\0", &stream.base)?;
    send(b"m", &stream.manifest)?;
    let intaken = intake.finish(Lsn(0x20_0028), Lsn(0x20_0100))?;
    Ok((intaken, kept))
}

#[test]
fn every_member_arrives_once_and_a_tablespace_becomes_a_folder() {
    let (intaken, kept) = take(&stream(), 5000).unwrap();
    assert_eq!(intaken.wal_segments, 1);
    assert!(intaken.control_seen.is_some());
    let paths: Vec<&str> = kept.entries.iter().map(|(path, _)| path.as_str()).collect();
    let expected = [
        "pg_tblspc",
        "pg_tblspc/16385",
        "pg_tblspc/16385/PG_15",
        "pg_tblspc/16385/PG_15/9",
        "backup_label",
        "base",
        "base/1",
        "global",
        "pg_wal",
        "pg_wal/archive_status",
        "global/pg_control",
        "pg_wal/000000010000000000000002",
        "backup_manifest",
    ];
    assert_eq!(paths, expected);
    assert_eq!(kept.entries[6].1, 3000);
}

#[test]
fn a_stream_without_its_end_is_refused() {
    for spoil in [
        (|stream: &mut Stream| stream.manifest.clear()) as fn(&mut Stream),
        |stream| stream.base.truncate(stream.base.len() - 512),
        |stream| stream.tablespace.truncate(1024),
        |stream| stream.manifest.truncate(stream.manifest.len() - 10),
        |stream| stream.base.extend([1; 512]),
    ] {
        let mut spoilt = stream();
        spoil(&mut spoilt);
        assert!(matches!(take(&spoilt, 700), Err(IntakeError::Wrong(_))));
    }
}

#[test]
fn members_that_do_not_belong_are_refused() {
    for (member, words) in [
        (header(b"elsewhere", b'2', 0), "no tablespace"),
        (header(b"pg_tblspc/999/", b'2', 0), "no tablespace"),
        (file("absent/file", b"x"), "before its directory"),
        (file("base/1", &[7; 3000]), "twice"),
        (file("unlisted", b"x"), "does not list"),
    ] {
        let mut spoilt = stream();
        let end = spoilt.base.len() - 1024;
        spoilt.base.splice(end..end, member);
        let Err(error) = take(&spoilt, 700) else {
            panic!("{words}: accepted")
        };
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn an_archive_that_was_not_announced_is_refused() {
    let mut kept = Kept::default();
    let wal = WalCheck::new(SEGMENT, 8192, SYSTEM).unwrap();
    let mut intake = Intake::new(&mut kept, BTreeMap::new(), wal);
    assert!(intake.frame(b"n16385.tar\0/srv/fast\0").is_err());
    assert!(intake.frame(b"n../x.tar\0/srv/fast\0").is_err());
    assert!(intake.frame(b"dxyz").is_err(), "bytes outside an archive");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_flipped_bit_passes(part in 0..3_usize, at in any::<prop::sample::Index>(), bit in 0..8_u32, cut in 100..9000_usize) {
        let mut spoilt = stream();
        let bytes = match part {
            0 => &mut spoilt.tablespace,
            // The WAL's content is PostgreSQL's to check, record by record.
            1 => &mut spoilt.base,
            _ => &mut spoilt.manifest,
        };
        let end = if part == 1 { bytes.len() - 1024 - (1 << 20) } else if part == 2 { bytes.len() - 3 } else { bytes.len() };
        let at = at.index(end);
        bytes[at] ^= 1 << bit;
        prop_assert!(take(&spoilt, cut).is_err(), "byte {at} of part {part}");
    }
}
