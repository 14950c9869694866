//! `muster verify --repository`: how far the archives were looked at, and what was seen.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use muster_archive::{Locks, Repository, Tally, Verification, VerifyDepth, VerifyEvent, VerifyOptions};
use muster_signing::PublicKey;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::ledger;
use super::objects::Objects;
use crate::config::duration_text;
use crate::context::Context;
use crate::edge::{now, rfc3339};
use crate::error::{self, CommandError};
use crate::exit::Exit;
use crate::keyfiles;
use crate::point::Target;
use crate::ui::{Tone, bytes, count, date, printable};

/// Names that are told one by one to a human.
const TOLD: usize = 20;

/// What is asked for.
pub(super) struct Asked<'a> {
    /// `STORE[@POINT]`; empty: everything.
    pub(super) target: &'a str,
    /// The root to believe instead of the configuration's.
    pub(super) key: Option<PublicKey>,
    pub(super) read_data: bool,
    pub(super) skip_read_within: Option<Duration>,
    /// Heads that were kept elsewhere.
    pub(super) pin: Option<&'a Path>,
}

pub(super) fn verify(context: &Context, asked: Asked<'_>) -> Result<Exit, CommandError> {
    let target = (!asked.target.is_empty())
        .then(|| Target::parse(asked.target))
        .transpose()?;
    let config = context.config()?;
    let root = match asked.key {
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
    let objects = Objects::new(repository.state().dir());
    let on_event = |event: VerifyEvent| match event {
        VerifyEvent::Began(what) => progress.note(what),
        VerifyEvent::Read { done, total } => {
            progress.expect(total);
            progress.set(done);
        }
        VerifyEvent::Looked { done, total } => progress.note(&format!("{} of {} objects", count(done), count(total))),
        VerifyEvent::Object(report) => objects.add(report),
    };
    let options = VerifyOptions {
        now: Some(now()),
        skip_read_within: asked.skip_read_within,
        lock: config.repository.object_lock,
        memory: usize::try_from(config.memory / 8 * 5).unwrap_or(usize::MAX),
        cancel: Some(context.cancel.as_bool()),
        ..VerifyOptions::new(match asked.read_data {
            true => VerifyDepth::ReadData,
            false => VerifyDepth::Inventory,
        })
    };
    let found = context.wait(repository.verify_with(only, &options, &on_event));
    drop(progress);
    let found = found?;
    context.cancel.check()?;
    let pinned = asked.pin.map(|pin| compare(context, &repository, pin)).transpose()?;
    report(context, &repository, &found, &options, &objects, pinned)
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
    options: &VerifyOptions<'_>,
    objects: &Objects,
    pinned: Option<Pinned>,
) -> Result<Exit, CommandError> {
    let check = |name: &str, passed: bool, detail: String| json!({ "name": name, "passed": passed, "detail": detail });
    let (depth, anchored) = (options.depth, repository.is_anchored());
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
    if found.more_damaged > 0 {
        let more = format!("{} more are missing or damaged", count(found.more_damaged));
        checks.push(check("object", false, more));
    }
    let whole = found.is_whole();
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
                "{} objects, {} read whole{}",
                count(found.objects),
                bytes(found.read_bytes),
                skipped(found, options)
            ),
        },
    ));
    let notes = notes(found);
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
        "objects_total": objects.total(),
        "objects": objects.documents(),
        "objects_file": objects.file()?,
        "read": {
            "bytes": found.read_bytes,
            "skipped_objects": found.skipped.objects,
            "skipped_bytes": found.skipped.bytes,
            "within_seconds": options.skip_read_within.map(|age| age.as_secs_f64()),
        },
        "inventory": {
            "named_objects": found.objects,
            "unnamed_objects": found.unnamed.map(|unnamed| unnamed.objects),
            "unnamed_bytes": found.unnamed.map(|unnamed| unnamed.bytes),
            "index_objects": found.index.map(|index| index.objects),
            "index_bytes": found.index.map(|index| index.bytes),
            "recovered_objects": found.recovered_objects,
            "recovered": found.recovered,
        },
        "locks": found.locks.map(locks_document),
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
    for (tone, line) in &notes {
        let mark = if *tone == Tone::Doubtful { "note" } else { "ok  " };
        context.ui.say(format!(
            "{}  {}",
            context.ui.paint(*tone, mark),
            printable(line.as_bytes())
        ));
    }
    objects.show(&context.ui);
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

/// What was passed over because it was read not long ago.
fn skipped(found: &Verification, options: &VerifyOptions<'_>) -> String {
    let Some(age) = options.skip_read_within else {
        return String::new();
    };
    format!(
        "; {} objects, {} not read again: read whole within {}",
        count(found.skipped.objects),
        bytes(found.skipped.bytes),
        duration_text(age)
    )
}

/// What is worth knowing and no verdict.
fn notes(found: &Verification) -> Vec<(Tone, String)> {
    let mut notes = Vec::new();
    if found.recovered_objects > 0 {
        let names = found.recovered.iter().take(TOLD).map(String::as_str);
        let more = found.recovered_objects.saturating_sub(TOLD as u64);
        notes.push((
            Tone::Doubtful,
            format!(
                "recovered: {} names are hidden by a delete marker or overwritten, and an older version has their bytes: {}{}",
                count(found.recovered_objects),
                names.collect::<Vec<_>>().join(" "),
                if more > 0 { " and more" } else { "" }
            ),
        ));
    }
    if let Some(locks) = &found.locks {
        notes.push(locks_line(locks));
    }
    let tally = |tally: Tally| format!("{} objects, {}", count(tally.objects), bytes(tally.bytes));
    if let Some(unnamed) = found.unnamed.filter(|unnamed| unnamed.objects > 0) {
        notes.push((
            Tone::Good,
            format!(
                "unnamed: {}, left by runs that did not end or under way",
                tally(unnamed)
            ),
        ));
    }
    if let Some(index) = found.index.filter(|index| index.objects > 0) {
        notes.push((
            Tone::Good,
            format!("index: {} that writers keep for themselves", tally(index)),
        ));
    }
    notes
}

fn locks_line(locks: &Locks) -> (Tone, String) {
    let until = |time: Option<OffsetDateTime>| time.map_or_else(|| "-".to_owned(), |time| date(&rfc3339(time)));
    let mut line = format!(
        "locks: {} of {} objects locked",
        count(locks.locked),
        count(locks.objects)
    );
    if locks.locked > 0 {
        line += &format!(
            ", the first until {}, the last until {}",
            until(locks.earliest),
            until(locks.latest)
        );
    }
    line += &format!("; {} free", count(locks.free));
    if locks.lacking + locks.short == 0 {
        return (Tone::Good, line);
    }
    line += &format!(
        ", of which {} must be locked; {} locked for too short or too weakly: the next muster backup locks what it leans on",
        count(locks.lacking),
        count(locks.short)
    );
    (Tone::Doubtful, line)
}

fn locks_document(locks: Locks) -> Value {
    json!({
        "objects": locks.objects,
        "locked": locks.locked,
        "free": locks.free,
        "lacking": locks.lacking,
        "short": locks.short,
        "earliest": locks.earliest.map(rfc3339),
        "latest": locks.latest.map(rfc3339),
    })
}
