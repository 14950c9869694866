//! `muster ledger prove`: proofs as files, in the forms of C2SP, that anybody checks without this repository.

use std::path::{Path, PathBuf};

use muster_archive::Repository;
use muster_archive::ledger::{Consistency, Inclusion, origin};
use muster_signing::{KeyId, Pin, note};
use serde_json::{Value, json};

use super::write;
use crate::context::Context;
use crate::error::{CommandError, Kind, usage};
use crate::exit::Exit;
use crate::point::Target;
use crate::ui::count;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A proof of inclusion is a C2SP tlog-proof and the entry itself, which names the manifest by its
SHA-256. A proof of growth begins with the old size and ends with the present head, as C2SP
witnesses take it. docs/format/trust.md checks both with openssl alone.

Examples:
  muster ledger prove accounts                     the latest recovery point stands in the log
  muster ledger prove accounts@01JD0 --out proofs
  muster ledger prove --since pin.txt              each log grew out of the head that was kept"
)]
pub(crate) struct Prove {
    /// The recovery point whose entry is to be proven
    #[arg(
        value_name = "STORE[@POINT]",
        required_unless_present = "since",
        conflicts_with = "since"
    )]
    target: Option<String>,
    /// A file of heads that were kept: prove that each log grew out of its one
    #[arg(long, value_name = "CHECKPOINT")]
    since: Option<PathBuf>,
    /// The folder to write to
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

pub(crate) fn run(context: &Context, args: &Prove) -> Result<Exit, CommandError> {
    let config = context.config()?;
    let repository = context.repository(&config)?;
    std::fs::create_dir_all(&args.out)
        .map_err(|error| CommandError::new(Kind::Failed, error).context(format!("make {}", args.out.display())))?;
    let proofs = match (&args.target, &args.since) {
        (Some(target), None) => vec![inclusion(context, &repository, target, &args.out)?],
        (None, Some(since)) => growth(context, &repository, since, &args.out)?,
        _ => return Err(usage("name a recovery point, or a file of heads with --since")),
    };
    context
        .ui
        .document(&json!({ "schema": "muster.ledger prove/1", "repository": repository.id(), "proofs": proofs }));
    Ok(Exit::Done)
}

fn inclusion(context: &Context, repository: &Repository, target: &str, out: &Path) -> Result<Value, CommandError> {
    let target = Target::parse(target)?;
    let point = context.wait(repository.point(&target.store, target.point.as_deref()))?;
    let proof: Inclusion = context.wait(repository.prove_entry(&point.entry))?;
    let stem = out.join(format!("{}-{}", point.store, point.snapshot));
    let (proof_path, entry_path) = (stem.with_extension("tlog-proof"), stem.with_extension("entry"));
    write(&proof_path, proof.text().as_bytes())?;
    write(&entry_path, &proof.entry)?;
    let key = verifier_key(repository, &proof.key, &proof.incarnation)?;
    context.ui.say(format!(
        "{}@{} stands at index {} of {} entries",
        point.store,
        point.snapshot,
        proof.index,
        count(proof.checkpoint.size)
    ));
    context.ui.say(format!("proof  {}", proof_path.display()));
    context.ui.say(format!("entry  {}", entry_path.display()));
    context.ui.say(format!("key    {key}"));
    Ok(json!({
        "kind": "inclusion",
        "store": point.store,
        "snapshot": point.snapshot,
        "manifest_digest": point.manifest.to_string(),
        "key_id": proof.key.to_string(),
        "incarnation": proof.incarnation,
        "index": proof.index,
        "size": proof.checkpoint.size,
        "root": proof.checkpoint.root.to_string(),
        "hashes": hashes(&proof.hashes),
        "checkpoint": String::from_utf8_lossy(&proof.note),
        "verifier_key": key,
        "proof": proof_path,
        "entry": entry_path,
    }))
}

fn growth(context: &Context, repository: &Repository, since: &Path, out: &Path) -> Result<Vec<Value>, CommandError> {
    let mut proofs = Vec::new();
    for pin in read_pins(repository, since)? {
        let proof: Consistency = context.wait(repository.prove_growth(&pin))?;
        let path = out.join(format!("{}-{}.growth", &pin.key.to_string()[..16], pin.incarnation));
        write(&path, proof.text().as_bytes())?;
        let key = verifier_key(repository, &proof.key, &proof.incarnation)?;
        context.ui.say(format!(
            "{}: {} entries grew out of the {} that were kept",
            pin.incarnation,
            count(proof.checkpoint.size),
            count(proof.old)
        ));
        context.ui.say(format!("proof  {}", path.display()));
        context.ui.say(format!("key    {key}"));
        proofs.push(json!({
            "kind": "consistency",
            "key_id": proof.key.to_string(),
            "incarnation": proof.incarnation,
            "old_size": proof.old,
            "old_root": pin.checkpoint.root.to_string(),
            "size": proof.checkpoint.size,
            "root": proof.checkpoint.root.to_string(),
            "hashes": hashes(&proof.hashes),
            "checkpoint": String::from_utf8_lossy(&proof.note),
            "verifier_key": key,
            "proof": path,
        }));
    }
    Ok(proofs)
}

/// Reads a file of heads that were kept.
pub(crate) fn read_pins(repository: &Repository, path: &Path) -> Result<Vec<Pin>, CommandError> {
    let bytes = read_pin_file(path)?;
    Pin::open_all(&bytes, repository.keys(), repository.id())
        .map_err(|error| CommandError::new(Kind::Damaged, error).context(format!("read the pin {}", path.display())))
}

/// The bytes of a file of heads, bounded.
pub(crate) fn read_pin_file(path: &Path) -> Result<Vec<u8>, CommandError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(64 << 20).read_to_end(&mut bytes))
        .map_err(|error| CommandError::new(Kind::Usage, error).context(format!("read the pin {}", path.display())))?;
    Ok(bytes)
}

fn verifier_key(repository: &Repository, key: &KeyId, incarnation: &str) -> Result<String, CommandError> {
    let entry = repository.keys().keys.iter().find(|entry| entry.key_id == *key);
    let entry = entry.ok_or_else(|| CommandError::new(Kind::Key, format!("key {key} is not listed")))?;
    note::vkey(&origin(repository.id(), incarnation), &entry.public_key)
        .map_err(|error| CommandError::new(Kind::Failed, error))
}

fn hashes(hashes: &[muster_signing::Digest]) -> Vec<String> {
    hashes.iter().map(ToString::to_string).collect()
}
