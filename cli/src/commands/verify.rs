//! `muster verify`: a bundle, offline and with the public root key alone; or the archives of a repository.

mod objects;
mod repository;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_evidence::Failure;
use muster_signing::PublicKey;
use serde_json::json;

use super::ledger;
use crate::config::{Config, duration};
use crate::context::Context;
use crate::error::{CommandError, Kind, usage};
use crate::exit::Exit;
use crate::keyfiles;
use crate::ui::{Tone, printable};
use repository::Asked;

/// A bundle larger than this is not read.
const MAX_BUNDLE: u64 = 1 << 30;

/// Verify an evidence bundle offline, or the archives of the repository
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without --key, and without the [trust] root of a configuration, the best answer is
\"intact, signer unknown\": exit 12. A wrong signature, digest or byte is exit 7, with its place.

--repository lists what is there and merges it with what the manifests name; where the server
keeps checksums or object locks, it is asked for each object's. What is absent or wrong is exit 7,
what could not be read now exit 3. A name that a delete marker or an overwrite hides, and whose
version is there, is told and is no damage. -v shows every object with its lock; --json has them
in objects[], or beyond 10,000 in the file that objects_file names.

--read-data reads every object, compares its SHA-256, and decodes every frame that a tree names.
With an AGE, what this host read whole from this repository within that time is not read again,
and counted.

Examples:
  muster verify audit.tar --key root.pub       as an auditor: no configuration, no network
  muster verify q3.tar --key root.pub --previous q2.tar     nothing left the logs since
  muster verify back.loss-01JD0.json --key root.pub         what a restore could not bring back
  muster verify --repository --pin pin.txt     pin.txt: `muster ledger show --checkpoint`
  muster verify --repository                   signatures, logs, lists, and every object is there
  muster verify --repository -v                each object's lock: mode, and until when
  muster verify --repository --read-data       every byte
  muster verify --repository --read-data=30d   every byte that was not read within 30 days
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
    /// Read every byte instead of asking only whether each object is there; with an age (12h, 30d, 4w) only what this host did not
    /// read whole within it
    #[arg(
        long,
        value_name = "AGE",
        requires = "repository",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    read_data: Option<String>,
}

pub(crate) fn run(context: &Context, args: Verify) -> Result<Exit, CommandError> {
    let key = args.key.as_deref().map(named_root).transpose()?;
    match (args.bundle, args.repository) {
        (Some(bundle), _) => verify_bundle(context, &bundle, key, args.pin.as_deref(), args.previous.as_deref()),
        (None, Some(target)) => {
            let asked = Asked {
                target: &target,
                key,
                read_data: args.read_data.is_some(),
                skip_read_within: args.read_data.as_deref().map(age).transpose()?.flatten(),
                pin: args.pin.as_deref(),
            };
            repository::verify(context, asked)
        }
        (None, None) => Err(usage("nothing to verify")
            .hint("muster verify BUNDLE --key root.pub")
            .hint("muster verify --repository")),
    }
}

/// The age of `--read-data=AGE`; none where nothing was given.
fn age(text: &str) -> Result<Option<Duration>, CommandError> {
    if text.is_empty() {
        return Ok(None);
    }
    let weeks = text.strip_suffix('w').and_then(|weeks| weeks.parse::<u64>().ok());
    let age = match weeks.and_then(|weeks| weeks.checked_mul(7)) {
        Some(days) => duration(&format!("{days}d")),
        None => duration(text),
    };
    age.map(Some)
        .map_err(|error| usage(format!("--read-data: {error}")).hint("muster verify --repository --read-data=30d"))
}

pub(crate) fn named_root(path: &Path) -> Result<PublicKey, CommandError> {
    keyfiles::read_public(path)?
        .ok_or_else(|| CommandError::new(Kind::Key, format!("there is no public key at {}", path.display())))
}

/// The root to believe: the one that was named, else the configuration's. An auditor has none of the latter.
pub(crate) fn root_of(context: &Context, named: Option<PublicKey>) -> Result<Option<PublicKey>, CommandError> {
    match (named, Config::locate(context.named_config())) {
        (Some(key), _) => Ok(Some(key)),
        (None, Some(_)) => keyfiles::read_public(&context.config()?.trust_root),
        (None, None) => Ok(None),
    }
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
    let root = root_of(context, key)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_duration_or_weeks() {
        let hours = |text| age(text).unwrap().map(|age| age.as_secs() / 3600);
        assert_eq!(hours(""), None);
        assert_eq!(hours("12h"), Some(12));
        assert_eq!(hours("30d"), Some(720));
        assert_eq!(hours("2w"), Some(336));
        for wrong in ["30", "1y", "-1d", "99999999999999999999w"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }
}
