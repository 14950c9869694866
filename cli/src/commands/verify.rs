//! `muster verify`: a bundle, offline and with the public root key alone; or the archives of a repository.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use muster_archive::{Repository, Verification, VerifyDepth, VerifyEvent};
use muster_evidence::Failure;
use muster_signing::PublicKey;
use serde_json::{Value, json};

use super::ledger;
use crate::config::Config;
use crate::context::Context;
use crate::error::{self, CommandError, Kind, usage};
use crate::exit::Exit;
use crate::keyfiles;
use crate::point::Target;
use crate::ui::{Tone, bytes, count, printable};

/// A bundle larger than this is not read.
const MAX_BUNDLE: u64 = 1 << 30;

/// Verify an evidence bundle offline, or the archives of the repository
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without --key, and without the [trust] root of a configuration, the best answer is
\"intact, signer unknown\": exit 12. A wrong signature, digest or byte is exit 7, with its place.

Examples:
  muster verify audit.tar --key root.pub       as an auditor: no configuration, no network
  muster verify q3.tar --key root.pub --previous q2.tar     nothing left the logs since
  muster verify back.loss-01JD0.json --key root.pub         what a restore could not bring back
  muster verify --repository --pin pin.txt     pin.txt: `muster ledger show --checkpoint`
  muster verify --repository                   signatures, logs, lists, and every object is there
  muster verify --repository --read-data       every byte
  muster verify --repository accounts@latest --read-data"
)]
pub(crate) struct Verify {
    /// The bundle, or the loss report of a restore
    #[arg(
        value_name = "BUNDLE",
        required_unless_present = "repository",
        conflicts_with = "repository"
    )]
    bundle: Option<PathBuf>,
    /// The public root key to believe [default: the configuration's trust root]
    #[arg(long, value_name = "ROOT_PUB")]
    key: Option<PathBuf>,
    /// Verify the repository, one store or one recovery point instead of a bundle
    #[arg(long, value_name = "STORE[@POINT]", num_args = 0..=1, default_missing_value = "")]
    repository: Option<String>,
    /// A file of log heads that was kept elsewhere, older than what is verified: prove that each log grew out of its one
    #[arg(long, value_name = "CHECKPOINT")]
    pin: Option<PathBuf>,
    /// An earlier bundle: prove that the logs grew out of the heads in it
    #[arg(long, value_name = "BUNDLE", conflicts_with = "repository")]
    previous: Option<PathBuf>,
    /// Read every byte instead of asking only whether each object is there
    #[arg(long, requires = "repository")]
    read_data: bool,
}

pub(crate) fn run(context: &Context, args: Verify) -> Result<Exit, CommandError> {
    let key = args.key.as_deref().map(named_root).transpose()?;
    match (args.bundle, args.repository) {
        (Some(bundle), _) => verify_bundle(context, &bundle, key, args.pin.as_deref(), args.previous.as_deref()),
        (None, Some(target)) => {
            let depth = if args.read_data {
                VerifyDepth::ReadData
            } else {
                VerifyDepth::Inventory
            };
            verify_repository(context, &target, key, depth, args.pin.as_deref())
        }
        (None, None) => Err(usage("nothing to verify")
            .hint("muster verify BUNDLE --key root.pub")
            .hint("muster verify --repository")),
    }
}

fn named_root(path: &Path) -> Result<PublicKey, CommandError> {
    keyfiles::read_public(path)?
        .ok_or_else(|| CommandError::new(Kind::Key, format!("there is no public key at {}", path.display())))
}

/// Reads a bundle, bounded.
pub(crate) fn read_bundle(path: &Path) -> Result<Vec<u8>, CommandError> {
    let attempt = || format!("read the bundle {}", path.display());
    let failed = |error: std::io::Error| CommandError::new(Kind::Failed, error).context(attempt());
    let mut content = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BUNDLE + 1).read_to_end(&mut content))
        .map_err(failed)?;
    if content.len() as u64 > MAX_BUNDLE {
        return Err(CommandError::new(Kind::Damaged, "it is larger than any bundle").context(attempt()));
    }
    Ok(content)
}

fn verify_bundle(
    context: &Context,
    path: &Path,
    key: Option<PublicKey>,
    pin: Option<&Path>,
    previous: Option<&Path>,
) -> Result<Exit, CommandError> {
    let root = match key {
        Some(key) => Some(key),
        // A configuration is a convenience here: an auditor has none.
        None => match Config::locate(context.named_config()) {
            Some(_) => keyfiles::read_public(&context.config()?.trust_root)?,
            None => None,
        },
    };
    let pins = pin.map(ledger::read_pin_file).transpose()?;
    let previous = previous.map(read_bundle).transpose()?;
    let kept = muster_evidence::Kept {
        pins: pins.as_deref(),
        previous: previous.as_deref(),
    };
    let bytes = read_bundle(path)?;
    let found = if muster_evidence::is_loss_report(&bytes) {
        let (found, losses) = muster_evidence::verify_loss_report(&bytes, root.as_ref());
        let mut document = json!(found);
        if let Some(fields) = document.as_object_mut() {
            fields.insert("losses".into(), json!(losses));
        }
        context.ui.document(&document);
        found
    } else {
        let found = muster_evidence::verify_bundle_against(&bytes, root.as_ref(), kept);
        context.ui.document(&found);
        found
    };
    for check in &found.checks {
        let (mark, tone) = if check.passed {
            ("ok  ", Tone::Good)
        } else {
            ("FAIL", Tone::Bad)
        };
        context.ui.say(format!(
            "{}  {}: {}",
            context.ui.paint(tone, mark),
            check.name,
            printable(check.detail.as_bytes())
        ));
    }
    for signer in &found.signed_by {
        context.ui.say(format!(
            "signed by the {} key {} ({})",
            signer.role,
            signer.key_id,
            printable(signer.name.as_bytes())
        ));
    }
    context.ui.say(format!("removal: {}", found.removal));
    for line in &found.not_shown {
        context.ui.say(format!("not shown: {}", printable(line.as_bytes())));
    }
    let (text, tone, exit) = match found.failure {
        None => ("valid", Tone::Good, Exit::Done),
        Some(Failure::SignerUnknown) => ("intact, signer unknown", Tone::Doubtful, Exit::Key),
        Some(Failure::Wrong) => ("NOT VALID", Tone::Bad, Exit::Damaged),
    };
    context
        .ui
        .say(format!("\n{}: {text}", path.display()).replace(text, &context.ui.paint(tone, text)));
    if exit == Exit::Key {
        context
            .ui
            .note("name the root key that you hold: muster verify BUNDLE --key root.pub");
    }
    Ok(exit)
}

fn verify_repository(
    context: &Context,
    target: &str,
    key: Option<PublicKey>,
    depth: VerifyDepth,
    pin: Option<&Path>,
) -> Result<Exit, CommandError> {
    let target = (!target.is_empty()).then(|| Target::parse(target)).transpose()?;
    let config = context.config()?;
    let root = match key {
        Some(key) => Some(key),
        None => keyfiles::read_public(&config.trust_root)?,
    };
    let repository = context.repository_under(&config, root)?;
    let progress = context.ui.progress("verify", None);
    let only = target
        .as_ref()
        .map(|target| (target.store.as_str(), target.point.as_deref()));
    let latest;
    let only = match only {
        // `STORE@latest` is one point; `STORE` alone is all of them.
        Some((store, None)) if target.as_ref().is_some_and(|target| target.named_latest) => {
            latest = context.wait(repository.point(store, None))?.snapshot;
            Some((store, Some(latest.as_str())))
        }
        other => other,
    };
    let on_event = |event: VerifyEvent| {
        let VerifyEvent::Read { done, total } = event;
        progress.expect(total);
        progress.set(done);
    };
    let found = context.wait(repository.verify(only, depth, &on_event))?;
    drop(progress);
    context.cancel.check()?;
    let pinned = pin.map(|pin| compare(context, &repository, pin)).transpose()?;
    report(context, &repository, &found, depth, pinned)
}

/// Logs held against heads that were kept.
struct Pinned {
    /// How many of them are beginnings of the logs that are there.
    proven: u64,
    /// Logs that went back, forked, or are gone.
    wrong: Vec<CommandError>,
    /// Logs that none of these heads is of.
    uncovered: Vec<String>,
}

fn compare(context: &Context, repository: &Repository, path: &Path) -> Result<Pinned, CommandError> {
    let pins = ledger::read_pins(repository, path)?;
    let (mut proven, mut wrong) = (0, Vec::new());
    for pin in &pins {
        match context.wait(repository.prove_growth(pin)) {
            Ok(_) => proven += 1,
            Err(error) => wrong.push(error),
        }
    }
    let covered: BTreeSet<String> = pins.iter().map(|pin| pin.key.to_string()).collect();
    let heads = context.wait(repository.all_heads())?;
    let owners: BTreeSet<String> = heads.iter().map(|log| log.key.to_string()).collect();
    Ok(Pinned {
        proven,
        wrong,
        uncovered: owners.difference(&covered).cloned().collect(),
    })
}

fn report(
    context: &Context,
    repository: &Repository,
    found: &Verification,
    depth: VerifyDepth,
    pinned: Option<Pinned>,
) -> Result<Exit, CommandError> {
    let check = |name: &str, passed: bool, detail: String| json!({ "name": name, "passed": passed, "detail": detail });
    let anchored = repository.is_anchored();
    let mut checks = vec![check(
        "trust",
        anchored,
        match anchored {
            true => format!("root {}, key epoch {}", repository.root().id(), repository.keys().epoch),
            false => "intact, signer unknown: no root key was named".to_owned(),
        },
    )];
    let damaged = |error: &muster_archive::ArchiveError| check("object", false, error::chain(error));
    checks.extend(found.damaged.iter().map(damaged));
    checks.extend(
        found
            .unreadable
            .iter()
            .map(|error| check("could not read", false, error::chain(error))),
    );
    let whole = found.damaged.is_empty() && found.unreadable.is_empty();
    checks.push(check(
        "snapshots",
        whole,
        format!(
            "{} snapshots and {} scorecards{}",
            count(found.snapshots),
            count(found.rehearsals),
            if whole {
                ""
            } else {
                ", but not all that they need is whole: see above"
            }
        ),
    ));
    checks.push(check(
        "objects",
        whole,
        match depth {
            VerifyDepth::Inventory if !whole => format!("{} objects were looked for", count(found.objects)),
            VerifyDepth::Inventory => format!("{} objects are there with their sizes", count(found.objects)),
            VerifyDepth::ReadData => format!(
                "{} objects, {} read whole",
                count(found.objects),
                bytes(found.read_bytes)
            ),
        },
    ));
    let mut exit = match (found.damaged.is_empty(), anchored, found.unreadable.is_empty()) {
        (false, _, _) => Exit::Damaged,
        (true, false, _) => Exit::Key,
        (true, true, false) => Exit::Incomplete,
        (true, true, true) => Exit::Done,
    };
    let mut removal = "self-asserted";
    let mut not_shown = vec!["that nothing was removed before this host first saw the logs".to_owned()];
    if let Some(pinned) = pinned {
        not_shown = vec!["that nothing was removed before the heads in the pin were signed".to_owned()];
        let uncovered = pinned.uncovered.iter();
        not_shown.extend(
            uncovered.map(|key| format!("that nothing was removed from the log of key {key}: no pin is of it")),
        );
        for error in &pinned.wrong {
            checks.push(check("pin", false, error.message()));
            exit = exit.worst(error.exit());
        }
        if pinned.wrong.is_empty() {
            let detail = format!("the logs grew out of the {} heads that were kept", count(pinned.proven));
            checks.push(check("pin", true, detail));
            if exit == Exit::Done {
                removal = "proven-against-pin";
            }
        }
    }
    if depth == VerifyDepth::Inventory {
        not_shown.push("that the objects' bytes are right: --read-data reads them".to_owned());
    }
    if found.sealed > 0 {
        not_shown.push(format!(
            "that {} encrypted snapshots decrypt and decode: [repository] identity_file is not at hand",
            found.sealed
        ));
    }
    not_shown.push("that a store starts from them: muster rehearse".to_owned());
    let signers: Vec<Value> = repository
        .keys()
        .keys
        .iter()
        .map(|entry| json!({ "role": entry.role.as_str(), "key_id": entry.key_id.to_string(), "name": entry.name }))
        .collect();
    context.ui.document(&json!({
        "schema": "muster.verify/1",
        "valid": exit == Exit::Done,
        "repository": repository.id(),
        "url": repository.url(),
        "checks": checks,
        "signed_by": signers,
        "subject": [],
        "removal": removal,
        "not_shown": not_shown,
    }));
    for check in &checks {
        let (mark, tone) = if check["passed"] == true {
            ("ok  ", Tone::Good)
        } else {
            ("FAIL", Tone::Bad)
        };
        let text = |key: &str| printable(check[key].as_str().unwrap_or_default().as_bytes());
        context.ui.say(format!(
            "{}  {}: {}",
            context.ui.paint(tone, mark),
            text("name"),
            text("detail")
        ));
    }
    context.ui.say(format!("removal: {removal}"));
    for line in not_shown {
        context.ui.say(format!("not shown: {line}"));
    }
    let (text, tone) = match exit {
        Exit::Done => ("valid", Tone::Good),
        Exit::Key => ("intact, signer unknown", Tone::Doubtful),
        Exit::Incomplete => ("not all of it could be read", Tone::Doubtful),
        _ => ("NOT VALID", Tone::Bad),
    };
    context
        .ui
        .say(format!("\n{}: {}", repository.url(), context.ui.paint(tone, text)));
    if exit == Exit::Damaged {
        context
            .ui
            .advise("muster snapshots, then muster restore STORE@POINT --to DIR: it gives back all that is whole, and lists the rest");
    }
    Ok(exit)
}
