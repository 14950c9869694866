//! `muster init`: makes what the configuration names and lacks, and nothing else. Run again it changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_archive::object_store::ObjectStore;
use muster_archive::{InitOptions, Repository};
use muster_signing::{KeyEntry, PublicKey, Role, SecretKey};
use serde_json::json;

use crate::config::{Config, TEMPLATE};
use crate::context::Context;
use crate::edge::{self, Edge};
use crate::error::{CommandError, Kind, config as wrong, usage};
use crate::exit::Exit;
use crate::keyfiles;
use crate::seen;

/// Make a configuration, keys, the trust root and the repository, as far as they are lacking
#[derive(Debug, clap::Args)]
#[command(
    after_help = "An existing configuration, key or repository is kept as it is. All keys but the root's belong to
this host; take root.pem offline once every host has been set up.

Examples:
  muster init                                              ./muster.toml, ./keys, ./repository
  muster init --repository file:///var/lib/muster
  muster init --repository s3://bucket/prefix --config /etc/muster/muster.toml"
)]
pub(crate) struct Init {
    /// Where the repository is to lie: file:///… or s3://…
    #[arg(long, value_name = "URL")]
    pub(crate) repository: Option<String>,
}

/// What was made and what was there.
pub(crate) struct Made {
    pub(crate) config: Config,
    pub(crate) root: PublicKey,
    pub(crate) repository: String,
    pub(crate) created: Vec<PathBuf>,
    pub(crate) kept: Vec<PathBuf>,
    pub(crate) wrote_repository: bool,
}

pub(crate) fn run(context: &Context, args: Init) -> Result<Exit, CommandError> {
    let made = initialise(context, args)?;
    let url = &made.config.repository.url;
    context.ui.document(&json!({
        "schema": "muster.init/1",
        "config": made.config.path,
        "repository": url,
        "repository_id": made.repository,
        "root_key": made.config.trust_root,
        "root_key_id": made.root.id().to_string(),
        "created": made.created,
        "kept": made.kept,
        "changed": made.wrote_repository || !made.created.is_empty(),
    }));
    for path in &made.created {
        context.ui.say(format!("made {}", path.display()));
    }
    context.ui.say(match made.wrote_repository {
        true => format!("made repository {} at {url}", made.repository),
        false => format!("repository {} at {url} is complete", made.repository),
    });
    if made.wrote_repository || !made.created.is_empty() {
        context
            .ui
            .say("\nThe root of trust. Keep a copy of it away from this machine: whoever verifies names it.\n");
        context.ui.say(made.root.to_pem().trim_end());
        context.ui.say(format!("key id {}", made.root.id()));
        if made.config.keys.root.exists() {
            context.ui.note(format!(
                "take {} offline: only `init` on further hosts needs it",
                made.config.keys.root.display()
            ));
        }
        if made.config.stores.is_empty() {
            context.ui.note(format!(
                "next: add your stores to {}, then `muster backup`",
                made.config.path.display()
            ));
        } else {
            context.ui.note("next: muster backup");
        }
    }
    Ok(Exit::Done)
}

/// Makes what is lacking.
pub(crate) fn initialise(context: &Context, args: Init) -> Result<Made, CommandError> {
    let (mut created, mut kept) = (Vec::new(), Vec::new());
    let mut note = |path: &Path, new: bool| {
        if new {
            created.push(path.to_owned())
        } else {
            kept.push(path.to_owned())
        }
    };

    let insisted = args.repository.is_some();
    let (config, new) = configuration(context, args.repository)?;
    note(&config.path, new);
    let objects = context.objects(&config.repository)?;
    if !insisted {
        refuse_where_one_is_gone(context, &config, &objects)?;
    }
    let (root_secret, root, new) = root(context, &config, &objects)?;
    if let Some(new) = new {
        note(&config.keys.root, new);
    }
    note(&config.trust_root, keyfiles::ensure_public(&config.trust_root, &root)?);
    let beside = config.keys.root.with_extension("pub");
    if beside != config.trust_root {
        note(&beside, keyfiles::ensure_public(&beside, &root)?);
    }
    let mut entries = Vec::new();
    let (host, now) = (host_name(), edge::rfc3339(edge::now()));
    for role in [Role::Writer, Role::Rehearser, Role::Auditor] {
        let path = keyfiles::path(&config, role);
        let (key, new) = keyfiles::ensure_secret(path)?;
        if keyfiles::is_exposed(path) {
            context.ui.warn(format!(
                "others may read the secret key {0}: chmod 600 {0}",
                path.display()
            ));
        }
        note(path, new);
        entries.push(KeyEntry::new(role, key.public(), &host, &now));
    }
    if let Some(pruner) = keyfiles::read_secret(&config.keys.pruner)? {
        entries.push(KeyEntry::new(Role::Pruner, pruner.public(), &host, &now));
    }

    let options = InitOptions {
        root: root_secret.as_ref(),
        believed: root,
        keys: entries,
        recipients: config.recipients.clone().unwrap_or_default(),
        lock: config.repository.object_lock.map(|lock| lock.mode),
        state_dir: &config.state,
    };
    let attempt = format!("make the repository {}", objects.url());
    let (repository, wrote_repository) = context
        .wait(async {
            objects.prepare().await?;
            Repository::init(objects, options, &Edge).await
        })
        .map_err(|error: CommandError| error.context(attempt))?;
    seen::remember(&config.state, repository.id(), &repository.url());
    if super::keys::differs(&config, &repository) {
        context
            .ui
            .warn("the root's key document names other recipients than [repository] recipients: `muster keys rotate`");
    }
    Ok(Made {
        root,
        repository: repository.id().to_owned(),
        wrote_repository,
        config,
        created,
        kept,
    })
}

/// The configuration that is there, or a new one from the template.
fn configuration(context: &Context, url: Option<String>) -> Result<(Config, bool), CommandError> {
    let named = context.named_config();
    if let Some(present) = Config::locate(named).filter(|path| path.exists()) {
        let config = Config::load(Some(&present))?;
        return match url {
            Some(url) if !same_place(&url, &config)? => Err(usage(format!(
                "{} names the repository {} and not {url}",
                present.display(),
                config.repository.url
            ))
            .hint(format!("edit [repository] url in {}", present.display()))
            .hint("muster init --config ANOTHER-FILE --repository URL")),
            _ => Ok((config, false)),
        };
    }
    let path = named.map_or_else(|| PathBuf::from("muster.toml"), Path::to_owned);
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let attempt =
        |error: std::io::Error| CommandError::new(Kind::Config, error).context(format!("write {}", path.display()));
    let url = match url {
        Some(url) => url,
        None => {
            let place = std::path::absolute(folder).map_err(attempt)?.join("repository");
            format!(
                "file://{}",
                place
                    .to_str()
                    .ok_or_else(|| wrong("the path of the working directory is not UTF-8"))?
            )
        }
    };
    let text = TEMPLATE.replace("\"@URL@\"", &toml::Value::String(url).to_string());
    let config = Config::parse(&text, &path)?;
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, text))
        .map_err(attempt)?;
    Ok((config, true))
}

fn same_place(url: &str, config: &Config) -> Result<bool, CommandError> {
    let text = format!("[repository]\nurl = {}\n", toml::Value::String(url.to_owned()));
    Ok(Config::parse(&text, &config.path)?.repository.url == config.repository.url)
}

/// The root key: what is there of it, or a new one. `Some(new)` says whether its secret half was made.
fn root(
    context: &Context,
    config: &Config,
    objects: &Arc<dyn ObjectStore>,
) -> Result<(Option<SecretKey>, PublicKey, Option<bool>), CommandError> {
    let secret = keyfiles::read_secret(&config.keys.root)?;
    let public = keyfiles::read_public(&config.trust_root)?;
    match (secret, public) {
        // The root was taken offline: a second one would split the repository's trust.
        (None, Some(public)) => Ok((None, public, None)),
        (Some(secret), _) => {
            let public = secret.public();
            Ok((Some(secret), public, Some(false)))
        }
        (None, None) => {
            refuse_a_second_root(context, config, objects)?;
            let (secret, _) = keyfiles::ensure_secret(&config.keys.root)?;
            let public = secret.public();
            Ok((Some(secret), public, Some(true)))
        }
    }
}

/// A repository that was here and is not is most likely a disk that is not mounted.
fn refuse_where_one_is_gone(
    context: &Context,
    config: &Config,
    objects: &Arc<dyn ObjectStore>,
) -> Result<(), CommandError> {
    let url = objects.url();
    if seen::at(&config.state, &url).is_none() {
        return Ok(());
    }
    match context.wait(Repository::open(Arc::clone(objects), None, &config.state)) {
        Err(error) if error.exit() == Exit::RepositoryMissing => Err(seen::advise(error, config, &url).hint(format!(
            "muster init --repository {}   (gives it up: makes a new, empty one in its place)",
            config.repository.url
        ))),
        // Whatever else is wrong is told by what comes next.
        _ => Ok(()),
    }
}

/// On a further host the repository is there before its root's public half: a root made here would be believed by nobody.
fn refuse_a_second_root(
    context: &Context,
    config: &Config,
    objects: &Arc<dyn ObjectStore>,
) -> Result<(), CommandError> {
    match context.wait(Repository::open(Arc::clone(objects), None, &config.state)) {
        Ok(present) => Err(CommandError::new(
            Kind::Key,
            format!(
                "{} has the root key {}, and this host has no copy of it",
                objects.url(),
                present.root().id()
            ),
        )
        .hint(format!(
            "copy root.pub to {} (and root.pem beside it, to add this host's keys)",
            config.trust_root.display()
        ))),
        Err(error) if error.exit() == Exit::RepositoryMissing => Ok(()),
        Err(error) => Err(error),
    }
}

/// A name for people in the key document.
pub(crate) fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .chars()
        .take(64)
        .collect()
}
