//! `docs/damage.md` says what the table says: its two tables are written from it, and compared with it at each run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use super::table::{COMMANDS, Row, TABLE};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/damage.md");

/// Compares the page with the table; writes it where `MUSTER_BLESS` is set.
pub(super) fn hold() {
    let page = fs::read_to_string(PAGE).unwrap();
    let with_codes = between(&page, "codes", &codes());
    let written = between(&with_codes, "meaning", &meaning());
    if std::env::var_os("MUSTER_BLESS").is_some() {
        fs::write(PAGE, &written).unwrap();
    } else {
        assert!(
            page == written,
            "docs/damage.md is not what the table says: MUSTER_BLESS=1 cargo nextest run -p muster --test e2e damage"
        );
    }
}

fn between(page: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = page.split_once(&begin).unwrap();
    let (_, after) = rest.split_once(&end).unwrap();
    format!("{before}{begin}{table}{end}{after}")
}

fn shown(row: &Row) -> String {
    match row.fresh {
        true => format!("{}, on a host that never saw the repository", row.kind),
        false => row.kind.to_owned(),
    }
}

fn codes() -> String {
    let mut text = format!("| what | damage | {} |\n", COMMANDS.map(heading).join(" | "));
    text.push_str(&"| --- ".repeat(COMMANDS.len() + 2));
    text.push_str("|\n");
    for row in TABLE {
        let expected = row.expected();
        let codes = COMMANDS.map(|command| match expected[command] {
            0 => "·".to_owned(),
            code => code.to_string(),
        });
        let damages = row.damages.replace(' ', ", ");
        writeln!(text, "| {} | {damages} | {} |", shown(row), codes.join(" | ")).unwrap();
    }
    text
}

fn heading(command: &'static str) -> &'static str {
    match command {
        "older" => "restore, older",
        "saves" => "restore, other store",
        "read" => "verify `--read-data`",
        "again" => "restore after that",
        other => other,
    }
}

fn meaning() -> String {
    let mut text = "| what | damage | what is lost | what to do |\n| --- | --- | --- | --- |\n".to_owned();
    let mut told: BTreeMap<(String, &str), ()> = BTreeMap::new();
    for row in TABLE.iter().filter(|row| row.means != "The same.") {
        if told.insert((shown(row), row.means), ()).is_none() {
            let damages = row.damages.replace(' ', ", ");
            writeln!(text, "| {} | {damages} | {} | {} |", shown(row), row.means, row.next).unwrap();
        }
    }
    text
}
