//! `STORE[@POINT]` as typed.

use crate::error::{CommandError, usage};

/// A store and, where one was named, a recovery point of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) store: String,
    /// `None` is the latest.
    pub(crate) point: Option<String>,
    /// Whether `@latest` was written out, where a store alone means something else.
    pub(crate) named_latest: bool,
}

impl Target {
    /// Reads `accounts`, `accounts@latest`, `accounts@01J…`.
    pub(crate) fn parse(text: &str) -> Result<Self, CommandError> {
        let (store, point) = text
            .split_once('@')
            .map_or((text, None), |(store, point)| (store, Some(point)));
        if !muster_archive::layout::is_store_name(store) {
            return Err(usage(format!("\"{store}\" cannot be the name of a store"))
                .hint("write STORE or STORE@POINT, like accounts@latest"));
        }
        let named = point.map(self::point).transpose()?;
        Ok(Self {
            store: store.to_owned(),
            named_latest: named == Some(None),
            point: named.flatten(),
        })
    }
}

/// Reads a POINT: `latest`, a snapshot's id, or the beginning of one.
pub(crate) fn point(text: &str) -> Result<Option<String>, CommandError> {
    match text {
        "latest" => Ok(None),
        id if !id.is_empty() && id.len() <= 26 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            Ok(Some(id.to_owned()))
        }
        time if crate::edge::parse_rfc3339(time).is_some() => Err(usage(format!(
            "\"{time}\" is a point in time, which this version cannot restore: it restores snapshots"
        ))
        .hint("muster snapshots")),
        other => Err(usage(format!(
            "\"{other}\" is not a recovery point: write latest, or the id of a snapshot or its beginning"
        ))
        .hint("muster snapshots")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_names_a_store_and_perhaps_a_point() {
        let target = |text| Target::parse(text).unwrap();
        let accounts = |point: Option<&str>, named_latest| Target {
            store: "accounts".into(),
            point: point.map(Into::into),
            named_latest,
        };
        assert_eq!(target("accounts"), accounts(None, false));
        assert_eq!(target("accounts@latest"), accounts(None, true));
        assert_eq!(target("accounts@01J8Z"), accounts(Some("01J8Z"), false));
        for wrong in [
            "",
            "@latest",
            "Accounts",
            "a/b",
            "accounts@",
            "accounts@../x",
            "accounts@2026-01-01T00:00:00Z",
        ] {
            assert_eq!(Target::parse(wrong).unwrap_err().exit().code(), 2, "{wrong}");
        }
    }
}
