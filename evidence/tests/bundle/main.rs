//! What a bundle promises: every byte of it is covered, each signature is of the right role, and an auditor needs no muster.
//!
//! Bundles are also taken apart here and put together again by someone who holds some of the keys and lies: the verifier
//! must not rely on the builder's manners. The guide inside is run as it stands, with a shell and OpenSSL.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the helpers of a test may stop at the first surprise"
)]

mod guide;
mod kept;
mod lies;

use std::{collections::BTreeMap, fs, process::Command};

use muster_evidence::{
    Audit, Bundle, BundleError, BundledLog, Failure, Framework, PREDICATE_TYPE, Rehearsed, STATEMENT_TYPE, Signed,
    Snapshot, Store, Tool, Verification, open_bundle,
    tar::{self, Member},
    verify_bundle,
};
use muster_signing::{
    Checkpoint, Descriptor, Digest, KeyDocument, KeyEntry, PublicKey, Role, SecretKey, canonical_json, inspect, merkle,
    pae, payload, seal,
};
use serde_json::{Value, json};

const REPOSITORY: &str = "01K00000000000000000000000";
const DAY: &str = "2026-11-25T00:00:00Z";
const SNAPSHOT: &str = "01K00000000000000000000001";
const INCARNATION: &str = "fffffe6637d33ff7-c05f4b39";
const REHEARSAL: &str = "01K00000000000000000000002";

fn key(role: Role) -> SecretKey {
    SecretKey::generate([role as u8 + 1; 32])
}

fn root() -> PublicKey {
    key(Role::Root).public()
}

fn manifest() -> Vec<u8> {
    let manifest =
        json!({"repository": REPOSITORY, "store": "accounts", "snapshot": SNAPSHOT, "schema": "muster.manifest/1"});
    seal(
        payload::MANIFEST,
        &canonical_json(&manifest).unwrap(),
        &key(Role::Writer),
    )
}

fn scorecard(verdict: &str) -> Vec<u8> {
    let scorecard = json!({
        "store": "accounts", "rehearsal": REHEARSAL, "snapshot": SNAPSHOT, "verdict": verdict,
        "manifest_digest": Digest::of(&manifest()), "rto": {"verified_seconds": 12.25},
    });
    seal(
        payload::SCORECARD,
        &canonical_json(&scorecard).unwrap(),
        &key(Role::Rehearser),
    )
}

/// The entries of the writer's log: the fourth names the manifest.
fn written() -> Vec<Vec<u8>> {
    let other = |number: u32| json!({"schema": "muster.entry/1", "type": "other", "number": number});
    let snapshot = json!({
        "schema": "muster.entry/1", "type": "snapshot", "store": "accounts", "snapshot": SNAPSHOT, "manifest": Digest::of(&manifest()),
    });
    let entries = [other(0), other(1), other(2), snapshot, other(4), other(5), other(6)];
    entries.iter().map(|entry| entry.to_string().into_bytes()).collect()
}

fn rehearsed() -> Vec<Vec<u8>> {
    let rehearsal =
        json!({"schema": "muster.entry/1", "type": "rehearsal", "scorecard": Digest::of(&scorecard("PASS"))});
    vec![b"{}".to_vec(), rehearsal.to_string().into_bytes()]
}

fn log(entries: &[Vec<u8>], carried: &[u64]) -> BundledLog {
    BundledLog {
        leaves: entries.iter().map(|entry| merkle::leaf_hash(entry)).collect(),
        entries: carried
            .iter()
            .map(|index| (*index, entries[usize::try_from(*index).unwrap()].clone()))
            .collect(),
    }
}

/// The signed head over these leaves.
fn head(role: Role, leaves: &[Digest]) -> Vec<u8> {
    let head = Checkpoint {
        origin: format!("muster/{REPOSITORY}/{INCARNATION}"),
        size: leaves.len() as u64,
        root: merkle::root(leaves),
    };
    head.sign(&key(role)).unwrap().into_bytes()
}

/// A small bundle in which every kind of member occurs, under the second epoch of a key chain.
fn bundle() -> Bundle {
    let roles = [Role::Writer, Role::Rehearser, Role::Auditor, Role::Pruner];
    let entries = roles
        .map(|role| KeyEntry::new(role, key(role).public(), "host \"a\"", DAY))
        .to_vec();
    let first = KeyDocument::first(REPOSITORY, DAY, entries)
        .seal(&key(Role::Root))
        .unwrap();
    let newest = KeyDocument::verify_chain(&[(1, &first)], &root(), REPOSITORY).unwrap();
    let second = KeyDocument::next(&newest, DAY).seal(&key(Role::Root)).unwrap();
    let (writers, rehearsers) = (log(&written(), &[3]), log(&rehearsed(), &[1]));
    let place = |role| (key(role).public().id(), INCARNATION.to_owned());
    let note = |role, log: &BundledLog| (key(role).public().id(), INCARNATION.to_owned(), head(role, &log.leaves));
    let results = json!({"summary": {"pass": 2, "fail": 1, "warn": 0}, "results": [
        {"verdict": "pass"}, {"verdict": "fail"}, {"verdict": "pass"},
    ]});
    Bundle {
        descriptor: Descriptor::new(REPOSITORY, DAY, root()).seal(&key(Role::Root)).unwrap(),
        key_documents: vec![(1, first), (2, second)],
        audit: Audit {
            repository: REPOSITORY.to_owned(),
            evaluated_at: DAY.to_owned(),
            started: DAY.to_owned(),
            finished: DAY.to_owned(),
            tool: Tool {
                name: "muster".to_owned(),
                version: "0.1.0".to_owned(),
            },
            profiles: vec!["dr-baseline".to_owned()],
            summary: BTreeMap::from([("pass".to_owned(), 2), ("fail".to_owned(), 1)]),
            controls: vec!["nist-800-53:cp-9".to_owned()],
            frameworks: Vec::new(),
            stores: vec![Store {
                store: "accounts".to_owned(),
                kind: "postgres".to_owned(),
                newest: Some(Snapshot {
                    snapshot: SNAPSHOT.to_owned(),
                    time: DAY.to_owned(),
                    manifest_digest: Digest::of(&manifest()),
                }),
                rehearsal: Some(Rehearsed {
                    rehearsal: REHEARSAL.to_owned(),
                    snapshot: SNAPSHOT.to_owned(),
                    time: DAY.to_owned(),
                    verdict: "PASS".to_owned(),
                    scorecard_digest: Digest::of(&scorecard("PASS")),
                }),
            }],
            not_shown: vec!["that the canary was written".to_owned()],
            critical: Vec::new(),
        },
        results: results.to_string().into_bytes(),
        inputs: BTreeMap::from([
            ("accounts.json".to_owned(), b"{}".to_vec()),
            ("empty".to_owned(), Vec::new()),
        ]),
        policies: BTreeMap::from([("dr-baseline/rpo.rego".to_owned(), b"package rpo\n".to_vec())]),
        waivers: BTreeMap::from([("waivers.toml".to_owned(), b"# none\n".to_vec())]),
        rehearsals: vec![Signed {
            store: "accounts".to_owned(),
            id: REHEARSAL.to_owned(),
            envelope: scorecard("PASS"),
        }],
        manifests: vec![Signed {
            store: "accounts".to_owned(),
            id: SNAPSHOT.to_owned(),
            envelope: manifest(),
        }],
        checkpoints: vec![note(Role::Writer, &writers), note(Role::Rehearser, &rehearsers)],
        logs: BTreeMap::from([(place(Role::Writer), writers), (place(Role::Rehearser), rehearsers)]),
    }
}

fn sealed() -> Vec<u8> {
    bundle().seal(&key(Role::Auditor)).unwrap()
}

type Members = BTreeMap<String, Vec<u8>>;

fn members(bundle: &[u8]) -> Members {
    tar::parse(bundle)
        .unwrap()
        .into_iter()
        .map(|member| (member.name, member.bytes.to_vec()))
        .collect()
}

fn as_tar(members: &Members) -> Vec<u8> {
    let members: Vec<_> = members
        .iter()
        .map(|(name, bytes)| Member {
            name: name.clone(),
            bytes,
        })
        .collect();
    tar::encode(&members).unwrap()
}

/// Writes SHA256SUMS anew: everybody can.
fn summed(mut members: Members) -> Vec<u8> {
    members.remove("SHA256SUMS");
    let lines = members
        .iter()
        .map(|(name, bytes)| format!("{}  {name}\n", Digest::of(bytes).hex()));
    let sums: String = lines.collect();
    members.insert("SHA256SUMS".to_owned(), sums.into_bytes());
    as_tar(&members)
}

/// Signs the statement anew over whatever is there, with its predicate changed: who holds an auditor key can.
fn resigned(mut members: Members, key: &SecretKey, change: impl Fn(&mut Value)) -> Vec<u8> {
    let claimed = inspect(&members["statement.dsse.json"]).unwrap();
    let mut statement: Value = serde_json::from_slice(&claimed.payload).unwrap();
    members.retain(|name, _| !name.starts_with("statement.") && name != "SHA256SUMS");
    let subject =
        |(name, bytes): (&String, &Vec<u8>)| json!({"name": name, "digest": {"sha256": Digest::of(bytes).hex()}});
    statement["subject"] = members.iter().map(subject).collect();
    change(&mut statement);
    let payload = canonical_json(&statement).unwrap();
    let envelope = seal(payload::STATEMENT, &payload, key);
    members.insert("statement.pae".to_owned(), pae(payload::STATEMENT, &payload));
    members.insert(
        "statement.sig".to_owned(),
        inspect(&envelope).unwrap().signature.to_vec(),
    );
    members.insert("statement.dsse.json".to_owned(), envelope);
    summed(members)
}

#[track_caller]
fn refused(bundle: &[u8], check: &str) -> String {
    let verification = verify_bundle(bundle, Some(&root()));
    assert_eq!(
        (verification.valid, verification.failure),
        (false, Some(Failure::Wrong))
    );
    let failed: Vec<_> = verification.checks.iter().filter(|check| !check.passed).collect();
    assert!(
        failed.iter().any(|failed| failed.name == check),
        "{check} was to fail, and not {failed:?}"
    );
    failed
        .iter()
        .map(|failed| format!("{}: {}\n", failed.name, failed.detail))
        .collect()
}

#[test]
fn a_bundle_verifies_against_the_root_that_one_holds() {
    let verification = verify_bundle(&sealed(), Some(&root()));
    assert!(
        verification.valid && verification.checks.iter().all(|check| check.passed),
        "{verification:#?}"
    );
    assert_eq!(verification.failure, None);
    let roles: Vec<_> = verification.signed_by.iter().map(|signer| signer.role).collect();
    assert_eq!(roles, [Role::Root, Role::Writer, Role::Rehearser, Role::Auditor]);
    let covered: Vec<_> = verification
        .subject
        .iter()
        .map(|subject| subject.name.as_str())
        .collect();
    assert!(
        covered.contains(&"VERIFY.md") && covered.contains(&"policies/dr-baseline/rpo.rego"),
        "{covered:?}"
    );
    assert_eq!(covered.len(), members(&sealed()).len() - 4);
    assert_eq!(verification.removal, "self-asserted");
    assert!(
        verification
            .not_shown
            .contains(&"that the canary was written".to_owned())
    );

    let document = serde_json::to_value(&verification).unwrap();
    assert_eq!(document["schema"], "muster.verify/1");
    assert_eq!(document["signed_by"][3]["role"], "auditor");
    assert!(
        document["subject"][0]["digest"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );
    assert_eq!(sealed(), sealed(), "the same bytes from the same bytes");
}

#[test]
fn without_a_root_it_is_intact_and_its_signer_unknown() {
    let verification = verify_bundle(&sealed(), None);
    assert_eq!(
        (verification.valid, verification.failure),
        (false, Some(Failure::SignerUnknown))
    );
    let failed: Vec<_> = verification
        .checks
        .iter()
        .filter(|check| !check.passed)
        .map(|check| &check.name)
        .collect();
    assert_eq!(failed, ["root"]);
    // Damage weighs more than a missing root.
    let mut damaged = sealed();
    damaged[5000] ^= 1;
    assert_eq!(verify_bundle(&damaged, None).failure, Some(Failure::Wrong));
    assert_eq!(verify_bundle(b"", None).failure, Some(Failure::Wrong));
}

#[test]
fn another_root_than_the_one_that_one_holds_is_wrong() {
    let verification = verify_bundle(&sealed(), Some(&key(Role::Auditor).public()));
    assert_eq!(verification.failure, Some(Failure::Wrong));
    let failed: Vec<_> = verification.checks.iter().filter(|check| !check.passed).collect();
    assert!(failed.len() == 1 && failed[0].name == "descriptor", "{failed:?}");
    assert!(failed[0].detail.contains(root().id().as_str()), "{failed:?}");
}

/// The least that a bundle can hold.
fn minimal() -> Vec<u8> {
    let entries = vec![KeyEntry::new(Role::Auditor, key(Role::Auditor).public(), "a", DAY)];
    let audit = Audit {
        repository: REPOSITORY.to_owned(),
        ..Audit::default()
    };
    let bundle = Bundle {
        descriptor: Descriptor::new(REPOSITORY, DAY, root()).seal(&key(Role::Root)).unwrap(),
        key_documents: vec![(
            1,
            KeyDocument::first(REPOSITORY, DAY, entries)
                .seal(&key(Role::Root))
                .unwrap(),
        )],
        audit,
        results: br#"{"summary":{},"results":[]}"#.to_vec(),
        ..Bundle::default()
    };
    bundle.seal(&key(Role::Auditor)).unwrap()
}

fn flip_every(step: usize, whole: &[u8]) {
    std::thread::scope(|scope| {
        for first in 0..2 {
            scope.spawn(move || {
                let mut bytes = whole.to_vec();
                for at in (0..bytes.len()).step_by(step).skip(first).step_by(2) {
                    let bit = 1 << (at % 8);
                    bytes[at] ^= bit;
                    assert!(!verify_bundle(&bytes, Some(&root())).valid, "byte {at}");
                    if at % 16 == 0 {
                        assert_eq!(
                            verify_bundle(&bytes, None).failure,
                            Some(Failure::Wrong),
                            "byte {at}, no root"
                        );
                    }
                    bytes[at] ^= bit;
                }
            });
        }
    });
}

#[test]
fn every_flipped_byte_of_a_bundle_is_seen() {
    flip_every(1, &minimal());
    flip_every(7, &sealed());
    let whole = sealed();
    for cut in [0, 1, 511, 512, whole.len() - 512, whole.len() - 1] {
        refused(&whole[..cut], "tar");
    }
    refused(&[&whole[..], b"\0"].concat(), "tar");
    refused(&[&whole[..], &whole[..]].concat(), "tar");
    refused(&[&whole[..], &[0; 512 * 18]].concat(), "tar");
}

#[test]
fn a_bundle_packed_again_by_tar_is_not_the_bundle() {
    let folder = tempfile::tempdir().unwrap();
    guide::extract(&sealed(), folder.path());
    let outside = tempfile::tempdir().unwrap();
    let again = outside.path().join("again.tar");
    let mut pack = Command::new("tar");
    pack.arg("--format=ustar")
        .arg("-cf")
        .arg(&again)
        .args(members(&sealed()).into_keys());
    assert!(pack.current_dir(folder.path()).status().unwrap().success());
    refused(&fs::read(again).unwrap(), "tar");
}

#[test]
fn every_member_is_covered_beyond_the_list_of_sums() {
    for (name, bytes) in members(&sealed()) {
        if name == "SHA256SUMS" {
            continue;
        }
        let altered = [
            b"other".to_vec(),
            [&bytes[..], b"\n"].concat(),
            bytes[..bytes.len() / 2].to_vec(),
            {
                let mut flipped = bytes.clone();
                flipped.iter_mut().next_back().into_iter().for_each(|byte| *byte ^= 1);
                flipped
            },
        ];
        for (how, altered) in altered.into_iter().enumerate().filter(|(_, altered)| *altered != bytes) {
            let mut changed = members(&sealed());
            changed.insert(name.clone(), altered);
            let verification = verify_bundle(&summed(changed), Some(&root()));
            assert!(!verification.valid, "{name} altered in way {how}");
        }
        let mut removed = members(&sealed());
        removed.remove(&name);
        assert!(!verify_bundle(&summed(removed), Some(&root())).valid, "{name} removed");
    }
    for name in [
        "inputs/more",
        "policies/a.rego",
        "trust/more",
        "trust/signers/more.pub",
        "more",
        "more/more",
    ] {
        let mut more = members(&sealed());
        more.insert(name.to_owned(), b"more".to_vec());
        assert!(!verify_bundle(&summed(more), Some(&root())).valid, "{name} added");
    }
}

#[test]
fn a_list_of_sums_is_exact() {
    let whole = members(&sealed());
    let sums = String::from_utf8(whole["SHA256SUMS"].clone()).unwrap();
    let mut lines: Vec<_> = sums.lines().collect();
    lines.swap(0, 1);
    for wrong in [
        format!("{sums}\n"),
        sums.replacen("  ", " *", 1),
        sums.trim_end().to_owned(),
        lines.join("\n") + "\n",
    ] {
        let mut changed = whole.clone();
        changed.insert("SHA256SUMS".to_owned(), wrong.into_bytes());
        refused(&as_tar(&changed), "sha256sums");
    }
    let mut changed = whole.clone();
    changed.insert("inputs/accounts.json".to_owned(), b"[]".to_vec());
    assert!(refused(&as_tar(&changed), "sha256sums").contains("inputs/accounts.json"));
}

#[test]
fn a_bundle_that_would_not_verify_is_not_made() {
    let broken = |change: &dyn Fn(&mut Bundle)| {
        let mut bundle = bundle();
        change(&mut bundle);
        bundle.seal(&key(Role::Auditor)).unwrap_err().to_string()
    };
    assert!(broken(&|bundle| bundle.manifests[0].id = "other".to_owned()).contains("manifests"));
    assert!(broken(&|bundle| bundle.manifests.push(bundle.manifests[0].clone())).contains("two members"));
    assert!(broken(&|bundle| bundle.rehearsals[0].envelope.clear()).contains("rehearsals/"));
    assert!(
        broken(
            &|bundle| bundle.rehearsals[0].envelope = seal(payload::SCORECARD, b"{}", &SecretKey::generate([99; 32]))
        )
        .contains("does not list")
    );
    assert!(broken(&|bundle| _ = bundle.inputs.insert("../out".to_owned(), Vec::new())).contains("canonical tar"));
    assert!(broken(&|bundle| bundle.descriptor.push(b'\n')).contains("trust"));
    assert!(broken(&|bundle| _ = bundle.key_documents.remove(0)).contains("trust"));
    assert!(broken(&|bundle| bundle.audit.repository.clear()).contains("statement"));
}

#[test]
fn any_bytes_are_survived() {
    let mut state = 1_u64;
    for length in (0..6000).step_by(97) {
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_le_bytes()[7]
        })
        .take(length)
        .collect();
        let verification: Verification = verify_bundle(&bytes, None);
        assert_eq!(verification.failure, Some(Failure::Wrong));
    }
}
