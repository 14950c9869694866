//! `postgresql://user[:password]@host[:port]/database?option=…` as libpq reads it, for one host.
//!
//! Invariant: a password is held in [`Password`] only, so neither `Display` nor `Debug` of a URL can show it. An option that
//! is not understood is refused by name: a security option that is silently ignored is worse than none.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::password::{Environment, Password, PasswordChoice};
use crate::StoreError;

/// Where a PostgreSQL server is and how to talk to it.
#[derive(Clone, Debug)]
pub struct PostgresUrl {
    pub(crate) user: String,
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) database: Option<String>,
    pub(crate) ssl_mode: SslMode,
    pub(crate) ssl_root_cert: RootCert,
    pub(crate) connect_timeout: Duration,
    password: Option<Password>,
    pass_file: Option<PathBuf>,
    environment: Environment,
}

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name or an address.
    Tcp(String),
    /// The directory of a unix socket.
    Socket(PathBuf),
}

/// libpq's `sslmode`; `allow` is not offered, since it prefers the unencrypted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Whose word is taken for a server certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RootCert {
    /// The operating system's roots.
    System,
    /// A PEM file.
    File(PathBuf),
}

/// What stands there may be the end of a password: it is not repeated.
const MISPLACED: &str = "an @ follows the first / or ?: in a password write / as %2F, ? as %3F and @ as %40";
const DEFAULT_PORT: u16 = 5432;
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

impl PostgresUrl {
    /// Reads a URL; the rest comes from the process's `PG…` variables, as with every PostgreSQL client.
    pub fn parse(text: &str) -> Result<PostgresUrl, StoreError> {
        PostgresUrl::parse_with(text, Environment::of_this_process())
    }

    /// Reads a URL with the given variables in place of the process's.
    pub fn parse_with(text: &str, environment: Environment) -> Result<PostgresUrl, StoreError> {
        let rest = text
            .strip_prefix("postgresql://")
            .or_else(|| text.strip_prefix("postgres://"))
            .ok_or_else(|| invalid("it must begin with postgresql://".into()))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let password_in_query = query.contains('@') && authority.contains(':') && !authority.contains('@');
        if database.contains('@') || password_in_query {
            return Err(invalid(MISPLACED.into()));
        }
        let (credentials, location) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(Password::new(decode(password)?))),
            None => (credentials, None),
        };
        let (host, port) = host_and_port(location)?;
        let mut url = PostgresUrl {
            user: decode(user)?,
            host: Host::Tcp(String::new()),
            port,
            database: Some(decode(database)?).filter(|name| !name.is_empty()),
            ssl_mode: SslMode::Prefer,
            ssl_root_cert: RootCert::System,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            password,
            pass_file: environment.pass_file(),
            environment,
        };
        let mut host = decode(host)?;
        let mut ssl_root_cert = None;
        for (name, value) in url.environment.url_defaults() {
            url.option(&name, value, &mut host, &mut ssl_root_cert)?;
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| match pair.contains('@') {
                true => invalid(MISPLACED.into()),
                false => invalid(format!("the option {pair} has no value")),
            })?;
            url.option(&decode(name)?, decode(value)?, &mut host, &mut ssl_root_cert)?;
        }
        url.ssl_root_cert = match ssl_root_cert.as_deref() {
            Some("system") => RootCert::System,
            Some(file) => RootCert::File(file.into()),
            None => url
                .environment
                .default_root_cert()
                .map_or(RootCert::System, RootCert::File),
        };
        if url.user.is_empty() {
            url.user = url
                .environment
                .user()
                .ok_or_else(|| invalid("it names no user: postgresql://USER@host/database".into()))?;
        }
        url.host = if host.starts_with('/') {
            Host::Socket(host.into())
        } else if host.is_empty() {
            Host::Socket(default_socket_directory(url.port))
        } else {
            Host::Tcp(host)
        };
        Ok(url)
    }

    /// The same server reached through a private socket as another user and without a password.
    pub(crate) fn on_socket(&self, directory: &Path, port: u16, user: &str, database: &str) -> PostgresUrl {
        PostgresUrl {
            user: user.to_owned(),
            host: Host::Socket(directory.to_owned()),
            port,
            database: Some(database.to_owned()),
            ssl_mode: SslMode::Disable,
            password: None,
            pass_file: None,
            environment: Environment::default(),
            ..self.clone()
        }
    }

    /// The same server, in this database.
    pub(crate) fn in_database(&self, name: &str) -> PostgresUrl {
        PostgresUrl {
            database: Some(name.to_owned()),
            ..self.clone()
        }
    }

    /// With a database that every cluster has where the URL names none.
    pub(crate) fn in_some_database(&self) -> PostgresUrl {
        let database = self.database.clone().or_else(|| Some("postgres".into()));
        PostgresUrl {
            database,
            ..self.clone()
        }
    }

    /// The role that muster logs in as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The database that the URL names.
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// Host or socket directory, with the port.
    pub fn location(&self) -> String {
        match &self.host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]:{}", self.port),
            Host::Tcp(name) => format!("{name}:{}", self.port),
            Host::Socket(directory) => format!("{}:{}", directory.display(), self.port),
        }
    }

    /// The password for this connection: the URL's, else `PGPASSWORD`, else the password file's.
    pub(crate) fn password(&self, database: &str) -> PasswordChoice {
        if let Some(password) = &self.password {
            return PasswordChoice::Found(password.clone());
        }
        let host = match &self.host {
            Host::Tcp(name) => name.clone(),
            Host::Socket(directory) if SOCKET_DIRECTORIES.iter().any(|known| directory == Path::new(known)) => {
                "localhost".into()
            }
            Host::Socket(directory) => directory.display().to_string(),
        };
        self.environment
            .password(self.pass_file.as_deref(), &host, self.port, database, &self.user)
    }

    fn option(
        &mut self,
        name: &str,
        value: String,
        host: &mut String,
        ssl_root_cert: &mut Option<String>,
    ) -> Result<(), StoreError> {
        match name {
            "host" => *host = one(name, value)?,
            "port" => self.port = port(&value)?,
            "user" => self.user = value,
            "dbname" => self.database = Some(value).filter(|name| !name.is_empty()),
            "password" => self.password = Some(Password::new(value)),
            "passfile" => self.pass_file = Some(value.into()),
            "sslrootcert" => *ssl_root_cert = Some(value),
            "sslmode" => {
                self.ssl_mode = match value.as_str() {
                    "disable" => SslMode::Disable,
                    "prefer" => SslMode::Prefer,
                    "require" => SslMode::Require,
                    "verify-ca" => SslMode::VerifyCa,
                    "verify-full" => SslMode::VerifyFull,
                    other => {
                        return Err(invalid(format!(
                            "sslmode={other} is not one of disable, prefer, require, verify-ca, verify-full"
                        )));
                    }
                }
            }
            "connect_timeout" => {
                let seconds: u64 = value
                    .parse()
                    .map_err(|_| invalid(format!("connect_timeout={value} is not a number of seconds")))?;
                // libpq: zero means no limit. An unattended job must end, so an hour is the limit.
                self.connect_timeout = Duration::from_secs(if seconds == 0 { 3600 } else { seconds.clamp(2, 3600) });
            }
            // Muster sets its own; a shared connection string may carry one.
            "application_name" | "fallback_application_name" => {}
            other => return Err(invalid(format!("the option {other} is not supported"))),
        }
        Ok(())
    }
}

/// Without the password: fit for logs, errors and evidence.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Tcp(_) => write!(f, "postgresql://{}@{}", self.user, self.location())?,
            Host::Socket(directory) => {
                return write!(
                    f,
                    "postgresql://{}@:{}/{}?host={}",
                    self.user,
                    self.port,
                    self.database.as_deref().unwrap_or_default(),
                    directory.display()
                );
            }
        }
        match &self.database {
            Some(database) => write!(f, "/{database}"),
            None => Ok(()),
        }
    }
}

fn host_and_port(location: &str) -> Result<(&str, u16), StoreError> {
    if location.contains(',') {
        return Err(invalid(
            "several hosts are not supported: name the one to read from".into(),
        ));
    }
    if let Some(rest) = location.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or_else(|| invalid("an IPv6 address must end with ]".into()))?;
        return match rest.strip_prefix(':') {
            Some(text) => Ok((host, port(text)?)),
            None if rest.is_empty() => Ok((host, DEFAULT_PORT)),
            None => Err(invalid("after ] only :PORT may follow".into())),
        };
    }
    match location.split_once(':') {
        Some((host, text)) => Ok((host, port(text)?)),
        None => Ok((location, DEFAULT_PORT)),
    }
}

fn port(text: &str) -> Result<u16, StoreError> {
    if text.is_empty() {
        return Ok(DEFAULT_PORT);
    }
    text.parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| invalid(format!("{text} is not a port")))
}

fn one(name: &str, value: String) -> Result<String, StoreError> {
    if value.contains(',') {
        return Err(invalid(format!(
            "{name} names several hosts: name the one to read from"
        )));
    }
    Ok(value)
}

fn default_socket_directory(port: u16) -> PathBuf {
    let exists = |directory: &&&str| Path::new(directory).join(format!(".s.PGSQL.{port}")).exists();
    SOCKET_DIRECTORIES
        .iter()
        .find(exists)
        .unwrap_or(&SOCKET_DIRECTORIES[0])
        .into()
}

fn decode(text: &str) -> Result<String, StoreError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| {
            byte.and_then(|byte| char::from(byte).to_digit(16))
                .and_then(|digit| u8::try_from(digit).ok())
        };
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) if (high, low) != (0, 0) => bytes.push(high << 4 | low),
            // The text may be a password: it is not repeated.
            _ => {
                return Err(invalid(
                    "a % is not followed by two hexadecimal digits (write % itself as %25)".into(),
                ));
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| invalid("a part of it is not UTF-8".into()))
}

fn invalid(reason: String) -> StoreError {
    StoreError::Settings {
        reason: format!("the url of the postgres store cannot be used: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PostgresUrl {
        PostgresUrl::parse_with(text, Environment::default()).unwrap()
    }

    fn refusal(text: &str) -> String {
        PostgresUrl::parse_with(text, Environment::default())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn every_part_is_read_and_decoded() {
        let url = parse(
            "postgresql://back%40up:p%3Aw%2F@db1.example:6543/ga%20me?sslmode=verify-full&sslrootcert=/etc/ca.pem&connect_timeout=3",
        );
        assert_eq!(
            (url.user.as_str(), url.port, url.database()),
            ("back@up", 6543, Some("ga me"))
        );
        assert_eq!(url.host, Host::Tcp("db1.example".into()));
        assert_eq!(
            (url.ssl_mode, url.connect_timeout),
            (SslMode::VerifyFull, Duration::from_secs(3))
        );
        assert_eq!(url.ssl_root_cert, RootCert::File("/etc/ca.pem".into()));
        assert!(matches!(url.password("game"), PasswordChoice::Found(password) if password.expose() == "p:w/"));
    }

    #[test]
    fn sockets_are_given_as_an_option_or_as_an_encoded_host() {
        assert_eq!(
            parse("postgresql://u@/db?host=/run/pg&port=7").host,
            Host::Socket("/run/pg".into())
        );
        assert_eq!(
            parse("postgres://u@%2Frun%2Fpg:8/db").host,
            Host::Socket("/run/pg".into())
        );
        assert_eq!(parse("postgresql://u@[::1]:9/db").host, Host::Tcp("::1".into()));
        assert_eq!(
            parse("postgresql://u@[::1]:9/db").to_string(),
            "postgresql://u@[::1]:9/db"
        );
    }

    #[test]
    fn no_rendering_shows_the_password() {
        let url = parse("postgresql://backup:tops3cret@db1/game?password=als0s3cret");
        assert_eq!(url.to_string(), "postgresql://backup@db1:5432/game");
        let debug = format!("{url:?}");
        assert!(!debug.contains("s3cret"), "{debug}");
        for broken in [
            "postgresql://u:s3cret%zz@h/d",
            "postgresql://u:s3cret@h:99999/d",
            "postgresql://u:s3cret@h/d?nope=1",
        ] {
            assert!(!refusal(broken).contains("s3cret"));
        }
    }

    #[test]
    fn a_password_that_is_not_encoded_is_refused_and_not_repeated() {
        for broken in [
            "postgresql://u:s3cret/x@h/d",
            "postgresql://u:5432/s3cret@h/d",
            "postgresql://u:s3cret?x@h/d",
            "postgresql://u:x@y/s3cret@h/d",
            "postgresql://u:x@y?s3cret@h/d",
        ] {
            let refusal = refusal(broken);
            assert!(
                refusal.contains("%2F") && !refusal.contains("s3cret"),
                "{broken}: {refusal}"
            );
        }
        parse("postgresql://u@h/d?application_name=a@b");
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        assert!(refusal("mysql://u@h/d").contains("postgresql://"));
        assert!(refusal("postgresql://u@h/d?channel_binding=require").contains("channel_binding"));
        assert!(refusal("postgresql://u@h/d?sslmode=allow").contains("allow"));
        assert!(refusal("postgresql://u@h1,h2/d").contains("several hosts"));
        assert!(refusal("postgresql://h/d").contains("no user"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = PostgresUrl::parse_with(&text, Environment::default());
            let _ = PostgresUrl::parse_with(&format!("postgresql://{text}"), Environment::default());
        }
    }
}
