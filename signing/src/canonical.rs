//! Canonical JSON: one byte sequence per value, and the rule for fields that a reader must understand.
//!
//! Objects are sorted by the bytes of their names, nothing stands between tokens, strings escape only what JSON demands.
//! Written here, not left to the JSON library, because a feature flag of another crate may switch its maps to insertion
//! order.

use serde::Serialize;
use serde_json::Value;

/// The canonical JSON bytes of a value.
///
/// # Errors
///
/// When the value has no JSON form (a map whose keys are not texts).
pub fn canonical_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::new();
    write(&serde_json::to_value(value)?, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            out.push(b'{');
            for (i, (name, member)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, name)?;
                out.push(b':');
                write(member, out)?;
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        scalar => serde_json::to_writer(&mut *out, scalar)?,
    }
    Ok(())
}

/// A signed document demands something that this version does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it demands {} that this version of muster does not know: use a newer one", names.join(", "))]
pub struct UnknownCritical {
    /// The names that are not known.
    pub names: Vec<String>,
}

/// Refuses a document whose `critical` list names anything outside `known`; every other unknown field may be ignored.
///
/// # Errors
///
/// [`UnknownCritical`] with all the unknown names.
pub fn check_critical(critical: &[String], known: &[&str]) -> Result<(), UnknownCritical> {
    let names: Vec<String> = critical
        .iter()
        .filter(|name| !known.contains(&name.as_str()))
        .cloned()
        .collect();
    if names.is_empty() {
        Ok(())
    } else {
        Err(UnknownCritical { names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_fields_does_not_matter() {
        let one: Value = serde_json::from_str(r#"{ "b": [1, {"z": null, "a": "é\u000a\""}], "a": true }"#).unwrap();
        assert_eq!(
            canonical_json(&one).unwrap(),
            r#"{"a":true,"b":[1,{"a":"é\n\"","z":null}]}"#.as_bytes()
        );
    }

    #[test]
    fn an_unknown_critical_name_is_named() {
        let critical = ["erasure".to_owned(), "holds".to_owned(), "colour".to_owned()];
        let refused = check_critical(&critical, &["holds"]).unwrap_err();
        assert_eq!(refused.names, ["erasure", "colour"]);
        assert!(refused.to_string().contains("erasure, colour"));
        assert!(check_critical(&critical[1..2], &["holds"]).is_ok());
    }
}
