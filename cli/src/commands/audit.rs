//! `muster audit`: collect, judge, and sign a bundle that an auditor verifies offline.

pub(crate) mod frameworks;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use muster_archive::ledger::{Log, LogEvent};
use muster_archive::{Repository, layout};
use muster_evidence::{Audit as Predicate, Bundle, BundledLog, Tool};
use muster_policies::{FrameworkView, Report, Waivers};
use muster_signing::{Digest, Role};
use serde_json::{Value, json};

use super::check;
use crate::config::Config;
use crate::context::Context;
use crate::edge::{self, Edge};
use crate::error::{CommandError, Kind};
use crate::exit::Exit;
use crate::facts::{self, Collected};
use crate::keyfiles;

/// What the waivers are called in a bundle, beneath `waivers/`, whatever the file was called.
pub(crate) const WAIVERS: &str = "waivers.toml";
/// The profile that is judged when none is named.
const DEFAULT_PROFILE: &str = "dr-baseline";

/// Collect live configuration, judge it, and write a signed evidence bundle
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The bundle is written whatever the verdicts are. By default it lies in the folder `evidence`
beside the configuration. What the waivers of [policy] waivers cover stands in it as waived.

A framework is a view onto the same rules: each of its controls stands as the worst verdict of
the rules that speak for it, and controls that no rule speaks for are listed. With a framework
and without a profile, all profiles are judged. -v tells what can be shown for each control.

Examples:
  muster audit
  muster audit --profile postgres --profile object-storage
  muster audit --framework eu-dora
  muster audit --out q3.tar
  muster verify q3.tar --key root.pub                what an auditor types
  muster audit --json | jq '.results[] | select(.verdict == \"fail\")'"
)]
pub(crate) struct Audit {
    /// dr-baseline (the default), postgres or object-storage; may be repeated
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// Report by the controls of eu-dora, iso-27001, nist-800-53 or soc2; may be repeated
    #[arg(long, value_name = "NAME")]
    framework: Vec<String>,
    /// Where to write the bundle
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What an audit looks at, and where it writes.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Profiles by name. None: the default one, or all of them where frameworks are named.
    pub(crate) profiles: Vec<String>,
    /// Frameworks by name.
    pub(crate) frameworks: Vec<String>,
    /// The bundle's place, if not the default one.
    pub(crate) out: Option<PathBuf>,
}

/// A bundle that was written.
pub(crate) struct Audited {
    pub(crate) report: Report,
    pub(crate) frameworks: Vec<FrameworkView>,
    pub(crate) bundle: PathBuf,
    pub(crate) digest: Digest,
}

pub(crate) fn run(context: &Context, args: Audit) -> Result<Exit, CommandError> {
    let config = context.config()?;
    config.select(&[])?;
    let repository = context.repository(&config)?;
    let wanted = Wanted {
        profiles: args.profile,
        frameworks: args.framework,
        out: args.out,
    };
    let audited = audit(context, &config, &repository, wanted)?;
    let mut document = json!(audited.report);
    if let Value::Object(fields) = &mut document {
        fields.insert("schema".into(), json!("muster.audit/1"));
        fields.insert("frameworks".into(), json!(audited.frameworks));
        fields.insert("bundle".into(), json!(audited.bundle));
        fields.insert("bundle_digest".into(), json!(audited.digest.to_string()));
    }
    context.ui.document(&document);
    check::show(&context.ui, &audited.report);
    if !audited.frameworks.is_empty() {
        context.ui.say("");
        frameworks::show(&context.ui, &audited.frameworks);
    }
    context.ui.say(format!("\nbundle {}", audited.bundle.display()));
    context.ui.say(format!("       {}", audited.digest));
    context.ui.say(format!(
        "verify it anywhere, with a copy of the root key: muster verify {} --key {}",
        audited.bundle.display(),
        config.trust_root.display()
    ));
    Ok(check::exit(&audited.report))
}

/// Collects, judges, signs and logs.
pub(crate) fn audit(
    context: &Context,
    config: &Config,
    repository: &Repository,
    wanted: Wanted,
) -> Result<Audited, CommandError> {
    let auditor = keyfiles::secret(config, Role::Auditor)?;
    repository.check_key(&auditor.public(), Role::Auditor)?;
    let names: Vec<&str> = match (wanted.profiles.is_empty(), wanted.frameworks.is_empty()) {
        (false, _) => wanted.profiles.iter().map(String::as_str).collect(),
        (true, false) => muster_policies::profiles(),
        (true, true) => vec![DEFAULT_PROFILE],
    };
    let by: Vec<&str> = wanted.frameworks.iter().map(String::as_str).collect();
    // A name that nobody knows is told before anything is collected.
    let policies = policies(&names, &by)?;
    let waivers = config.waivers.as_deref().map(Waivers::read).transpose()?;
    let waivers = waivers.map(|waivers| waivers.called(WAIVERS));
    let waived = waivers.as_ref().map(|waivers| waivers.text().as_bytes().to_vec());

    let started = edge::rfc3339(edge::now());
    // The clock that a replay will have is the one that the bundle names.
    let now = edge::to_the_millisecond(edge::now());
    let collected = facts::collect(context, config, repository, now)?;
    let mut report = muster_policies::evaluate_profile(&names, &collected.facts, now)?;
    if let Some(waivers) = waivers {
        report = report.waived(waivers, now);
    }
    let frameworks = muster_policies::framework_report(&by, &names, &report)?;
    let judged = Judged {
        profiles: &names,
        report: &report,
        frameworks: &frameworks,
        started,
        evaluated_at: edge::rfc3339(now),
    };
    let mut bundle = bundle(repository, collected, judged, policies)?;
    bundle.waivers.extend(waived.map(|waived| (WAIVERS.to_owned(), waived)));
    let bytes = bundle.seal(&auditor)?;
    let digest = Digest::of(&bytes);
    let path = wanted.out.map_or_else(|| default_path(config, now), Ok)?;
    let path = std::path::absolute(&path).unwrap_or(path);
    write(&path, &bytes)
        .map_err(|error| CommandError::new(Kind::Failed, error).context(format!("write {}", path.display())))?;
    context.wait(repository.log_audit(digest, &auditor, &Edge))?;
    Ok(Audited {
        report,
        frameworks,
        bundle: path,
        digest,
    })
}

/// What judges and sorts: rules, and catalogues of controls.
fn policies(profiles: &[&str], frameworks: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, CommandError> {
    let mut files = BTreeMap::new();
    for framework in frameworks {
        let (name, text) = muster_policies::catalogue_source(framework)?;
        files.insert(name.to_owned(), text.as_bytes().to_vec());
    }
    for profile in profiles {
        let sources = muster_policies::sources(profile)?;
        files.extend(
            sources
                .into_iter()
                .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())),
        );
    }
    Ok(files)
}

/// What was judged, by what, and when.
struct Judged<'a> {
    profiles: &'a [&'a str],
    report: &'a Report,
    frameworks: &'a [FrameworkView],
    started: String,
    evaluated_at: String,
}

fn bundle(
    repository: &Repository,
    mut collected: Collected,
    judged: Judged<'_>,
    policies: BTreeMap<String, Vec<u8>>,
) -> Result<Bundle, CommandError> {
    let encode = |error: serde_json::Error| CommandError::new(Kind::Failed, error).context("encode the evidence");
    let mut results = serde_json::to_value(judged.report).map_err(encode)?;
    if !judged.frameworks.is_empty() {
        results["frameworks"] = serde_json::to_value(judged.frameworks).map_err(encode)?;
    }
    let summary = results["summary"].as_object().into_iter().flatten();
    let summary = summary
        .filter_map(|(verdict, count)| Some((verdict.clone(), count.as_u64()?)))
        .collect();
    let mut controls: Vec<String> = judged
        .report
        .results
        .iter()
        .flat_map(|finding| finding.controls.iter().cloned())
        .collect();
    controls.sort();
    controls.dedup();
    let documents = collected.manifests.iter().chain(&collected.rehearsals);
    let named: BTreeSet<Digest> = documents.map(|document| Digest::of(&document.envelope)).collect();
    let mut not_shown = vec!["stores that the configuration does not name: no inventory was declared".to_owned()];
    let logged = facts::logged_stores(&collected.logs);
    let left_out = logged
        .keys()
        .filter(|name| !collected.stores.iter().any(|store| store.store == **name));
    not_shown.extend(left_out.map(|name| {
        format!("store {name}, which a writer's configuration named when it last ran, and this configuration does not")
    }));
    let facts = serde_json::to_vec_pretty(&collected.facts).map_err(encode)?;
    collected.raw.insert("facts.json".to_owned(), facts);
    let mut bundle = Bundle {
        audit: Predicate {
            repository: repository.id().to_owned(),
            evaluated_at: judged.evaluated_at,
            started: judged.started,
            finished: edge::rfc3339(edge::now()),
            tool: Tool {
                name: "muster".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            profiles: judged.profiles.iter().map(|&name| name.to_owned()).collect(),
            summary,
            controls,
            frameworks: judged.frameworks.iter().map(frameworks::stated).collect(),
            stores: collected.stores,
            not_shown,
            critical: Vec::new(),
        },
        results: serde_json::to_vec_pretty(&results).map_err(encode)?,
        inputs: collected.raw,
        policies,
        logs: collected
            .logs
            .iter()
            .map(|log| ((log.key.clone(), log.incarnation.clone()), carried(log, &named)))
            .collect(),
        rehearsals: collected.rehearsals,
        manifests: collected.manifests,
        checkpoints: collected
            .logs
            .into_iter()
            .map(|log| (log.key, log.incarnation, log.note))
            .collect(),
        ..Bundle::default()
    };
    for (name, bytes) in repository.trust_documents() {
        match layout::epoch_of(name) {
            Some(epoch) => bundle.key_documents.push((epoch, bytes.to_vec())),
            None => bundle.descriptor = bytes.to_vec(),
        }
    }
    Ok(bundle)
}

/// All leaves of a log, and of its entries those that name a document of the bundle.
fn carried(log: &Log, named: &BTreeSet<Digest>) -> BundledLog {
    let names = |event: &LogEvent| match event {
        LogEvent::Snapshot { manifest, .. } => named.contains(manifest),
        LogEvent::Rehearsal { scorecard, .. } => named.contains(scorecard),
        _ => false,
    };
    let indexes = log.parsed().filter(|(_, entry)| names(&entry.event));
    let entries =
        indexes.filter_map(|(index, _)| Some((index, log.entries.get(usize::try_from(index).ok()?)?.clone())));
    BundledLog {
        leaves: log.leaves().to_vec(),
        entries: entries.collect(),
    }
}

/// `evidence/audit-<time>.tar` beside the configuration.
fn default_path(config: &Config, now: time::OffsetDateTime) -> Result<PathBuf, CommandError> {
    let folder = config.path.parent().unwrap_or(Path::new(".")).join("evidence");
    fs::create_dir_all(&folder)
        .map_err(|error| CommandError::new(Kind::Failed, error).context(format!("make {}", folder.display())))?;
    let (date, clock) = (now.date(), now.time());
    let stamp = format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second(),
        clock.millisecond()
    );
    Ok(folder.join(format!("audit-{stamp}.tar")))
}

/// Whole or not at all: half a bundle would look like a forged one.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let staged = path.with_file_name(name);
    let attempt = || -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&staged, path)
    };
    attempt().inspect_err(|_| {
        let _ = fs::remove_file(&staged);
    })
}
