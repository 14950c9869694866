//! Names of the objects of a repository (docs/format/archive.md, "Objects").

use muster_signing::{Digest, KeyId};

use crate::seal::RunId;

/// The descriptor.
pub const DESCRIPTOR: &str = "muster.dsse";
/// Prefix of the key documents.
pub const KEYS: &str = "keys/";
/// Prefix of the logs.
pub const LEDGER: &str = "ledger/";
/// Prefix of the manifests.
pub const SNAPSHOTS: &str = "snapshots/";
/// Prefix of the writers' indexes.
pub const INDEX: &str = "index/";
/// Prefix of the wrapped run keys.
pub const RUNS: &str = "runs/";
/// Prefix of the scorecards.
pub const REHEARSALS: &str = "rehearsals/";

/// A key document.
pub fn key_document(epoch: u64) -> String {
    format!("{KEYS}{epoch:08}.dsse")
}

/// The epoch that a key document's name says; `None` for any other name.
pub fn epoch_of(key: &str) -> Option<u64> {
    let digits = key.strip_prefix(KEYS)?.strip_suffix(".dsse")?;
    (digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// A data pack.
pub fn pack(id: &Digest) -> String {
    content("packs", id)
}

/// A tree object.
pub fn tree(id: &Digest) -> String {
    content("trees", id)
}

/// A hunk of a public list.
pub fn list(id: &Digest) -> String {
    content("lists", id)
}

/// A manifest.
pub fn manifest(store: &str, snapshot: &str) -> String {
    format!("{SNAPSHOTS}{store}/{snapshot}.dsse")
}

/// The prefix of a run's wrapped keys, one per epoch that it was wrapped for.
pub fn run(run: &RunId) -> String {
    format!("{RUNS}{run}/")
}

/// The key of a run, wrapped to the recipients of one epoch.
pub fn run_key(run: &RunId, epoch: u64) -> String {
    format!("{RUNS}{run}/{epoch:08}.age")
}

/// The epoch that the name of a wrapped run key says; `None` for any other name.
pub fn run_epoch(run: &RunId, key: &str) -> Option<u64> {
    let digits = key.strip_prefix(&self::run(run))?.strip_suffix(".age")?;
    (digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// With what the keys of a store's manifests begin whose ids begin so.
pub fn manifest_prefix(store: &str, id: &str) -> String {
    format!("{SNAPSHOTS}{store}/{id}")
}

/// A scorecard.
pub fn scorecard(store: &str, rehearsal: &str) -> String {
    format!("{REHEARSALS}{store}/{rehearsal}.dsse")
}

/// Prefix of the incarnations of one key's log.
pub fn log(key: &KeyId) -> String {
    format!("{LEDGER}{key}/")
}

/// Whether a store's name may stand in a key: `[a-z0-9][a-z0-9_-]*`, at most 64 bytes.
pub fn is_store_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 64
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || byte == b'_' || byte == b'-')
}

/// Whether an id is a ULID as muster writes it: 26 upper-case Crockford digits.
pub fn is_ulid(id: &str) -> bool {
    id.len() == 26
        && id
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (byte.is_ascii_uppercase() && !b"ILOU".contains(&byte)))
}

/// An object of a writer's index of `store`.
pub fn index(store: &str, id: &Digest) -> String {
    content(&format!("{INDEX}{store}"), id)
}

fn content(folder: &str, id: &Digest) -> String {
    let hex = id.hex();
    format!("{folder}/{}/{hex}", &hex[..2])
}
