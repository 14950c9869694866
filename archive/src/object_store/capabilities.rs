//! What a place was seen to honour. It is found out once, by `init`, and signed; later runs lean on nothing else.
//!
//! Invariant: a capability that is not recorded counts as absent, and one that is recorded is never silently done without.

use std::collections::BTreeMap;

use serde_json::Value;

/// What was proven of a place. The names are the keys of the signed key document's `capabilities`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Of several `Create`s of one key exactly one succeeds (`If-None-Match: *`).
    pub conditional_create: bool,
    /// A write over an object with another tag is refused (`If-Match`).
    pub if_match: bool,
    /// A body that does not fit its `x-amz-checksum-sha256` is refused, and HEAD tells the checksum.
    pub checksum: bool,
    /// What is overwritten or deleted stays as an older version.
    pub versions: bool,
    /// A locked version cannot be deleted before its time.
    pub object_lock: bool,
}

impl Capabilities {
    const NAMES: [&str; 5] = ["conditional_create", "if_match", "checksum", "versions", "object_lock"];

    /// As a key document records them.
    pub fn record(&self) -> BTreeMap<String, Value> {
        let values = [
            self.conditional_create,
            self.if_match,
            self.checksum,
            self.versions,
            self.object_lock,
        ];
        Self::NAMES
            .iter()
            .zip(values)
            .map(|(name, value)| ((*name).to_owned(), Value::Bool(value)))
            .collect()
    }

    /// What a key document says; anything but `true` is no.
    pub fn recorded(map: &BTreeMap<String, Value>) -> Self {
        let is = |name: &str| map.get(name).and_then(Value::as_bool).unwrap_or(false);
        Self {
            conditional_create: is("conditional_create"),
            if_match: is("if_match"),
            checksum: is("checksum"),
            versions: is("versions"),
            object_lock: is("object_lock"),
        }
    }
}
