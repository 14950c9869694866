//! The copy stream of a base backup: frames, tar, manifest, WAL.
//!
//! However the stream is cut, the sink sees the same; no path leaves the tree; each file that is opened is closed before the
//! next. The input is frames behind a two-byte length.
use muster_stores::fuzzing::{base_backup, manifest, wal};
use muster_stores::{Entry, EntryKind, Sink, SinkError};
use sha2::{Digest as _, Sha256};

const BLOCK: usize = 512;
const SEGMENT: u64 = 1 << 20;
const PAGE: u64 = 8192;
const SYSTEM: u64 = 77;

/// Keeps what a sink is told, and holds the source to the rules.
#[derive(Debug, Default, PartialEq)]
struct Kept {
    entries: Vec<(Entry, Vec<u8>)>,
    open: bool,
}

impl Kept {
    fn keep(&mut self, entry: Entry) {
        assert!(!entry.path.is_empty() && !entry.path.contains(&0), "{entry:?}");
        let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
        assert!(entry.path.split(|byte| *byte == b'/').all(plain), "{entry:?}");
        self.entries.push((entry, Vec::new()));
    }
}

impl Sink for Kept {
    fn entry(&mut self, entry: Entry) -> Result<(), SinkError> {
        assert!(!self.open && !matches!(entry.kind, EntryKind::File { .. }));
        self.keep(entry);
        Ok(())
    }

    fn begin_file(&mut self, entry: Entry) -> Result<(), SinkError> {
        assert!(!std::mem::replace(&mut self.open, true), "two files are open");
        self.keep(entry);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        assert!(self.open);
        self.entries.last_mut().ok_or(SinkError)?.1.extend_from_slice(bytes);
        Ok(())
    }

    fn zeros(&mut self, _length: u64) -> Result<(), SinkError> {
        Err(SinkError)
    }

    fn end_file(&mut self) -> Result<(), SinkError> {
        assert!(std::mem::replace(&mut self.open, false), "no file is open");
        Ok(())
    }

    fn unreadable(&mut self, _path: &[u8], _reason: String) {}
}

/// The frames of an input. One of kind `D` is data whose first block gets the checksum of a tar header.
fn frames(mut data: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk() {
        let (frame, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
        data = rest;
        frames.push(match frame.split_first() {
            Some((b'D', content)) => [&b"d"[..], &sealed(content)].concat(),
            _ => frame.to_vec(),
        });
    }
    frames
}

fn sealed(content: &[u8]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    bytes.resize(content.len().next_multiple_of(BLOCK).max(BLOCK), 0);
    bytes[148..156].fill(b' ');
    let sum: u32 = bytes[..BLOCK].iter().map(|byte| u32::from(*byte)).sum();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    bytes
}

/// What became of these frames, each data frame cut into pieces of at most `cut` bytes.
fn taken(frames: &[Vec<u8>], cut: usize) -> (Kept, Result<u64, String>) {
    let mut kept = Kept::default();
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for frame in frames {
        match frame.split_first() {
            Some((b'd', content)) if !content.is_empty() => {
                pieces.extend(content.chunks(cut).map(|piece| [&b"d"[..], piece].concat()));
            }
            _ => pieces.push(frame.clone()),
        }
    }
    let finished = base_backup(pieces.iter().map(Vec::as_slice), SYSTEM, &mut kept);
    if let (Err(_), Some(last)) = (&finished, kept.entries.last_mut()) {
        // What is wrong may be found before or after the rest of its frame was passed on.
        last.1.clear();
    }
    (kept, finished)
}

/// A manifest under a checksum of its own that is right.
fn check_manifest(data: &[u8]) {
    let digest: String = Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
    let whole = [data, format!("\"Manifest-Checksum\": \"{digest}\"}}\n").as_bytes()].concat();
    let read = |cut: usize| manifest(whole.chunks(cut), b"base/1/1", 3, crc(b"abc"));
    assert_eq!(read(whole.len()), read(7));
}

/// A segment whose pages are right, wherever in the log the input says.
fn check_wal(data: &[u8]) {
    let Some((numbers, _)) = data.split_first_chunk::<24>() else {
        return;
    };
    let [start, end, number] = [0, 8, 16].map(|at| u64::from_be_bytes(numbers[at..at + 8].try_into().unwrap()));
    let (number, per_id) = (number % (u64::MAX / SEGMENT + 1), (1 << 32) / SEGMENT);
    let path = format!("pg_wal/00000001{:08X}{:08X}", number / per_id, number % per_id);
    let pages: Vec<Vec<u8>> = (0..SEGMENT / PAGE).map(|page| self::page(number, page)).collect();
    let covered = wal(path.as_bytes(), pages.iter().map(Vec::as_slice), SYSTEM, start, end);
    if covered.expect("it names a segment") {
        assert!(start < end && start / SEGMENT == number && (end - 1) / SEGMENT == number);
    }
}

fn page(segment: u64, page: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(PAGE).unwrap()];
    bytes[8..16].copy_from_slice(&(segment * SEGMENT + page * PAGE).to_le_bytes());
    if page == 0 {
        bytes[24..32].copy_from_slice(&SYSTEM.to_le_bytes());
        bytes[32..36].copy_from_slice(&u32::try_from(SEGMENT).unwrap().to_le_bytes());
    }
    bytes
}

fn crc(content: &[u8]) -> u32 {
    u32::try_from(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, content)).unwrap()
}

fn header(path: &[u8], kind: u8, size: usize) -> Vec<u8> {
    let mut header = vec![0; BLOCK];
    header[..path.len()].copy_from_slice(path);
    header[100..108].copy_from_slice(b"0000600\0");
    header[108..116].copy_from_slice(b"0000145\0");
    header[116..124].copy_from_slice(b"0000146\0");
    header[124..136].copy_from_slice(format!("{size:011o} ").as_bytes());
    header[136..148].copy_from_slice(b"14600000000 ");
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    header
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let line = |path: &str, content: &[u8]| {
        let crc: String = crc(content)
            .to_le_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let size = content.len();
        format!("{{ {path}, \"Size\": {size}, \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"{crc}\" }}")
    };
    let manifest = |files: &[String]| {
        format!(
            "{{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n{}\n],\n\"WAL-Ranges\": [\n{{ \"Timeline\": 1, \
             \"Start-LSN\": \"0/200028\", \"End-LSN\": \"0/200100\" }}\n],\n",
            files.join(",\n")
        )
    };
    let small = line("\"Path\": \"base/1/1\"", b"abc");
    let alone = manifest(std::slice::from_ref(&small)).into_bytes();
    let encoded = line("\"Encoded-Path\": \"676c6f62616c2f70675f636f6e74726f6c\"", &[1; 600]);
    let manifest = manifest(&[small, encoded, line("\"Path\": \"pg_tblspc/16384/1\"", b"x")]);
    let member = |path: &str, kind, content: &[u8]| {
        let mut bytes = [
            b"D".to_vec(),
            header(path.as_bytes(), kind, content.len()),
            content.to_vec(),
        ]
        .concat();
        bytes.resize(1 + (bytes.len() - 1).next_multiple_of(BLOCK), 0);
        bytes
    };
    let frames = [
        b"n16384.tar\0/srv\0".to_vec(),
        member("1", b'0', b"x"),
        [&b"d"[..], &[0; 2 * BLOCK]].concat(),
        b"nbase.tar\0\0".to_vec(),
        member("base/", b'5', b""),
        member("base/1/", b'5', b""),
        member("base/1/1", b'0', b"abc"),
        member("global/", b'5', b""),
        member("global/pg_control", b'0', &[1; 600]),
        member("pg_wal/", b'5', b""),
        member("pg_wal/000000010000000000000002", b'0', &[0; 100]),
        member("pg_tblspc/16384", b'2', b""),
        [&b"d"[..], &[0; 2 * BLOCK]].concat(),
        b"p\0\0\0\0\0\0\x01\0".to_vec(),
        b"m".to_vec(),
        [b"d", manifest.as_bytes()].concat(),
    ];
    let length = |frame: &Vec<u8>| u16::try_from(frame.len()).unwrap().to_be_bytes();
    let stream = frames
        .iter()
        .flat_map(|frame| [&length(frame)[..], frame].concat())
        .collect();
    vec![stream, alone, [[0; 8], [0xff; 8], [0xff; 8]].concat()]
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let frames = frames(data);
    let (whole, cut) = (taken(&frames, usize::MAX), taken(&frames, 100));
    assert!(whole == cut, "the cut matters: {:?} and {:?}", whole.1, cut.1);
    check_manifest(data);
    check_wal(data);
}
