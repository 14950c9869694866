//! Every object that was looked at, for the document and the table: few are held, many go to a file.
//!
//! Invariant: memory does not grow with the repository.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use muster_archive::object_store::Retention;
use muster_archive::{Held, ObjectReport, ObjectState};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::edge::rfc3339;
use crate::error::{CommandError, Kind};
use crate::ui::{Table, Tone, Ui, bytes, count, date};

/// More objects than these go to a file.
const HELD: u64 = 10_000;

/// Takes one object after the other.
pub(super) struct Objects {
    path: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    total: u64,
    held: Vec<ObjectReport>,
    kinds: BTreeMap<String, KindSum>,
    file: Option<BufWriter<File>>,
    failed: Option<io::Error>,
}

/// The objects beneath one folder.
#[derive(Default)]
struct KindSum {
    objects: u64,
    bytes: u64,
    read: u64,
    wrong: u64,
    locked: u64,
    free: u64,
    short: u64,
    mode: Option<&'static str>,
    earliest: Option<OffsetDateTime>,
}

impl Objects {
    /// What is too much to be held goes to a file beneath `state`.
    pub(super) fn new(state: &Path) -> Self {
        Self {
            path: state.join("verify-objects.jsonl"),
            seen: Mutex::default(),
        }
    }

    pub(super) fn add(&self, report: ObjectReport) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.total += 1;
        seen.sum(&report);
        if seen.total <= HELD {
            seen.held.push(report);
            return;
        }
        if let Err(error) = seen.write(&self.staged(), &report) {
            seen.failed.get_or_insert(error);
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    /// All of them, where they are few; none otherwise.
    pub(super) fn documents(&self) -> Vec<Value> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.total <= HELD {
            true => seen.held.iter().map(document).collect(),
            false => Vec::new(),
        }
    }

    /// The file that holds them, one JSON document per line, where they are many.
    pub(super) fn file(&self) -> Result<Option<PathBuf>, CommandError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error: io::Error| {
            let attempt = format!("write the objects that were looked at to {}", self.path.display());
            CommandError::new(Kind::Failed, error).context(attempt)
        };
        if let Some(error) = seen.failed.take() {
            return Err(failed(error));
        }
        if let Some(mut file) = seen.file.take() {
            file.flush()
                .and_then(|()| fs::rename(self.staged(), &self.path))
                .map_err(failed)?;
        }
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        Ok((seen.total > HELD).then_some(path))
    }

    /// The table: what lies beneath each folder; with `-v`, each object.
    pub(super) fn show(&self, ui: &Ui) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if ui.is_verbose() && seen.total <= HELD {
            ui.table(&each(&seen.held));
            return;
        }
        ui.table(&by_kind(&seen.kinds));
        if ui.is_verbose() {
            ui.say(format!("each object: {}", self.path.display()));
        }
    }

    fn staged(&self) -> PathBuf {
        self.path.with_extension(format!("new-{}", std::process::id()))
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        let seen = self.seen.get_mut().unwrap_or_else(PoisonError::into_inner);
        if seen.file.take().is_some() {
            let _ = fs::remove_file(self.staged());
        }
    }
}

impl Seen {
    fn sum(&mut self, report: &ObjectReport) {
        let kind = report.object.split('/').next().unwrap_or_default();
        if !self.kinds.contains_key(kind) {
            self.kinds.insert(kind.to_owned(), KindSum::default());
        }
        let Some(sum) = self.kinds.get_mut(kind) else { return };
        sum.objects += 1;
        sum.bytes = sum.bytes.saturating_add(report.bytes);
        sum.read += u64::from(report.state == ObjectState::Read);
        sum.wrong += u64::from(matches!(report.state, ObjectState::Missing | ObjectState::Damaged));
        sum.short += u64::from(matches!(report.held, Held::Short | Held::Free));
        match report.lock {
            None => sum.free += 1,
            Some(lock) => {
                sum.locked += 1;
                let mode = lock.mode.as_str();
                sum.mode = Some(if sum.mode.is_none_or(|other| other == mode) {
                    mode
                } else {
                    "mixed"
                });
                sum.earliest = Some(sum.earliest.map_or(lock.until, |other| other.min(lock.until)));
            }
        }
    }

    fn write(&mut self, staged: &Path, report: &ObjectReport) -> io::Result<()> {
        if self.file.is_none() {
            if let Some(folder) = staged.parent() {
                fs::create_dir_all(folder)?;
            }
            let mut file = BufWriter::new(File::create(staged)?);
            for held in std::mem::take(&mut self.held) {
                writeln!(file, "{}", document(&held))?;
            }
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => writeln!(file, "{}", document(report)),
            None => Ok(()),
        }
    }
}

fn document(report: &ObjectReport) -> Value {
    json!({
        "object": report.object,
        "bytes": report.bytes,
        "state": report.state.as_str(),
        "recovered": report.recovered,
        "lock": report.lock.map(|lock| json!({ "mode": lock.mode.as_str(), "retain_until": rfc3339(lock.until) })),
        "held": report.held.as_str(),
    })
}

fn each(reports: &[ObjectReport]) -> Table {
    let mut table = Table::new(&["object", "?>size", "state", "!lock"]);
    for report in reports {
        let (state, tone) = match (report.state, report.recovered) {
            (ObjectState::Missing | ObjectState::Damaged, _) => (report.state.as_str(), Some(Tone::Bad)),
            (ObjectState::Unknown, _) => (report.state.as_str(), Some(Tone::Doubtful)),
            (_, true) => ("recovered", Some(Tone::Doubtful)),
            (state, false) => (state.as_str(), None),
        };
        let doubtful = matches!(report.held, Held::Short | Held::Free);
        let lock = match (report.lock, report.held) {
            (None, Held::Free) => "free".to_owned(),
            (lock, Held::Short) => format!("{} (short)", lock_text(lock)),
            (lock, _) => lock_text(lock),
        };
        table.row([
            (short_name(&report.object), None),
            (bytes(report.bytes), None),
            (state.to_owned(), tone),
            (lock, doubtful.then_some(Tone::Doubtful)),
        ]);
    }
    table
}

/// A name whose digest is shortened to what tells it from the others.
fn short_name(object: &str) -> String {
    match object.rsplit_once('/') {
        Some((folder, name)) if name.len() == 64 => format!("{folder}/{}…", name.get(..16).unwrap_or(name)),
        _ => object.to_owned(),
    }
}

fn lock_text(lock: Option<Retention>) -> String {
    lock.map_or_else(
        || "-".to_owned(),
        |lock| format!("{} {}", lock.mode.as_str(), date(&rfc3339(lock.until))),
    )
}

fn by_kind(kinds: &BTreeMap<String, KindSum>) -> Table {
    let mut table = Table::new(&[
        "kind",
        ">objects",
        ">size",
        ">read",
        ">wrong",
        "lock",
        "first ends",
        ">free",
        ">short",
    ]);
    let locks = kinds.values().any(|sum| sum.locked > 0);
    for (kind, sum) in kinds {
        let shown = |number: u64, shown: bool| if shown { count(number) } else { String::new() };
        table.row([
            (kind.clone(), None),
            (count(sum.objects), None),
            (bytes(sum.bytes), None),
            (shown(sum.read, kinds.values().any(|sum| sum.read > 0)), None),
            (
                shown(sum.wrong, kinds.values().any(|sum| sum.wrong > 0)),
                (sum.wrong > 0).then_some(Tone::Bad),
            ),
            (sum.mode.unwrap_or(if locks { "none" } else { "" }).to_owned(), None),
            (sum.earliest.map(|time| date(&rfc3339(time))).unwrap_or_default(), None),
            (shown(sum.free, locks), None),
            (
                shown(sum.short, kinds.values().any(|sum| sum.short > 0)),
                (sum.short > 0).then_some(Tone::Doubtful),
            ),
        ]);
    }
    table
}
