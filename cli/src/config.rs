//! `muster.toml`: found, read, checked, and resolved into values that the commands use.
//!
//! Nothing in it is ignored: an unknown key is an error, and so is a key that asks for what this version cannot do.
//! Secrets never stand in it: it names files, and a password in a URL is refused.

mod keys;
mod policy;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_archive::object_store::{LockMode, LockPolicy};
use policy::RawPolicy;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::de::DeTable;

#[cfg(test)]
pub(crate) use keys::refused as refused_keys;
pub(crate) use policy::{PolicySettings, policy_memory, policy_time};
pub(crate) use values::{duration, duration_text, rate, size};

use crate::error::{CommandError, Kind, config as wrong};

/// A configuration larger than this is something else.
const MAX_FILE: u64 = 1 << 20;
/// What a run may use, unless `[limits] memory` says otherwise.
const DEFAULT_MEMORY: u64 = 256 << 20;
/// Below this a pipeline cannot hold its packs in flight.
const LEAST_MEMORY: u64 = 64 << 20;

/// The commented file that `muster init` writes.
pub(crate) const TEMPLATE: &str = include_str!("config/template.toml");

/// A resolved configuration: every path absolute or relative to the working directory, every value checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The file it came from.
    pub(crate) path: PathBuf,
    pub(crate) repository: Location,
    /// Who is to be able to decrypt, when the root signs the next key document; `None`: whoever it says now.
    pub(crate) recipients: Option<Vec<String>>,
    /// Decrypts; only on hosts that restore.
    pub(crate) identity_file: Option<PathBuf>,
    pub(crate) keys: KeyFiles,
    /// The public half of the root key: who is believed.
    pub(crate) trust_root: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) memory: u64,
    /// Bytes per second that are read: of a source in a backup, of the repository in a restore.
    pub(crate) limit_read: Option<u64>,
    /// Bytes per second that are written to the repository.
    pub(crate) limit_upload: Option<u64>,
    /// Who answers for what an audit finds not to hold.
    pub(crate) waivers: Option<PathBuf>,
    pub(crate) stores: Vec<StoreConfig>,
}

/// Where the repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// `file:///…` (absolute) or `s3://bucket/prefix`.
    pub(crate) url: String,
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    /// `None`: wherever an endpoint is given.
    pub(crate) path_style: Option<bool>,
    pub(crate) profile: Option<String>,
    /// What is written is locked like this.
    pub(crate) object_lock: Option<LockPolicy>,
}

/// The secret keys of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyFiles {
    pub(crate) writer: PathBuf,
    pub(crate) rehearser: PathBuf,
    pub(crate) auditor: PathBuf,
    pub(crate) pruner: PathBuf,
    /// The root's secret half: wanted by `init` only, to be taken offline.
    pub(crate) root: PathBuf,
}

/// One store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoreConfig {
    pub(crate) name: String,
    pub(crate) kind: StoreKind,
    pub(crate) objectives: Objectives,
    pub(crate) checks: Vec<String>,
}

/// What kind of store it is, with the settings of that kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Postgres {
        url: String,
        password_file: Option<PathBuf>,
    },
    Sqlite {
        path: PathBuf,
    },
    Files {
        path: PathBuf,
        exclude: Vec<String>,
    },
}

impl StoreKind {
    /// As the configuration, the manifest and the documents name it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Postgres { .. } => "postgres",
            Self::Sqlite { .. } => "sqlite",
            Self::Files { .. } => "files",
        }
    }
}

/// How much may be lost, and how long a recovery may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Objectives {
    pub(crate) rpo: Option<Duration>,
    pub(crate) rto: Option<Duration>,
}

#[derive(Deserialize)]
struct RawConfig {
    repository: RawRepository,
    #[serde(default)]
    signing: RawSigning,
    #[serde(default)]
    trust: RawTrust,
    #[serde(default)]
    state: RawState,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    policy: RawPolicy,
    #[serde(default)]
    store: BTreeMap<String, RawStore>,
}

/// What stands for commands that need no repository.
#[derive(Deserialize)]
struct RawWithout {
    #[serde(default)]
    policy: RawPolicy,
}

#[derive(Deserialize)]
struct RawRepository {
    url: String,
    endpoint: Option<String>,
    region: Option<String>,
    path_style: Option<bool>,
    profile: Option<String>,
    recipients: Option<Vec<String>>,
    identity_file: Option<PathBuf>,
    object_lock: Option<RawLock>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLock {
    mode: String,
    days: u32,
}

#[derive(Default, Deserialize)]
struct RawSigning {
    key: Option<PathBuf>,
    rehearser: Option<PathBuf>,
    auditor: Option<PathBuf>,
    pruner: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
struct RawTrust {
    root: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
struct RawState {
    dir: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
struct RawLimits {
    memory: Option<String>,
    read: Option<String>,
    upload: Option<String>,
}

#[derive(Deserialize)]
struct RawStore {
    kind: String,
    url: Option<String>,
    password_file: Option<PathBuf>,
    path: Option<PathBuf>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    objectives: RawObjectives,
    #[serde(default)]
    checks: Vec<String>,
}

#[derive(Default, Deserialize)]
struct RawObjectives {
    rpo: Option<String>,
    rto: Option<String>,
}

impl Config {
    /// Where the configuration lies: `--config` or `MUSTER_CONFIG`, else `./muster.toml`, else `/etc/muster/muster.toml`.
    pub(crate) fn locate(named: Option<&Path>) -> Option<PathBuf> {
        if let Some(path) = named {
            return Some(path.to_owned());
        }
        ["./muster.toml", "/etc/muster/muster.toml"]
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
    }

    /// Finds and reads the configuration.
    pub(crate) fn load(named: Option<&Path>) -> Result<Self, CommandError> {
        let path = Self::locate(named).ok_or_else(|| {
            wrong("there is no configuration: neither ./muster.toml nor /etc/muster/muster.toml exists")
                .hint("muster --config FILE …")
                .hint("muster init   (to begin)")
                .hint("to restore on another machine: a muster.toml with [repository] url, and [trust] root = \"root.pub\"")
        })?;
        Self::parse(&Self::text_of(&path)?, &path)
    }

    /// `[policy]` of the configuration at this path, which need not have anything else.
    pub(crate) fn policy_of(path: &Path) -> Result<PolicySettings, CommandError> {
        let raw: RawWithout = Self::read(&Self::text_of(path)?, path)?;
        let directory = directory_of(path);
        raw.policy
            .resolve(|named| directory.join(named))
            .map_err(|error| error.context(path.display().to_string()))
    }

    fn text_of(path: &Path) -> Result<String, CommandError> {
        let attempt = || format!("read the configuration {}", path.display());
        let length = std::fs::metadata(path).map(|metadata| metadata.len());
        let text = match length {
            Ok(length) if length > MAX_FILE => Err(wrong(format!("{length} bytes are too many for a configuration"))),
            _ => std::fs::read_to_string(path).map_err(|error| {
                let missing = error.kind() == std::io::ErrorKind::NotFound;
                let error = CommandError::new(Kind::Config, error);
                if missing {
                    error.hint(format!("muster init --config {}", path.display()))
                } else {
                    error
                }
            }),
        };
        text.map_err(|error| error.context(attempt()))
    }

    /// Reads a configuration that stands at `path`.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, CommandError> {
        let raw: RawConfig = Self::read(text, path)?;
        resolve(raw, path).map_err(|error| error.context(path.display().to_string()))
    }

    /// What is asked for of the tables, after every key of the file was looked at.
    fn read<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, CommandError> {
        let at = |offset: usize| format!("{}:{}", path.display(), line_of(text, offset));
        let malformed = |error: &toml::de::Error| {
            let place = error
                .span()
                .map_or_else(|| path.display().to_string(), |span| at(span.start));
            wrong(error.message().trim().replace('\n', ", ")).context(place)
        };
        let tree = DeTable::parse(text).map_err(|error| malformed(&error))?;
        keys::inspect(tree.get_ref()).map_err(|found| {
            let error = wrong(found.message).context(at(found.offset));
            found.hint.into_iter().fold(error, CommandError::hint)
        })?;
        toml::from_str(text).map_err(|error| malformed(&error))
    }

    /// The store of this name.
    pub(crate) fn store(&self, name: &str) -> Result<&StoreConfig, CommandError> {
        self.stores.iter().find(|store| store.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.stores.iter().map(|store| store.name.as_str()).collect();
            let error = wrong(format!("there is no store \"{name}\" in {}", self.path.display()));
            match (keys::nearest(name, &names), names.is_empty()) {
                (Some(near), _) => error.hint(format!("did you mean \"{near}\"?")),
                (None, false) => error.hint(format!("the stores are {}", names.join(", "))),
                (None, true) => error.hint(format!("add a [store.{name}] table to {}", self.path.display())),
            }
        })
    }

    /// The stores of these names, or all of them.
    pub(crate) fn select(&self, names: &[String]) -> Result<Vec<&StoreConfig>, CommandError> {
        if names.is_empty() {
            if self.stores.is_empty() {
                return Err(wrong(format!("{} names no store", self.path.display())).hint(format!(
                    "add a [store.NAME] table to {}: its comments show how",
                    self.path.display()
                )));
            }
            return Ok(self.stores.iter().collect());
        }
        let mut selected: Vec<&StoreConfig> = Vec::new();
        for name in names {
            let store = self.store(name)?;
            if !selected.iter().any(|chosen| chosen.name == store.name) {
                selected.push(store);
            }
        }
        Ok(selected)
    }
}

/// The folder of the file at this path: paths in it are relative to that.
fn directory_of(path: &Path) -> PathBuf {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    std::path::absolute(&directory).unwrap_or(directory)
}

fn resolve(raw: RawConfig, path: &Path) -> Result<Config, CommandError> {
    let directory = directory_of(path);
    let place = |path: PathBuf| if path.is_absolute() { path } else { directory.join(path) };
    let writer = place(raw.signing.key.unwrap_or_else(|| "keys/signing.pem".into()));
    let beside = |name: &str| writer.parent().unwrap_or(&directory).join(name);
    let memory = raw
        .limits
        .memory
        .as_deref()
        .map_or(Ok(DEFAULT_MEMORY), size)
        .map_err(|error| wrong(format!("[limits] memory: {error}")))?;
    if memory < LEAST_MEMORY {
        return Err(wrong(format!(
            "[limits] memory: {memory} bytes are too few, the least is 64MiB"
        )));
    }
    let limit = |key: &str, text: Option<&String>| {
        text.map(|text| rate(text))
            .transpose()
            .map_err(|error| wrong(format!("[limits] {key}: {error}")))
    };
    let limit_read = limit("read", raw.limits.read.as_ref())?;
    let limit_upload = limit("upload", raw.limits.upload.as_ref())?;
    let policy = raw.policy.resolve(place)?;
    if let Some(recipients) = &raw.repository.recipients {
        check_recipients(recipients)?;
    }
    let stores = raw
        .store
        .into_iter()
        .map(|(name, store)| resolve_store(name, store, &place))
        .collect::<Result<_, _>>()?;
    Ok(Config {
        path: path.to_owned(),
        recipients: raw.repository.recipients.clone(),
        identity_file: raw.repository.identity_file.clone().map(place),
        repository: location(raw.repository, &directory)?,
        keys: KeyFiles {
            rehearser: raw.signing.rehearser.map_or_else(|| beside("rehearser.pem"), place),
            auditor: raw.signing.auditor.map_or_else(|| beside("auditor.pem"), place),
            pruner: raw.signing.pruner.map_or_else(|| beside("pruner.pem"), place),
            root: beside("root.pem"),
            writer: writer.clone(),
        },
        trust_root: raw.trust.root.map_or_else(|| beside("root.pub"), place),
        state: raw.state.dir.map_or_else(|| directory.join(".muster"), place),
        memory,
        limit_read,
        limit_upload,
        waivers: policy.waivers,
        stores,
    })
}

fn check_recipients(recipients: &[String]) -> Result<(), CommandError> {
    for (at, recipient) in recipients.iter().enumerate() {
        if !muster_archive::is_recipient(recipient) {
            return Err(wrong(format!(
                "[repository] recipients: {recipient:?} is not a public key of age"
            ))
            .hint("age-keygen -o recovery.age   (prints one: age1…; keep the file away from this host)"));
        }
        if recipients[..at].contains(recipient) {
            return Err(wrong(format!("[repository] recipients: {recipient:?} is there twice")));
        }
    }
    Ok(())
}

fn location(raw: RawRepository, directory: &Path) -> Result<Location, CommandError> {
    let url = if let Some(path) = raw.url.strip_prefix("file:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(wrong("[repository] url: a file: URL needs a path").hint("url = \"file:///var/lib/muster\""));
        }
        let path = directory.join(path);
        let path = path
            .to_str()
            .ok_or_else(|| wrong("[repository] url: the path is not UTF-8"))?;
        format!("file://{path}")
    } else if let Some(rest) = raw.url.strip_prefix("s3://") {
        if rest.split('/').next().unwrap_or_default().is_empty() {
            return Err(wrong("[repository] url: an s3: URL needs a bucket").hint("url = \"s3://bucket/prefix\""));
        }
        if rest.contains('@') {
            return Err(wrong("[repository] url: credentials do not belong into a URL")
                .hint("export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile"));
        }
        raw.url
    } else {
        return Err(wrong(format!(
            "[repository] url: \"{}\" is neither file:///… nor s3://…",
            raw.url
        ))
        .hint("url = \"file:///var/lib/muster\"")
        .hint("url = \"s3://bucket/prefix\""));
    };
    if url.starts_with("file:")
        && (raw.endpoint.is_some() || raw.region.is_some() || raw.profile.is_some() || raw.path_style.is_some())
    {
        return Err(wrong(
            "[repository]: endpoint, region, path_style and profile belong to an s3:// URL",
        ));
    }
    let object_lock = raw.object_lock.map(|lock| object_lock(&lock, &url)).transpose()?;
    Ok(Location {
        url,
        endpoint: raw.endpoint,
        region: raw.region,
        path_style: raw.path_style,
        profile: raw.profile,
        object_lock,
    })
}

fn object_lock(raw: &RawLock, url: &str) -> Result<LockPolicy, CommandError> {
    if !url.starts_with("s3://") {
        return Err(wrong(
            "[repository] object_lock needs an s3:// URL: a directory has no locks",
        ));
    }
    let mode = match raw.mode.as_str() {
        "governance" => LockMode::Governance,
        "compliance" => LockMode::Compliance,
        other => {
            return Err(wrong(format!(
                "[repository] object_lock: mode is \"governance\" or \"compliance\", not \"{other}\""
            )));
        }
    };
    if !(1..=36_500).contains(&raw.days) {
        return Err(wrong(format!(
            "[repository] object_lock: days is 1 to 36500, not {}",
            raw.days
        )));
    }
    Ok(LockPolicy { mode, days: raw.days })
}

fn resolve_store(
    name: String,
    raw: RawStore,
    place: &impl Fn(PathBuf) -> PathBuf,
) -> Result<StoreConfig, CommandError> {
    let missing = |key: &str| {
        wrong(format!(
            "[store.{name}] has no \"{key}\": kind = \"{}\" needs it",
            raw.kind
        ))
    };
    let kind = match raw.kind.as_str() {
        "postgres" => {
            let url = raw.url.ok_or_else(|| missing("url"))?;
            refuse_password(&name, &url)?;
            StoreKind::Postgres {
                url,
                password_file: raw.password_file.map(place),
            }
        }
        "sqlite" => StoreKind::Sqlite {
            path: place(raw.path.ok_or_else(|| missing("path"))?),
        },
        "files" => StoreKind::Files {
            path: place(raw.path.ok_or_else(|| missing("path"))?),
            exclude: raw.exclude,
        },
        other => return Err(wrong(format!("[store.{name}] kind = \"{other}\" is unknown"))),
    };
    let objective = |key: &str, text: Option<&String>| {
        text.map(|text| duration(text))
            .transpose()
            .map_err(|error| wrong(format!("[store.{name}] objectives.{key}: {error}")))
    };
    let objectives = Objectives {
        rpo: objective("rpo", raw.objectives.rpo.as_ref())?,
        rto: objective("rto", raw.objectives.rto.as_ref())?,
    };
    Ok(StoreConfig {
        name,
        kind,
        objectives,
        checks: raw.checks,
    })
}

/// A secret in the configuration ends up in shell histories and tickets: it comes from a file or the environment.
fn refuse_password(name: &str, url: &str) -> Result<(), CommandError> {
    let authority = url
        .split_once("://")
        .map_or(url, |(_, rest)| rest)
        .split(['/', '?'])
        .next()
        .unwrap_or_default();
    let in_user = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    let in_query = url
        .split_once('?')
        .is_some_and(|(_, query)| query.split('&').any(|pair| pair.starts_with("password=")));
    if in_user || in_query {
        return Err(wrong(format!(
            "[store.{name}] url carries a password: it does not belong there"
        ))
        .hint("password_file = \"/etc/muster/password\"")
        .hint("export PGPASSFILE=/etc/muster/pgpass"));
    }
    Ok(())
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .as_bytes()
        .iter()
        .take(offset)
        .filter(|byte| **byte == b'\n')
        .count()
}

#[cfg(test)]
mod tests;
