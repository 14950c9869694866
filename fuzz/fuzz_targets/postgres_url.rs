//! Connection URLs and WAL positions: whatever stands around a password in a URL, neither the URL nor an error shows it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_fuzz::seeds::plant;
use muster_stores::postgres::{Environment, Lsn, PostgresUrl};

fn seeds() -> Vec<Vec<u8>> {
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

fuzz_target!(init: plant("postgres_url", &seeds()), |data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(position) = text.parse::<Lsn>() {
        assert_eq!(position.to_string().parse::<Lsn>().unwrap(), position);
    }
    if let Ok(url) = PostgresUrl::parse_with(text, Environment::default()) {
        assert!(!url.user().is_empty() && url.database() != Some(""));
    }
    check(&format!("postgresql://u:{SECRET}@{text}"));
    if !text.contains('@') {
        check(&format!("postgresql://u:{text}{SECRET}@h/d"));
    }
});

fn check(text: &str) {
    match PostgresUrl::parse_with(text, Environment::default()) {
        Ok(url) => assert!(!format!("{url} {url:?}").contains(SECRET)),
        Err(error) => assert!(!format!("{error} {error:?}").contains(SECRET), "{error}"),
    }
}
