//! Which keys a configuration may have: an unknown one is an error that names the nearest known one, and a key that asks
//! for something which this version does not do is refused, never ignored.

use toml::de::{DeTable, DeValue};

/// A table of the configuration: the keys that may stand in it.
struct Known {
    /// As the user writes it: `repository`, `store.*`.
    table: &'static str,
    keys: &'static [&'static str],
    /// Keys of the documented configuration that this version cannot honour, and what they would have meant.
    later: &'static [(&'static str, &'static str)],
}

const KNOWN: &[Known] = &[
    Known {
        table: "",
        keys: &["repository", "signing", "trust", "state", "limits", "policy", "store"],
        later: &[("inventory", "it asks for a comparison with a declared inventory")],
    },
    Known {
        table: "repository",
        keys: &[
            "url",
            "endpoint",
            "region",
            "path_style",
            "profile",
            "recipients",
            "identity_file",
            "object_lock",
        ],
        later: &[
            ("retention", "it asks for old snapshots to be removed"),
            ("copy", "it asks for further copies"),
        ],
    },
    Known {
        table: "signing",
        keys: &["key", "rehearser", "auditor", "pruner"],
        later: &[],
    },
    Known {
        table: "trust",
        keys: &["root"],
        later: &[],
    },
    Known {
        table: "state",
        keys: &["dir"],
        later: &[],
    },
    Known {
        table: "limits",
        keys: &["memory", "read", "upload"],
        later: &[],
    },
    Known {
        table: "policy",
        keys: &["memory", "time", "waivers"],
        later: &[],
    },
    Known {
        table: "store.postgres",
        keys: &["kind", "url", "password_file", "objectives", "checks"],
        later: &[],
    },
    Known {
        table: "store.sqlite",
        keys: &["kind", "path", "objectives", "checks"],
        later: &[],
    },
    Known {
        table: "store.files",
        keys: &["kind", "path", "exclude", "objectives", "checks"],
        later: &[],
    },
    Known {
        table: "objectives",
        keys: &["rpo", "rto"],
        later: &[],
    },
];

/// Kinds of store that the documented configuration has and this version has not.
const LATER_KINDS: &[&str] = &["redis", "mariadb", "etcd", "s3", "command"];

/// The kinds of store of this version.
pub(super) const KINDS: &[&str] = &["postgres", "sqlite", "files"];

/// Every key that is refused, as `table.key`, and what it would have promised.
#[cfg(test)]
pub(crate) fn refused() -> Vec<(String, &'static str)> {
    let named = |known: &'static Known| {
        let prefix = if known.table.is_empty() {
            String::new()
        } else {
            format!("{}.", known.table)
        };
        known
            .later
            .iter()
            .map(move |(key, promise)| (format!("{prefix}{key}"), *promise))
    };
    KNOWN.iter().flat_map(named).collect()
}

/// Something wrong with a key, and where it stands in the file (byte offset).
#[derive(Debug)]
pub(super) struct WrongKey {
    pub(super) offset: usize,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Walks the parsed file and finds the first key that may not be there.
pub(super) fn inspect(root: &DeTable<'_>) -> Result<(), WrongKey> {
    table(root, "", "the top level")?;
    for (name, value) in root {
        let DeValue::Table(inner) = value.get_ref() else {
            continue;
        };
        match name.get_ref().as_ref() {
            "store" => {
                for (store, value) in inner {
                    let DeValue::Table(settings) = value.get_ref() else {
                        continue;
                    };
                    let store_name = store.get_ref().as_ref();
                    if !muster_archive::layout::is_store_name(store_name) {
                        return Err(WrongKey {
                            offset: store.span().start,
                            message: format!(
                                "\"{store_name}\" cannot be the name of a store: it must match [a-z0-9][a-z0-9_-]* and have at most 64 characters"
                            ),
                            hint: None,
                        });
                    }
                    self::store(settings, store_name, store.span().start)?;
                }
            }
            name => table(inner, name, &format!("[{name}]"))?,
        }
    }
    Ok(())
}

fn store(settings: &DeTable<'_>, name: &str, offset: usize) -> Result<(), WrongKey> {
    let Some(kind) = settings.get("kind") else {
        return Err(WrongKey {
            offset,
            message: format!("[store.{name}] has no \"kind\""),
            hint: Some(format!("add kind = \"postgres\" (or one of {})", KINDS.join(", "))),
        });
    };
    let DeValue::String(text) = kind.get_ref() else {
        return Err(WrongKey {
            offset: kind.span().start,
            message: format!("[store.{name}] kind must be a string"),
            hint: None,
        });
    };
    if !KINDS.contains(&text.as_ref()) {
        let message = if LATER_KINDS.contains(&text.as_ref()) {
            format!(
                "[store.{name}] kind = \"{text}\" is not in this version: it has {}",
                KINDS.join(", ")
            )
        } else {
            format!("[store.{name}] kind = \"{text}\" is unknown")
        };
        let hint = nearest(text, KINDS).map(|near| format!("did you mean \"{near}\"?"));
        return Err(WrongKey {
            offset: kind.span().start,
            message,
            hint,
        });
    }
    table(settings, &format!("store.{text}"), &format!("[store.{name}]"))?;
    if let Some(DeValue::Table(objectives)) = settings.get("objectives").map(|value| value.get_ref()) {
        table(objectives, "objectives", &format!("[store.{name}] objectives"))?;
    }
    Ok(())
}

fn table(table: &DeTable<'_>, id: &str, shown: &str) -> Result<(), WrongKey> {
    let Some(known) = KNOWN.iter().find(|known| known.table == id) else {
        return Ok(());
    };
    for (key, _) in table {
        let name = key.get_ref().as_ref();
        if known.keys.contains(&name) {
            continue;
        }
        let offset = key.span().start;
        if let Some((_, promise)) = known.later.iter().find(|(later, _)| *later == name) {
            return Err(WrongKey {
                offset,
                message: format!("\"{name}\" in {shown} cannot be honoured: {promise}, which this version does not do"),
                hint: Some(format!(
                    "remove \"{name}\": muster refuses a key rather than let you rely on it in vain"
                )),
            });
        }
        let hint = match nearest(name, known.keys) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("known keys there: {}", known.keys.join(", ")),
        };
        return Err(WrongKey {
            offset,
            message: format!("unknown key \"{name}\" in {shown}"),
            hint: Some(hint),
        });
    }
    Ok(())
}

/// The known word that is nearest to `word`, if any is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, near) = known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .min()?;
    let longest = word.chars().count().max(near.chars().count());
    (distance * 5 <= longest * 2).then_some(near)
}

/// Edits (insert, delete, replace, swap neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named_only_when_it_can_be_meant() {
        assert_eq!(
            nearest("objectves", &["kind", "objectives", "path"]),
            Some("objectives")
        );
        assert_eq!(nearest("pahts", &["kind", "objectives", "path"]), Some("path"));
        assert_eq!(nearest("colour", &["kind", "objectives", "path"]), None);
    }
}
