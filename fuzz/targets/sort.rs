//! What lies in a repository on disk, sorted into the inputs of the targets: seeds that a real run wrote.
//!
//! Sealed bodies are of use only whole; what is sealed to an index key is opened with it.

use std::fs;
use std::path::{Path, PathBuf};

use muster_archive::fuzzing::{index_body, pack_directory};
use muster_archive::{Edge, IndexKey, layout};
use muster_signing::{Descriptor, inspect, payload};

/// Longest input that is kept.
const LONGEST: usize = 64 << 10;
/// Bytes of a tree object before its compressed body.
const TREE_HEADER: usize = 14;

/// Sorts the objects of `repository` into `folder`, a folder per target; gives the number of inputs. `key`: the index key of its writer.
///
/// # Errors
/// One line that says what could not be read or written.
pub fn repository(repository: &Path, folder: &Path, key: Option<&Path>) -> Result<usize, String> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("read {}: {error}", path.display()));
    let descriptor = read(&repository.join(layout::DESCRIPTOR))?;
    let descriptor = Descriptor::open_self_signed(&descriptor).map_err(|error| error.to_string())?;
    let key = key.map(|path| IndexKey::read_or_make(path, &NoEdge).map_err(|error| error.to_string()));
    let sorter = Sorter {
        id: descriptor.repository.clone(),
        key: key.transpose()?,
        folder,
    };
    let mut kept = 0;
    let mut folders = vec![repository.to_owned()];
    while let Some(next) = folders.pop() {
        for path in entries(&next)? {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path
                .strip_prefix(repository)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            for (target, input) in sorter.inputs(&name, &read(&path)?) {
                kept += usize::from(sorter.keep(target, &input)?);
            }
        }
    }
    Ok(kept)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let listing = fs::read_dir(folder).map_err(|error| format!("list {}: {error}", folder.display()))?;
    Ok(listing.flatten().map(|entry| entry.path()).collect())
}

/// A key is read here, never made.
struct NoEdge;

impl Edge for NoEdge {
    fn now_ms(&self) -> u64 {
        0
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

struct Sorter<'a> {
    id: String,
    key: Option<IndexKey>,
    folder: &'a Path,
}

impl Sorter<'_> {
    fn inputs(&self, name: &str, bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
        let with = |first: u8, bytes: &[u8]| [&[first], bytes].concat();
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            ["packs", ..] => pack(bytes),
            ["trees", ..] => {
                let body = bytes.get(TREE_HEADER..).unwrap_or_default();
                let body = zstd::bulk::decompress(body, 1 << 20).ok();
                [Some(bytes.to_vec()), body]
                    .into_iter()
                    .flatten()
                    .map(|input| ("tree", input))
                    .collect()
            }
            ["lists", ..] => vec![("list", bytes.to_vec())],
            ["runs", ..] => vec![("run_key", bytes.to_vec())],
            ["index", store, ..] => {
                let opened = self
                    .key
                    .as_ref()
                    .and_then(|key| index_body(key, &self.id, store, bytes));
                opened
                    .map(|(kind, body)| ("index", with(kind, &body)))
                    .into_iter()
                    .collect()
            }
            ["ledger", .., last] if last.contains("checkpoint") => {
                vec![("note", bytes.to_vec()), ("log", with(0, bytes))]
            }
            ["ledger", ..] => {
                let width = name.rsplit_once(".p/").and_then(|(_, width)| width.parse().ok());
                vec![("log", with(width.unwrap_or(0), bytes))]
            }
            _ => signed(bytes),
        }
    }

    fn keep(&self, target: &str, input: &[u8]) -> Result<bool, String> {
        if input.len() > LONGEST {
            return Ok(false);
        }
        let folder = self.folder.join(target);
        let path = folder.join(format!("real-{}", &blake3::hash(input).to_hex()[..16]));
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&path, input))
            .map_err(|error| format!("write {}: {error}", path.display()))?;
        Ok(true)
    }
}

/// A pack, and each of its frames behind its decoded length.
fn pack(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut inputs = vec![("pack", bytes.to_vec())];
    for (offset, stored, length) in pack_directory(bytes).unwrap_or_default() {
        let frame = bytes
            .get(offset as usize..offset as usize + stored as usize)
            .unwrap_or_default();
        inputs.push(("frame", [&length.to_le_bytes()[..], frame].concat()));
    }
    inputs
}

/// An envelope, and its payload for whoever reads such.
fn signed(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut inputs = vec![("envelope", bytes.to_vec())];
    if let Ok(claimed) = inspect(bytes) {
        let target = match claimed.payload_type.as_str() {
            payload::DESCRIPTOR | payload::KEYS => "trust",
            _ => "manifest",
        };
        inputs.push((target, claimed.payload.clone()));
    }
    inputs
}
