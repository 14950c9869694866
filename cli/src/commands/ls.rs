//! `muster ls`: what a recovery point holds, read from its tree alone.

use muster_archive::tree::{NodeKind, TreeEntry};
use serde_json::{Value, json};

use crate::chosen::{check_named, choose};
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::exit::Exit;
use crate::point::Target;
use crate::ui::{bytes, printable};

/// List what a recovery point holds
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  muster ls assets                       everything in the latest recovery point
  muster ls assets@01JD0 maps/castle     a folder in an older one")]
pub(crate) struct Ls {
    /// The store, and the recovery point where it is not the latest
    #[arg(value_name = "STORE[@POINT]")]
    target: String,
    /// Only this path and what is in it
    path: Option<String>,
    /// List the named point by its signed manifest alone where no log that can be read names it
    #[arg(long)]
    accept_unlogged: bool,
}

pub(crate) fn run(context: &Context, args: Ls) -> Result<Exit, CommandError> {
    let target = Target::parse(&args.target)?;
    check_named(target.point.as_deref(), args.accept_unlogged, "muster ls STORE@POINT")?;
    let config = context.config()?;
    let repository = context.repository(&config)?;
    let chosen = choose(context, &config, &repository, &target, args.accept_unlogged, |point| {
        format!("muster ls {}@{}", point.store, point.snapshot)
    })?;
    let (point, manifest) = (&chosen.point, &chosen.manifest);
    let wanted = args.path.as_deref().unwrap_or("").trim_matches('/').as_bytes().to_vec();
    let session = context.session(&repository, &|_| {})?;
    let mut entries = Vec::new();
    let found = muster_restore::list(&session, manifest, &wanted, |entry| {
        if context.ui.is_json() {
            entries.push(document(&entry));
        } else {
            context.ui.say(line(&entry));
        }
        Ok(())
    })?;
    if found == 0 && !wanted.is_empty() {
        return Err(CommandError::new(
            Kind::Failed,
            format!("{}@{} holds no {}", point.store, point.snapshot, printable(&wanted)),
        )
        .hint(format!("muster ls {}@{}", point.store, point.snapshot)));
    }
    chosen.warn(&context.ui);
    context.ui.document(&json!({
        "schema": "muster.ls/1",
        "store": point.store,
        "snapshot": point.snapshot,
        "logged": chosen.logged,
        "entries": entries,
    }));
    Ok(Exit::Done)
}

fn kind_name(kind: &NodeKind) -> &'static str {
    match kind {
        NodeKind::File { .. } => "file",
        NodeKind::Directory => "directory",
        NodeKind::Symlink { .. } => "symlink",
        NodeKind::HardLink { .. } => "hardlink",
        NodeKind::Fifo => "fifo",
        NodeKind::Device { block: true, .. } => "block_device",
        NodeKind::Device { block: false, .. } => "character_device",
    }
}

fn document(entry: &TreeEntry) -> Value {
    let mut value = json!({
        "path": String::from_utf8_lossy(&entry.path),
        "kind": kind_name(&entry.kind),
        "mode": format!("{:04o}", entry.mode),
        "uid": entry.uid,
        "gid": entry.gid,
        "mtime": modified(entry),
    });
    if let Value::Object(fields) = &mut value {
        match &entry.kind {
            NodeKind::File { size, .. } => fields.insert("size_bytes".into(), json!(size)),
            NodeKind::Symlink { target } => fields.insert("target".into(), json!(String::from_utf8_lossy(target))),
            NodeKind::HardLink { to } => fields.insert("target".into(), json!(String::from_utf8_lossy(to))),
            _ => None,
        };
        if std::str::from_utf8(&entry.path).is_err() {
            // A lossy name cannot be asked for again: the exact bytes stand beside it.
            let hex: String = entry.path.iter().map(|byte| format!("{byte:02x}")).collect();
            fields.insert("path_hex".into(), json!(hex));
        }
    }
    value
}

fn line(entry: &TreeEntry) -> String {
    let size = match entry.kind {
        NodeKind::File { size, .. } => bytes(size),
        _ => "-".to_owned(),
    };
    let link = match &entry.kind {
        NodeKind::Symlink { target } => format!(" -> {}", printable(target)),
        NodeKind::HardLink { to } => format!(" = {}", printable(to)),
        _ => String::new(),
    };
    let letter = match entry.kind {
        NodeKind::File { .. } | NodeKind::HardLink { .. } => '-',
        NodeKind::Directory => 'd',
        NodeKind::Symlink { .. } => 'l',
        NodeKind::Fifo => 'p',
        NodeKind::Device { block: true, .. } => 'b',
        NodeKind::Device { block: false, .. } => 'c',
    };
    let modified = crate::ui::date(&modified(entry));
    format!(
        "{letter}{:04o}  {:>5} {:>5}  {size:>10}  {modified}  {}{link}",
        entry.mode,
        entry.uid,
        entry.gid,
        printable(&entry.path)
    )
}

fn modified(entry: &TreeEntry) -> String {
    time::OffsetDateTime::from_unix_timestamp(entry.mtime_seconds)
        .map(crate::edge::rfc3339)
        .unwrap_or_else(|_| "-".to_owned())
}
