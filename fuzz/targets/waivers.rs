//! Files of waivers: whatever they say, nothing is waived without an end, an owner and somebody else who approves.

use std::sync::LazyLock;

use muster_policies::fuzzing::waived;
use time::OffsetDateTime;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

const WAIVER: &str = "[[waiver]]\nid = \"W1\"\nrule = \"main.deny\"\nresource = \"Deployment/*/web\"\nowner = \"a\"\napprover = \"b\"\nreason = \"r\"\nexpires = \"1970-12-31T00:00:00Z\"\nticket = \"T\"\n";

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let other = WAIVER.replace("W1", "W2").replace("1970", "9999");
    let texts = [
        WAIVER.to_owned(),
        format!("{WAIVER}{other}"),
        WAIVER.replace("1970", "1969"),
        "waiver = []\n".to_owned(),
    ];
    texts.map(String::into_bytes).to_vec()
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let path = FOLDER.path().join("waivers.toml");
    std::fs::write(&path, data).unwrap();
    let now = OffsetDateTime::UNIX_EPOCH;
    if waived(&path, now) == Ok(true) {
        let table: toml::Table = std::str::from_utf8(data).unwrap().parse().unwrap();
        let waivers = table["waiver"].as_array().unwrap();
        let said = |name: &str| {
            waivers
                .iter()
                .all(|waiver| waiver[name].as_str().is_some_and(|text| !text.trim().is_empty()))
        };
        assert!(["owner", "approver", "reason", "expires"].into_iter().all(said));
    }
}
