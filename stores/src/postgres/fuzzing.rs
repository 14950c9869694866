//! The parsers of a base backup's stream, for `fuzz/` alone (see `crate::fuzzing`).

use std::collections::BTreeMap;

use super::base_backup::Intake;
use super::lsn::Lsn;
use super::manifest::{Arrived, ManifestReader};
use super::wal::WalCheck;
use crate::Sink;

const SEGMENT: u64 = 1 << 20;
const PAGE: u64 = 8192;

/// Takes the frames of a base backup in, of a server with segments of 1 MiB and one tablespace; gives the bytes that arrived.
///
/// # Errors
/// What the user would read.
pub fn base_backup<'a>(
    frames: impl IntoIterator<Item = &'a [u8]>,
    system: u64,
    sink: &mut dyn Sink,
) -> Result<u64, String> {
    let tablespaces = BTreeMap::from([("16384".to_owned(), "/srv".to_owned())]);
    let wal = WalCheck::new(SEGMENT, PAGE, system).ok_or("no such segment size")?;
    let mut intake = Intake::new(sink, tablespaces, wal);
    for frame in frames {
        intake.frame(frame).map_err(|error| error.to_string())?;
    }
    let taken = intake.finish(Lsn(0x20_0028), Lsn(0x20_0100));
    taken.map(|taken| taken.bytes).map_err(|error| error.to_string())
}

/// Reads a manifest piece by piece, where one file arrived; gives the number of its WAL ranges.
///
/// # Errors
/// What the user would read.
pub fn manifest<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    path: &[u8],
    size: u64,
    crc: u32,
) -> Result<usize, String> {
    let (mut reader, mut arrived) = (ManifestReader::new(), Arrived::default());
    arrived.note(path, size, crc, false);
    for piece in pieces {
        reader.push(piece, &mut arrived).map_err(|error| error.to_string())?;
    }
    let ranges = reader.finish(&arrived).map_err(|error| error.to_string())?;
    Ok(ranges.len())
}

/// Whether the pages of one segment cover a backup from `start` to `end`; `None`: `path` names no segment.
pub fn wal<'a>(
    path: &[u8],
    pages: impl IntoIterator<Item = &'a [u8]>,
    system: u64,
    start: u64,
    end: u64,
) -> Option<bool> {
    let mut wal = WalCheck::new(SEGMENT, PAGE, system)?;
    if !wal.begin(path) {
        return None;
    }
    pages.into_iter().for_each(|page| wal.push(page));
    wal.end();
    Some(wal.finish(Lsn(start), Lsn(end)).is_ok())
}
