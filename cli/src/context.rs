//! What every command starts from: the global options, the printer, the cancel flag, and, when asked for, the configuration,
//! the object store and the repository in it.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use muster_archive::object_store::{self, HoldingStore, LimitedStore, Limits, ObjectStore, RecoveringStore, S3Options};
use muster_archive::{Identities, RateLimit, Repository};
use muster_restore::Session;
use muster_signing::PublicKey;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::args::Global;
use crate::config::{Config, Location};
use crate::edge::Edge;
use crate::error::{CommandError, Kind};
use crate::keyfiles;
use crate::seen;
use crate::signals::Cancel;
use crate::ui::Ui;

/// The surroundings of one command.
pub(crate) struct Context {
    pub(crate) ui: Ui,
    pub(crate) cancel: Cancel,
    global: Global,
    runtime: OnceLock<Runtime>,
}

impl Context {
    pub(crate) fn new(global: Global, ui: Ui, cancel: Cancel) -> Self {
        Self {
            ui,
            cancel,
            global,
            runtime: OnceLock::new(),
        }
    }

    /// The same surroundings with another configuration file.
    pub(crate) fn with_config(&self, path: &Path) -> Self {
        let global = Global {
            config: Some(path.to_owned()),
            ..self.global.clone()
        };
        Self::new(global, self.ui.clone(), self.cancel.clone())
    }

    /// The configuration file that was named on the command line or in the environment.
    pub(crate) fn named_config(&self) -> Option<&Path> {
        self.global.config.as_deref()
    }

    /// Finds and reads the configuration.
    pub(crate) fn config(&self) -> Result<Config, CommandError> {
        Config::load(self.named_config())
    }

    /// The runtime of everything that waits for a network or a disk.
    pub(crate) fn handle(&self) -> Result<&Handle, CommandError> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime.handle());
        }
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name("muster-io")
            .build()
            .map_err(|error| {
                CommandError::new(Kind::Failed, error).context("start the threads for input and output")
            })?;
        Ok(self.runtime.get_or_init(|| runtime).handle())
    }

    /// Runs a future to its end.
    pub(crate) fn wait<T, E: Into<CommandError>>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CommandError> {
        self.handle()?.block_on(future).map_err(Into::into)
    }

    /// The place where the repository's objects lie. Nothing is asked of it yet.
    pub(crate) fn objects(&self, location: &Location) -> Result<Arc<dyn ObjectStore>, CommandError> {
        let options = s3_options(location);
        let store = self
            .wait(object_store::open(&location.url, &options))
            .map_err(|error| CommandError::new(Kind::Config, error.message()).context("[repository] url"))?;
        if !location.url.starts_with("s3://") {
            return Ok(store);
        }
        let held = HoldingStore::before(store, location.object_lock, Arc::new(Edge));
        Ok(RecoveringStore::before(held))
    }

    /// Opens the repository under the root key that the configuration names.
    pub(crate) fn repository(&self, config: &Config) -> Result<Repository, CommandError> {
        self.repository_under(config, Some(believed(config)?))
    }

    /// Opens the repository under this root; without one its own word is taken, and every hash still counts.
    pub(crate) fn repository_under(
        &self,
        config: &Config,
        root: Option<PublicKey>,
    ) -> Result<Repository, CommandError> {
        self.repository_at(config, root, None)
    }

    /// The same, read no faster than so many bytes per second. How fast it is written to, the configuration says.
    pub(crate) fn repository_at(
        &self,
        config: &Config,
        root: Option<PublicKey>,
        limit_read: Option<u64>,
    ) -> Result<Repository, CommandError> {
        let limit = |rate: Option<u64>| rate.map(|rate| Arc::new(RateLimit::new(rate)));
        let limits = Limits {
            upload: limit(config.limit_upload),
            download: limit(limit_read),
        };
        let objects = LimitedStore::before(self.objects(&config.repository)?, limits);
        let url = objects.url();
        match self.wait(Repository::open(objects, root.as_ref(), &config.state)) {
            Ok(repository) => {
                seen::remember(&config.state, repository.id(), &url);
                // A recovery key may be kept elsewhere: its absence is told by whatever cannot be read without it.
                match config.identity_file.as_deref().filter(|path| path.exists()) {
                    Some(path) => Ok(repository.with_identities(Identities::read(path)?)),
                    None => Ok(repository),
                }
            }
            Err(error) => {
                let error = match error.kind() {
                    Kind::RepositoryMissing => seen::advise(error, config, &url),
                    _ => error,
                };
                Err(error.context(format!("open the repository {url}")))
            }
        }
    }

    /// What a restore or a rehearsal runs on.
    pub(crate) fn session<'a>(
        &'a self,
        repository: &'a Repository,
        on_event: &'a (dyn Fn(muster_restore::Event) + Sync),
    ) -> Result<Session<'a>, CommandError> {
        Ok(Session {
            repository,
            handle: self.handle()?,
            edge: &Edge,
            cancel: self.cancel.as_bool(),
            on_event,
        })
    }
}

/// How the S3 server of a location is reached.
pub(crate) fn s3_options(location: &Location) -> S3Options {
    S3Options {
        endpoint: location.endpoint.clone(),
        region: location.region.clone(),
        path_style: location.path_style,
        profile: location.profile.clone(),
        ..S3Options::default()
    }
}

/// The root key that the configuration says to believe.
pub(crate) fn believed(config: &Config) -> Result<PublicKey, CommandError> {
    keyfiles::read_public(&config.trust_root)?.ok_or_else(|| {
        CommandError::new(
            Kind::Key,
            format!(
                "[trust] root {} does not exist: nobody says who is believed",
                config.trust_root.display()
            ),
        )
        .hint("copy root.pub from where it is kept")
        .hint("muster init")
    })
}
