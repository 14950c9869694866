//! Where a password comes from when the URL has none: `PGPASSWORD`, `PGPASSFILE`, `~/.pgpass`, by libpq's rules.
//!
//! Invariant: a password leaves its [`Password`] only towards the server; `Debug` shows the name of the type.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A password. Wiped when dropped.
#[derive(Clone)]
pub(crate) struct Password(Zeroizing<String>);

impl Password {
    pub(crate) fn new(text: String) -> Password {
        Password(Zeroizing::new(text))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// The variables that PostgreSQL clients agree on.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    password: Option<Password>,
    pass_file: Option<PathBuf>,
    home: Option<PathBuf>,
    user: Option<String>,
    ssl_mode: Option<String>,
    ssl_root_cert: Option<String>,
    connect_timeout: Option<String>,
}

/// The outcome of looking for a password.
#[derive(Debug)]
pub(crate) enum PasswordChoice {
    Found(Password),
    /// None; why, in words for a hint.
    None(String),
}

impl Environment {
    /// Reads this process's variables.
    pub fn of_this_process() -> Environment {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Environment {
            password: text("PGPASSWORD").map(Password::new),
            pass_file: text("PGPASSFILE").map(PathBuf::from),
            home: text("HOME").map(PathBuf::from),
            user: text("PGUSER").or_else(|| {
                account(|fields| fields[2] == rustix::process::geteuid().as_raw().to_string())
                    .map(|account| account.name)
            }),
            ssl_mode: text("PGSSLMODE"),
            ssl_root_cert: text("PGSSLROOTCERT"),
            connect_timeout: text("PGCONNECT_TIMEOUT"),
        }
    }

    /// With this `PGPASSWORD`.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Environment {
        self.password = Some(Password::new(password.to_owned()));
        self
    }

    /// With this `PGPASSFILE`.
    #[must_use]
    pub fn with_pass_file(mut self, file: &Path) -> Environment {
        self.pass_file = Some(file.to_owned());
        self
    }

    pub(crate) fn user(&self) -> Option<String> {
        self.user.clone()
    }

    pub(crate) fn pass_file(&self) -> Option<PathBuf> {
        self.pass_file
            .clone()
            .or_else(|| Some(self.home.as_ref()?.join(".pgpass")))
    }

    pub(crate) fn default_root_cert(&self) -> Option<PathBuf> {
        Some(self.home.as_ref()?.join(".postgresql/root.crt")).filter(|file| file.exists())
    }

    pub(crate) fn url_defaults(&self) -> Vec<(String, String)> {
        [
            ("sslmode", &self.ssl_mode),
            ("sslrootcert", &self.ssl_root_cert),
            ("connect_timeout", &self.connect_timeout),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
        .collect()
    }

    pub(crate) fn password(
        &self,
        file: Option<&Path>,
        host: &str,
        port: u16,
        database: &str,
        user: &str,
    ) -> PasswordChoice {
        if let Some(password) = &self.password {
            return PasswordChoice::Found(password.clone());
        }
        let Some(file) = file else {
            return PasswordChoice::None("PGPASSWORD is not set and there is no password file".into());
        };
        let metadata = match file.metadata() {
            Ok(metadata) => metadata,
            Err(error) => {
                return PasswordChoice::None(format!(
                    "PGPASSWORD is not set and {} cannot be read ({error})",
                    file.display()
                ));
            }
        };
        if !metadata.is_file() {
            return PasswordChoice::None(format!("{} is not a regular file", file.display()));
        }
        if metadata.mode() & 0o077 != 0 {
            return PasswordChoice::None(format!(
                "{0} is ignored because others may read it: chmod 0600 {0}",
                file.display()
            ));
        }
        let text = match std::fs::read_to_string(file) {
            Ok(text) => Zeroizing::new(text),
            Err(error) => return PasswordChoice::None(format!("{} cannot be read ({error})", file.display())),
        };
        let port = port.to_string();
        match text
            .lines()
            .find_map(|line| matching_password(line, [host, &port, database, user]))
        {
            Some(password) => PasswordChoice::Found(password),
            None => PasswordChoice::None(format!(
                "no line of {} fits {host}:{port}:{database}:{user}",
                file.display()
            )),
        }
    }
}

/// An account of this machine.
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The first account whose `passwd` fields satisfy `wanted`.
pub(crate) fn account(wanted: impl Fn(&[&str]) -> bool) -> Option<Account> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        if fields.len() < 7 || !wanted(&fields) {
            return None;
        }
        Some(Account {
            name: fields[0].to_owned(),
            uid: fields[2].parse().ok()?,
            gid: fields[3].parse().ok()?,
        })
    })
}

/// `host:port:database:user:password`; `*` fits anything, `\` takes the next character as it is.
fn matching_password(line: &str, wanted: [&str; 4]) -> Option<Password> {
    if line.starts_with('#') {
        return None;
    }
    let mut rest = line;
    for wanted in wanted {
        let (field, after) = field(rest)?;
        if field != wanted && &rest[..rest.len() - after.len() - 1] != "*" {
            return None;
        }
        rest = after;
    }
    let mut password = String::with_capacity(rest.len());
    let mut characters = rest.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => password.extend(characters.next()),
            ':' => break,
            other => password.push(other),
        }
    }
    Some(Password::new(password))
}

fn field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => field.push(characters.next()?.1),
            ':' => return Some((field, &text[at + 1..])),
            other => field.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn choose(text: &str, mode: u32, database: &str) -> Result<String, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pgpass");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        match Environment::default().password(Some(&file), "db1", 5432, database, "backup") {
            PasswordChoice::Found(password) => Ok(password.expose().to_owned()),
            PasswordChoice::None(why) => Err(why),
        }
    }

    #[test]
    fn the_first_fitting_line_wins() {
        let text = "# comment\ndb2:5432:*:backup:wrong\ndb1:*:replication:backup:first\n*:*:*:*:second\n";
        assert_eq!(choose(text, 0o600, "replication").unwrap(), "first");
        assert_eq!(choose(text, 0o600, "game").unwrap(), "second");
    }

    #[test]
    fn escapes_stand_for_themselves() {
        assert_eq!(
            choose("db1:5432:a\\:b:backup:p\\:w\\\\d", 0o600, "a:b").unwrap(),
            "p:w\\d"
        );
        assert!(choose("db1:5432:\\*:backup:no", 0o600, "game").is_err());
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used_and_the_reason_is_told() {
        let why = choose("*:*:*:*:pw", 0o644, "game").unwrap_err();
        assert!(why.contains("chmod 0600"), "{why}");
    }

    #[test]
    fn debug_shows_no_password() {
        let environment = Environment::default().with_password("tops3cret");
        assert!(!format!("{environment:?}").contains("tops3cret"));
    }
}
