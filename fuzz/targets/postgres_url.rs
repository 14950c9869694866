//! Connection URLs and WAL positions: whatever stands around a password in a URL, neither the URL nor an error shows it.

use muster_stores::postgres::{Environment, Lsn, PostgresUrl};

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "postgresql://backup:s%20cret@db.example:5433/app?sslmode=verify-full&sslrootcert=system",
        "postgres://u@[::1]/?connect_timeout=3&application_name=x",
        "postgresql://u@/db?host=/run/postgresql&port=5432&user=v&dbname=w",
        "16/B374D848",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Stands in the password's place; nothing else of a URL can look like it.
const SECRET: &str = "QZXJ0secret0JXZQ";

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(position) = text.parse::<Lsn>() {
        assert_eq!(position.to_string().parse::<Lsn>().unwrap(), position);
    }
    if let Ok(url) = PostgresUrl::parse_with(text, Environment::default()) {
        assert!(!url.user().is_empty() && url.database() != Some(""));
    }
    shows_no_secret(&format!("postgresql://u:{SECRET}@{text}"));
    if !text.contains('@') {
        shows_no_secret(&format!("postgresql://u:{text}{SECRET}@h/d"));
    }
}

fn shows_no_secret(text: &str) {
    match PostgresUrl::parse_with(text, Environment::default()) {
        Ok(url) => assert!(!format!("{url} {url:?}").contains(SECRET)),
        Err(error) => assert!(!format!("{error} {error:?}").contains(SECRET), "{error}"),
    }
}
