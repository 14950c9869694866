//! `[policy]`: what the process that evaluates policies of others may use, and who answers for what does not hold.
//!
//! Commands that judge by policies need no configuration. Where there is one, it holds unless the command line says otherwise,
//! and a configuration that cannot be read is an error rather than no limit.

use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_policies::sandbox::Sandbox;
use serde::Deserialize;

use super::{Config, duration, size, wrong};
use crate::error::CommandError;

/// Below this a child cannot load policies of some size.
const LEAST_MEMORY: u64 = 16 << 20;
/// A rule that takes longer does not end.
const MOST_TIME: Duration = Duration::from_secs(24 * 3600);

/// The table as it is written.
#[derive(Default, Deserialize)]
pub(super) struct RawPolicy {
    memory: Option<String>,
    time: Option<String>,
    waivers: Option<PathBuf>,
}

/// The limits of the child (bytes, and how long one rule may take on one document), and the file of waivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PolicySettings {
    pub(crate) memory: Option<u64>,
    pub(crate) time: Option<Duration>,
    pub(crate) waivers: Option<PathBuf>,
}

impl RawPolicy {
    /// What is set, with paths as `place` puts them.
    pub(super) fn resolve(self, place: impl Fn(PathBuf) -> PathBuf) -> Result<PolicySettings, CommandError> {
        let memory = self.memory.as_deref().map(policy_memory).transpose();
        let time = self.time.as_deref().map(policy_time).transpose();
        Ok(PolicySettings {
            memory: memory.map_err(|error| wrong(format!("[policy] memory: {error}")))?,
            time: time.map_err(|error| wrong(format!("[policy] time: {error}")))?,
            waivers: self.waivers.map(place),
        })
    }
}

impl PolicySettings {
    /// These, and where they say nothing those of the configuration, if there is one.
    ///
    /// # Errors
    /// A configuration that is there and cannot be read.
    pub(crate) fn or_of(self, named: Option<&Path>) -> Result<Self, CommandError> {
        let configured = match Config::locate(named) {
            // One that is not for this user is not meant either, unless it was named.
            Some(path) if named.is_none() && is_closed(&path) => Self::default(),
            // These commands need none: `MUSTER_CONFIG` may be set before `muster init`.
            Some(path) if !path.exists() => Self::default(),
            Some(path) => Config::policy_of(&path)?,
            None => Self::default(),
        };
        Ok(Self {
            memory: self.memory.or(configured.memory),
            time: self.time.or(configured.time),
            waivers: self.waivers.or(configured.waivers),
        })
    }

    /// The child under these limits, or the usual ones.
    pub(crate) fn sandbox(&self) -> Sandbox {
        Sandbox {
            memory: self.memory.unwrap_or(Sandbox::MEMORY),
            time: self.time.unwrap_or(Sandbox::TIME),
            ..Sandbox::new()
        }
    }
}

fn is_closed(path: &Path) -> bool {
    std::fs::File::open(path).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// Reads what the child may allocate.
pub(crate) fn policy_memory(text: &str) -> Result<u64, String> {
    match size(text)? {
        few @ 0..LEAST_MEMORY => Err(format!("{few} bytes are too few, the least is 16MiB")),
        memory => Ok(memory),
    }
}

/// Reads how long one rule may take on one document.
pub(crate) fn policy_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("nothing is evaluated in no time: the least is 1ms".to_owned()),
        long if long > MOST_TIME => Err("the most is 1d".to_owned()),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> Result<Sandbox, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("muster.toml");
        std::fs::write(&path, text).unwrap();
        let flags = PolicySettings {
            time: Some(Duration::from_secs(3)),
            ..PolicySettings::default()
        };
        let both = flags.or_of(Some(&path)).map_err(|error| error.message())?;
        Ok(both.sandbox())
    }

    #[test]
    fn the_command_line_comes_before_the_configuration_and_that_before_the_usual() {
        let sandbox = limits("[policy]\nmemory = \"64MiB\"\ntime = \"9s\"\n").unwrap();
        assert_eq!((sandbox.memory, sandbox.time), (64 << 20, Duration::from_secs(3)));
        let sandbox = limits("[repository]\nurl = \"file:///r\"\n").unwrap();
        assert_eq!(
            (sandbox.memory, sandbox.time),
            (Sandbox::MEMORY, Duration::from_secs(3))
        );
    }

    #[test]
    fn limits_that_are_none_are_refused() {
        for (text, words) in [
            (
                "[policy]\nmemory = \"1KiB\"\n",
                "[policy] memory: 1024 bytes are too few",
            ),
            (
                "[policy]\nmemory = \"much\"\n",
                "[policy] memory: \"much\" is not a size",
            ),
            ("[policy]\ntime = \"0s\"\n", "[policy] time: nothing is evaluated"),
            ("[policy]\ntime = \"2d\"\n", "[policy] time: the most is 1d"),
            ("[policy]\nmemroy = \"1GiB\"\n", "unknown key \"memroy\" in [policy]"),
            ("policy = [", "muster.toml"),
        ] {
            let message = limits(text).unwrap_err();
            assert!(message.contains(words), "{text}: {message}");
        }
        let missing = PolicySettings::default().or_of(Some(Path::new("/nowhere/muster.toml")));
        assert_eq!(missing.unwrap(), PolicySettings::default());
    }
}
