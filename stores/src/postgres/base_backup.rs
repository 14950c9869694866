//! A base backup's copy stream, taken apart and pushed into a sink.
//!
//! Invariant: bytes go from the socket's buffer to the sink in slices, uncopied. [`Intake::finish`] says yes only when every
//! archive had its trailer, the server's manifest fits all files, and the WAL that the backup needs arrived whole.
//!
//! Tablespaces become plain directories `pg_tblspc/<oid>`: restored links would point at the live server's own files.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use crc_fast::{CrcAlgorithm, Digest};

use super::framing::Frame;
use super::lsn::Lsn;
use super::manifest::{Arrived, ManifestReader};
use super::tar::{Member, MemberKind, Piece, TarReader};
use super::wal::WalCheck;
use crate::{Entry, EntryKind, Sink, SinkError};

/// The manifest's place in the tree, where `pg_verifybackup` looks for it.
pub(crate) const MANIFEST: &[u8] = b"backup_manifest";
const TABLESPACES: &[u8] = b"pg_tblspc";

/// What ends an intake.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntakeError {
    /// The stream is wrong.
    #[error("{0}")]
    Wrong(String),
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// Takes frames and feeds a sink.
pub(crate) struct Intake<'a> {
    sink: &'a mut dyn Sink,
    /// Announced tablespaces: object id and location.
    tablespaces: BTreeMap<String, String>,
    archive: Option<Archive>,
    manifest: Option<ManifestReader>,
    file: Option<OpenFile>,
    arrived: Arrived,
    directories: HashSet<Vec<u8>>,
    wal: WalCheck,
    owner: (u32, u32),
    bytes: u64,
    control_seen: Option<Instant>,
}

struct Archive {
    tar: TarReader,
    /// `pg_tblspc/<oid>/` or empty.
    prefix: Vec<u8>,
}

struct OpenFile {
    path: Vec<u8>,
    size: u64,
    crc: Digest,
    wal: bool,
}

/// What a complete intake knows.
#[derive(Debug)]
pub(crate) struct Intaken {
    /// When `global/pg_control` arrived: it is the last file before the backup's end position is fixed.
    pub(crate) control_seen: Option<Instant>,
    /// WAL segments that consistency needs.
    pub(crate) wal_segments: u64,
    /// Bytes of all files.
    pub(crate) bytes: u64,
}

impl<'a> Intake<'a> {
    pub(crate) fn new(sink: &'a mut dyn Sink, tablespaces: BTreeMap<String, String>, wal: WalCheck) -> Intake<'a> {
        Intake {
            sink,
            tablespaces,
            archive: None,
            manifest: None,
            file: None,
            arrived: Arrived::default(),
            directories: HashSet::new(),
            wal,
            owner: (0, 0),
            bytes: 0,
            control_seen: None,
        }
    }

    /// Takes the payload of one `CopyData`.
    pub(crate) fn frame(&mut self, payload: &[u8]) -> Result<(), IntakeError> {
        // PostgreSQL 13 was seen to send empty ones.
        if payload.is_empty() {
            return Ok(());
        }
        match Frame::parse(payload).map_err(wrong)? {
            Frame::Data(bytes) if self.manifest.is_some() => self.manifest_bytes(bytes),
            Frame::Data(bytes) => self.archive_bytes(bytes),
            Frame::Archive { name, location } => self.open_archive(name, location),
            Frame::Manifest => self.open_manifest(),
            Frame::Progress(bytes) => {
                self.sink.note(&format!("{bytes} bytes received"));
                Ok(())
            }
        }
    }

    /// The stream ended; `start` and `end` are the server's positions.
    pub(crate) fn finish(mut self, start: Lsn, end: Lsn) -> Result<Intaken, IntakeError> {
        let manifest = self
            .manifest
            .take()
            .ok_or_else(|| wrong("the server sent no manifest"))?;
        self.sink.end_file()?;
        let ranges = manifest.finish(&self.arrived).map_err(wrong)?;
        // One range per timeline, the newest first.
        if !ranges.iter().any(|range| range.end == end.to_string()) {
            return Err(wrong(format!(
                "no WAL range of the server's manifest ends where the backup does, at {end}"
            )));
        }
        let wal_segments = self.wal.finish(start, end).map_err(wrong)?;
        for needed in [&b"base"[..], b"global", b"pg_wal"] {
            if !self.directories.contains(needed) {
                return Err(wrong(format!("{} did not arrive", String::from_utf8_lossy(needed))));
            }
        }
        Ok(Intaken {
            control_seen: self.control_seen,
            wal_segments,
            bytes: self.bytes,
        })
    }

    fn open_archive(&mut self, name: &[u8], location: &[u8]) -> Result<(), IntakeError> {
        self.close_archive()?;
        if self.manifest.is_some() {
            return Err(wrong("an archive follows the manifest"));
        }
        let name = String::from_utf8_lossy(name);
        let prefix = if name == "base.tar" && location.is_empty() {
            Vec::new()
        } else {
            let id = name.strip_suffix(".tar").unwrap_or_default();
            if !self.tablespaces.contains_key(id) || id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(wrong(format!("the archive {name} was not announced")));
            }
            let own = [TABLESPACES, b"/", id.as_bytes()].concat();
            for path in [TABLESPACES.to_vec(), own.clone()] {
                self.directory(path, 0o700, 0)?;
            }
            [own, b"/".to_vec()].concat()
        };
        self.archive = Some(Archive {
            tar: TarReader::new(),
            prefix,
        });
        Ok(())
    }

    fn close_archive(&mut self) -> Result<(), IntakeError> {
        match self.archive.take() {
            Some(archive) => archive.tar.finish().map_err(wrong),
            None => Ok(()),
        }
    }

    fn archive_bytes(&mut self, mut bytes: &[u8]) -> Result<(), IntakeError> {
        let mut archive = self
            .archive
            .take()
            .ok_or_else(|| wrong("bytes arrived outside an archive"))?;
        while let Some(piece) = archive.tar.next(&mut bytes).map_err(wrong)? {
            match piece {
                Piece::Data(data) => self.file_bytes(data)?,
                Piece::Member(member) => self.member(member, &archive.prefix)?,
                Piece::FileEnd => self.end_file()?,
            }
        }
        self.archive = Some(archive);
        Ok(())
    }

    fn member(&mut self, member: Member, prefix: &[u8]) -> Result<(), IntakeError> {
        let path = [prefix, &member.path].concat();
        self.owner = (member.uid, member.gid);
        match member.kind {
            MemberKind::Directory => self.directory(path, member.mode, member.mtime),
            MemberKind::Symlink { .. } => {
                let id = path
                    .strip_prefix(b"pg_tblspc/")
                    .map(String::from_utf8_lossy)
                    .unwrap_or_default();
                if self.tablespaces.contains_key(id.as_ref()) {
                    return Ok(());
                }
                Err(wrong(format!(
                    "a link arrived that is no tablespace: {}",
                    String::from_utf8_lossy(&path)
                )))
            }
            MemberKind::File { .. } => {
                self.demand_parent(&path)?;
                if path == b"global/pg_control" {
                    self.control_seen = Some(Instant::now());
                }
                let wal = self.wal.begin(&path);
                self.sink.begin_file(self.entry(
                    path.clone(),
                    EntryKind::File { sparse: false },
                    member.mode,
                    member.mtime,
                ))?;
                self.file = Some(OpenFile {
                    path,
                    size: 0,
                    crc: Digest::new(CrcAlgorithm::Crc32Iscsi),
                    wal,
                });
                Ok(())
            }
        }
    }

    fn file_bytes(&mut self, data: &[u8]) -> Result<(), IntakeError> {
        let file = self
            .file
            .as_mut()
            .ok_or_else(|| wrong("bytes arrived outside a file"))?;
        file.crc.update(data);
        file.size += data.len() as u64;
        self.bytes += data.len() as u64;
        if file.wal {
            self.wal.push(data);
        }
        Ok(self.sink.write(data)?)
    }

    fn end_file(&mut self) -> Result<(), IntakeError> {
        let file = self
            .file
            .take()
            .ok_or_else(|| wrong("a file ends that did not begin"))?;
        self.wal.end();
        self.sink.end_file()?;
        let crc = u32::try_from(file.crc.finalize()).map_err(wrong)?;
        if !self.arrived.note(&file.path, file.size, crc, file.wal) {
            return Err(wrong(format!("{} arrived twice", String::from_utf8_lossy(&file.path))));
        }
        Ok(())
    }

    fn open_manifest(&mut self) -> Result<(), IntakeError> {
        self.close_archive()?;
        if self.manifest.is_some() {
            return Err(wrong("a second manifest arrived"));
        }
        self.sink
            .begin_file(self.entry(MANIFEST.to_vec(), EntryKind::File { sparse: false }, 0o600, 0))?;
        self.manifest = Some(ManifestReader::new());
        Ok(())
    }

    fn manifest_bytes(&mut self, bytes: &[u8]) -> Result<(), IntakeError> {
        if let Some(manifest) = &mut self.manifest {
            manifest.push(bytes, &mut self.arrived).map_err(wrong)?;
        }
        Ok(self.sink.write(bytes)?)
    }

    fn directory(&mut self, path: Vec<u8>, mode: u32, mtime: i64) -> Result<(), IntakeError> {
        self.demand_parent(&path)?;
        // `pg_tblspc` stands in the main archive too, which comes last.
        if !self.directories.insert(path.clone()) {
            return Ok(());
        }
        Ok(self.sink.entry(self.entry(path, EntryKind::Directory, mode, mtime))?)
    }

    fn demand_parent(&self, path: &[u8]) -> Result<(), IntakeError> {
        match path.iter().rposition(|byte| *byte == b'/') {
            Some(end) if !self.directories.contains(&path[..end]) => Err(wrong(format!(
                "{} arrived before its directory",
                String::from_utf8_lossy(path)
            ))),
            _ => Ok(()),
        }
    }

    fn entry(&self, path: Vec<u8>, kind: EntryKind, mode: u32, mtime_seconds: i64) -> Entry {
        let (uid, gid) = self.owner;
        Entry {
            path,
            kind,
            mode,
            uid,
            gid,
            mtime_seconds,
            mtime_nanos: 0,
            xattrs: Vec::new(),
        }
    }
}

fn wrong(what: impl ToString) -> IntakeError {
    IntakeError::Wrong(what.to_string())
}

#[cfg(test)]
mod tests;
