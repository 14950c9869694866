//! From a configured store to the code that reads it.

use muster_stores::Source;
use muster_stores::files::FilesSource;
use muster_stores::postgres::{Environment, PostgresSource, PostgresUrl};
use muster_stores::sqlite::SqliteSource;
use zeroize::Zeroizing;

use crate::config::{StoreConfig, StoreKind};
use crate::edge;
use crate::error::{CommandError, Kind};

/// A password file longer than this is something else.
const MAX_PASSWORD: u64 = 4096;

/// The reader of a live store. Nothing is asked of the store yet.
pub(crate) fn source(store: &StoreConfig) -> Result<Box<dyn Source>, CommandError> {
    let now = || edge::rfc3339(edge::now());
    Ok(match &store.kind {
        StoreKind::Postgres { .. } => Box::new(PostgresSource::new(postgres_url(store)?, Box::new(now))),
        StoreKind::Sqlite { path } => Box::new(SqliteSource::new(path, now)),
        StoreKind::Files { path, exclude } => Box::new(FilesSource::new(path, exclude, now())?),
    })
}

/// Where a PostgreSQL store is and how to log in. The password comes from `password_file`, else from where every client looks.
pub(crate) fn postgres_url(store: &StoreConfig) -> Result<PostgresUrl, CommandError> {
    let StoreKind::Postgres { url, password_file } = &store.kind else {
        return Err(CommandError::new(
            Kind::Config,
            format!("store \"{}\" is not a PostgreSQL store", store.name),
        ));
    };
    let mut environment = Environment::of_this_process();
    if let Some(path) = password_file {
        let attempt = || format!("read [store.{}] password_file {}", store.name, path.display());
        let failed = |error: std::io::Error| CommandError::new(Kind::Config, error).context(attempt());
        if std::fs::metadata(path).map_err(failed)?.len() > MAX_PASSWORD {
            return Err(CommandError::new(Kind::Config, "it is too long for a password").context(attempt()));
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?);
        environment = environment.with_password(text.trim_end_matches(['\n', '\r']));
    }
    let named = |error| CommandError::from(error).context(format!("[store.{}] url", store.name));
    PostgresUrl::parse_with(url, environment).map_err(named)
}
