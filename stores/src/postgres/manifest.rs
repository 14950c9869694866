//! The server's backup manifest, compared with what arrived.
//!
//! Invariant: when [`ManifestReader::finish`] says yes, the manifest's own checksum fits, each file it lists arrived with its
//! size and CRC-32C, and nothing else arrived but WAL segments, which no manifest lists. CRC-32C and not SHA-256: the check
//! is against accidents on the way, costs the server next to nothing, and the archive signs stronger digests anyway.

use std::collections::HashMap;

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Longest line: a path of a few KiB with its escapes.
const MAX_LINE: usize = 64 << 10;
/// Most bytes of the last line, which the manifest's own checksum does not cover.
const LAST_LINE: &[u8] = b"\"Manifest-Checksum\": \"";

/// Files that arrived: size and CRC-32C by a digest of the path, which is all that memory has to hold of each.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    files: HashMap<[u8; 16], Arrival>,
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    size: u64,
    crc: u32,
    wal: bool,
}

/// Reads a manifest as it arrives.
#[derive(Debug)]
pub(crate) struct ManifestReader {
    line: Vec<u8>,
    digest: Sha256,
    files: bool,
    version: Option<u32>,
    ranges: Vec<WalRange>,
    checksum: Option<String>,
}

/// WAL that is needed to make the backup consistent.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct WalRange {
    #[serde(rename = "Timeline")]
    pub(crate) timeline: u32,
    #[serde(rename = "Start-LSN")]
    pub(crate) start: String,
    #[serde(rename = "End-LSN")]
    pub(crate) end: String,
}

#[derive(Deserialize)]
struct FileLine {
    #[serde(rename = "Path")]
    path: Option<String>,
    #[serde(rename = "Encoded-Path")]
    encoded_path: Option<String>,
    #[serde(rename = "Size")]
    size: u64,
    #[serde(rename = "Checksum-Algorithm")]
    algorithm: Option<String>,
    #[serde(rename = "Checksum")]
    checksum: Option<String>,
}

/// The manifest is wrong, or what arrived does not fit it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ManifestError(String);

impl Arrived {
    /// Notes a complete file. `false` if that path has arrived before.
    pub(crate) fn note(&mut self, path: &[u8], size: u64, crc: u32, wal: bool) -> bool {
        self.files.insert(key(path), Arrival { size, crc, wal }).is_none()
    }

    fn take(&mut self, path: &[u8], size: u64, crc: u32) -> Result<(), ManifestError> {
        let name = || String::from_utf8_lossy(path).into_owned();
        let Some(arrival) = self.files.remove(&key(path)) else {
            return Err(ManifestError(format!(
                "{} is in the server's manifest but did not arrive",
                name()
            )));
        };
        if arrival.size != size {
            return Err(ManifestError(format!(
                "{} arrived with {} bytes where the server's manifest says {size}",
                name(),
                arrival.size
            )));
        }
        if arrival.crc != crc {
            return Err(ManifestError(format!(
                "{} arrived with other bytes than the server's manifest says (CRC-32C)",
                name()
            )));
        }
        Ok(())
    }
}

fn key(path: &[u8]) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(path).as_bytes()[..16]);
    key
}

impl ManifestReader {
    pub(crate) fn new() -> ManifestReader {
        ManifestReader {
            line: Vec::new(),
            digest: Sha256::new(),
            files: false,
            version: None,
            ranges: Vec::new(),
            checksum: None,
        }
    }

    /// Takes the next bytes and strikes off what they list.
    pub(crate) fn push(&mut self, mut bytes: &[u8], arrived: &mut Arrived) -> Result<(), ManifestError> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (part, rest) = bytes.split_at(end + 1);
            self.extend(part)?;
            let line = std::mem::take(&mut self.line);
            self.take_line(&line, arrived)?;
            self.line = line;
            self.line.clear();
            bytes = rest;
        }
        self.extend(bytes)
    }

    /// The manifest ends here.
    pub(crate) fn finish(self, arrived: &Arrived) -> Result<Vec<WalRange>, ManifestError> {
        if !self.line.is_empty() {
            return Err(ManifestError(
                "the server's manifest ends in the middle of a line".into(),
            ));
        }
        let Some(checksum) = self.checksum else {
            return Err(ManifestError("the server's manifest has no checksum of its own".into()));
        };
        if checksum != hex(&self.digest.finalize()) {
            return Err(ManifestError(
                "the server's manifest does not fit its own checksum".into(),
            ));
        }
        let extra = arrived.files.values().filter(|arrival| !arrival.wal).count();
        if extra > 0 {
            return Err(ManifestError(format!(
                "{extra} files arrived that the server's manifest does not list"
            )));
        }
        if self.ranges.is_empty() {
            return Err(ManifestError("the server's manifest names no WAL".into()));
        }
        Ok(self.ranges)
    }

    fn extend(&mut self, part: &[u8]) -> Result<(), ManifestError> {
        if self.line.len() + part.len() > MAX_LINE {
            return Err(ManifestError("a line of the server's manifest is too long".into()));
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], arrived: &mut Arrived) -> Result<(), ManifestError> {
        let cannot = |what: &str| ManifestError(format!("a line of the server's manifest cannot be read: {what}"));
        if self.checksum.is_some() {
            return Err(cannot("it follows the checksum"));
        }
        if let Some(rest) = line.strip_prefix(LAST_LINE) {
            let end = rest
                .iter()
                .position(|byte| *byte == b'"')
                .ok_or_else(|| cannot("the checksum has no end"))?;
            self.checksum = Some(String::from_utf8_lossy(&rest[..end]).into_owned());
            return Ok(());
        }
        self.digest.update(line);
        let text = std::str::from_utf8(line)
            .map_err(|_| cannot("it is not UTF-8"))?
            .trim_end();
        if let Some(rest) = text.strip_prefix("{ \"PostgreSQL-Backup-Manifest-Version\": ") {
            let version = rest
                .trim_end_matches(',')
                .parse()
                .map_err(|_| cannot("the version is no number"))?;
            if !(1..=2).contains(&version) {
                return Err(ManifestError(format!(
                    "the server's manifest has version {version}, and versions 1 and 2 are known"
                )));
            }
            self.version = Some(version);
            return Ok(());
        }
        if self.version.is_none() {
            return Err(cannot("the version does not come first"));
        }
        match text {
            "\"Files\": [" => self.files = true,
            "\"WAL-Ranges\": [" => self.files = false,
            "]," | "],\"" => {}
            _ if text.starts_with("\"System-Identifier\":") => {}
            _ => {
                let object = text.trim_end_matches(',');
                if self.files {
                    let file: FileLine = serde_json::from_str(object).map_err(|error| cannot(&error.to_string()))?;
                    self.take_file(&file, arrived)?;
                } else {
                    if self.ranges.len() >= 1000 {
                        return Err(cannot("there are too many WAL ranges"));
                    }
                    self.ranges
                        .push(serde_json::from_str(object).map_err(|error| cannot(&error.to_string()))?);
                }
            }
        }
        Ok(())
    }

    fn take_file(&self, file: &FileLine, arrived: &mut Arrived) -> Result<(), ManifestError> {
        let path = match (&file.path, &file.encoded_path) {
            (Some(path), None) => path.as_bytes().to_vec(),
            (None, Some(encoded)) => unhex(encoded)
                .ok_or_else(|| ManifestError("an encoded path of the server's manifest is not hexadecimal".into()))?,
            _ => return Err(ManifestError("a file of the server's manifest has no path".into())),
        };
        let crc = match (
            file.algorithm.as_deref(),
            file.checksum.as_deref().and_then(unhex).as_deref(),
        ) {
            (Some("CRC32C"), Some([a, b, c, d])) => u32::from_le_bytes([*a, *b, *c, *d]),
            _ => {
                return Err(ManifestError(format!(
                    "{} has no CRC32C in the server's manifest",
                    String::from_utf8_lossy(&path)
                )));
            }
        };
        arrived.take(&path, file.size, crc)
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes()
        .chunks(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(files: &[(&str, u64, u32)]) -> Vec<u8> {
        let lines: Vec<String> = files
            .iter()
            .map(|(path, size, crc)| {
                format!(
                    "{{ \"Path\": \"{path}\", \"Size\": {size}, \"Last-Modified\": \"2026-01-01 00:00:00 GMT\", \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"{}\" }}",
                    hex(&crc.to_le_bytes())
                )
            })
            .collect();
        let text = format!(
            "{{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n{}\n],\n\"WAL-Ranges\": [\n{{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000100\" }}\n],\n",
            lines.join(",\n")
        );
        format!("{text}\"Manifest-Checksum\": \"{}\"}}\n", hex(&Sha256::digest(&text))).into_bytes()
    }

    fn check(manifest: &[u8], files: &[(&str, u64, u32, bool)]) -> Result<Vec<WalRange>, ManifestError> {
        let mut arrived = Arrived::default();
        for (path, size, crc, wal) in files {
            assert!(arrived.note(path.as_bytes(), *size, *crc, *wal));
        }
        let mut reader = ManifestReader::new();
        for part in manifest.chunks(13) {
            reader.push(part, &mut arrived)?;
        }
        reader.finish(&arrived)
    }

    #[test]
    fn what_arrived_as_listed_is_accepted() {
        let ranges = check(
            &manifest(&[("a", 1, 7), ("b/c", 2, 8)]),
            &[("a", 1, 7, false), ("b/c", 2, 8, false), ("pg_wal/1", 3, 9, true)],
        )
        .unwrap();
        assert_eq!((ranges[0].timeline, ranges[0].end.as_str()), (1, "0/2000100"));
    }

    #[test]
    fn every_difference_is_named() {
        let listed = manifest(&[("a", 1, 7)]);
        for (files, words) in [
            (vec![], "did not arrive"),
            (vec![("a", 2, 7, false)], "2 bytes"),
            (vec![("a", 1, 8, false)], "CRC-32C"),
            (vec![("a", 1, 7, false), ("b", 1, 1, false)], "does not list"),
        ] {
            let error = check(&listed, &files).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn any_flipped_byte_of_the_manifest_is_refused() {
        let listed = manifest(&[("a", 1, 7)]);
        // The last line's tail after the checksum is neither covered nor read.
        for at in 0..listed.len() - 3 {
            let mut damaged = listed.clone();
            damaged[at] ^= 1;
            assert!(check(&damaged, &[("a", 1, 7, false)]).is_err(), "byte {at}");
        }
        assert!(check(&listed[..listed.len() - 1], &[("a", 1, 7, false)]).is_err());
    }

    #[test]
    fn encoded_paths_are_decoded() {
        let text = String::from_utf8(manifest(&[("a", 1, 7)])).unwrap();
        let body = text
            .split("\"Manifest-Checksum\"")
            .next()
            .unwrap()
            .replace("\"Path\": \"a\"", "\"Encoded-Path\": \"ff\"");
        let listed = format!("{body}\"Manifest-Checksum\": \"{}\"}}\n", hex(&Sha256::digest(&body)));
        let mut arrived = Arrived::default();
        arrived.note(&[0xff], 1, 7, false);
        let mut reader = ManifestReader::new();
        reader.push(listed.as_bytes(), &mut arrived).unwrap();
        assert!(reader.finish(&arrived).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
            let _ = check(&bytes, &[]);
            let mut headed = b"{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n".to_vec();
            headed.extend(bytes);
            let _ = check(&headed, &[]);
        }
    }
}
