//! What the crate promises of everything that is signed: one spelling, one role, one chain of trust.
//!
//! Each test breaks the promise in every way it can think of and expects the refusal that names it. The envelope is also
//! checked with OpenSSL, which shares no code with this crate.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may stop at the first surprise")]

use std::{fs, process::Command};

use muster_signing::{
    Checkpoint, Descriptor, Digest, KeyDocument, KeyEntry, MAX_ENVELOPE, OpenError, PublicKey, Role, SecretKey,
    TrustError, Verified, canonical_json, inspect, note, open, open_limited, pae, payload, seal,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const REPOSITORY: &str = "01K0000000000000000000TEST";
const DAY: &str = "2026-11-25T00:00:00Z";

fn key(role: Role) -> SecretKey {
    SecretKey::generate([role as u8 + 1; 32])
}

fn entries() -> Vec<KeyEntry> {
    let roles = Role::ALL.into_iter().filter(|role| *role != Role::Root);
    roles
        .map(|role| KeyEntry::new(role, key(role).public(), "host", DAY))
        .collect()
}

fn root() -> (SecretKey, PublicKey) {
    let root = key(Role::Root);
    let public = root.public();
    (root, public)
}

fn trusted() -> KeyDocument {
    let (secret, public) = root();
    let sealed = KeyDocument::first(REPOSITORY, DAY, entries()).seal(&secret).unwrap();
    KeyDocument::verify_chain(&[(1, sealed)], &public, REPOSITORY)
        .unwrap()
        .value
}

#[test]
fn an_envelope_opens_for_the_key_that_sealed_it_and_no_other() {
    let key = SecretKey::generate([1; 32]);
    let sealed = seal(payload::MANIFEST, b"{}", &key);
    assert!(!sealed.ends_with(b"\n"));
    let opened = open(
        &sealed,
        payload::MANIFEST,
        &[SecretKey::generate([2; 32]).public(), key.public()],
    )
    .unwrap();
    assert_eq!(
        (opened.payload.as_slice(), opened.signer),
        (&b"{}"[..], key.public().id())
    );

    let unknown = OpenError::UnknownSigner {
        key_id: key.public().id(),
    };
    assert_eq!(
        open(&sealed, payload::MANIFEST, &[SecretKey::generate([2; 32]).public()]).unwrap_err(),
        unknown
    );
    assert_eq!(open(&sealed, payload::MANIFEST, &[]).unwrap_err(), unknown);
    let wrong = open(&sealed, payload::SCORECARD, &[key.public()]).unwrap_err();
    assert!(matches!(wrong, OpenError::WrongType { .. }), "{wrong}");
}

#[test]
fn every_flipped_bit_of_an_envelope_is_seen() {
    let key = SecretKey::generate([1; 32]);
    for payload in [&b"{}"[..], b"", b"any bytes\0\xff"] {
        let sealed = seal(payload::MANIFEST, payload, &key);
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut wrong = sealed.clone();
                wrong[at] ^= 1 << bit;
                assert!(
                    open(&wrong, payload::MANIFEST, &[key.public()]).is_err(),
                    "byte {at}, bit {bit}"
                );
            }
            assert!(
                open(&sealed[..at], payload::MANIFEST, &[key.public()]).is_err(),
                "cut at {at}"
            );
        }
    }
}

#[test]
fn an_envelope_has_one_spelling() {
    let key = SecretKey::generate([1; 32]);
    let sealed = String::from_utf8(seal(payload::MANIFEST, b"\xfb\xff\xfe{", &key)).unwrap();
    assert!(sealed.contains("+//+ew=="), "{sealed}");
    let id = key.public().id();
    let signature = sealed
        .split(r#""sig":""#)
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let line = format!(r#"{{"keyid":"{id}","sig":"{signature}"}}"#);
    let other = SecretKey::generate([2; 32]).public().id();
    for (why, wrong) in [
        ("a newline at the end", format!("{sealed}\n")),
        ("white space in front", format!(" {sealed}")),
        (
            "white space between",
            sealed.replace(",\"payloadType", ", \"payloadType"),
        ),
        ("the URL alphabet", sealed.replace("+//+ew==", "-__-ew==")),
        ("no padding", sealed.replace("ew==", "ew")),
        ("padding bits", sealed.replace("ew==", "ex==")),
        (
            "an escaped letter",
            sealed.replace("payloadType\":\"a", "payloadType\":\"\\u0061"),
        ),
        ("an escaped slash", sealed.replace("application/", "application\\/")),
        ("no key id", sealed.replace(&format!(r#""keyid":"{id}","#), "")),
        ("an empty key id", sealed.replace(id.as_str(), "")),
        ("another key id", sealed.replace(id.as_str(), other.as_str())),
        (
            "an upper-case key id",
            sealed.replace(id.as_str(), &id.as_str().to_uppercase()),
        ),
        ("a second signature", sealed.replace(&line, &format!("{line},{line}"))),
        ("no signature", sealed.replace(&line, "")),
        ("another field", sealed.replace("]}", r#"],"more":1}"#)),
        (
            "another field of the signature",
            sealed.replace(r#""}]}"#, r#"","cert":""}]}"#),
        ),
        (
            "a field twice",
            sealed.replace(r#"{"payload":"#, r#"{"payload":"","payload":"#),
        ),
        ("fields in another order", {
            let payload = format!(r#"{{"payload":"+//+ew==","payloadType":"{}""#, payload::MANIFEST);
            sealed.replace(
                &payload,
                &format!(r#"{{"payloadType":"{}","payload":"+//+ew==""#, payload::MANIFEST),
            )
        }),
    ] {
        assert_ne!(wrong, sealed, "{why}: the test changed nothing");
        let refused = open(wrong.as_bytes(), payload::MANIFEST, &[key.public()]);
        assert!(refused.is_err(), "{why} was accepted");
    }
    open(sealed.as_bytes(), payload::MANIFEST, &[key.public()]).unwrap();
}

#[test]
fn an_envelope_beyond_its_bound_is_not_read() {
    let key = SecretKey::generate([1; 32]);
    let sealed = seal(payload::MANIFEST, &vec![b' '; MAX_ENVELOPE], &key);
    let refused = open(&sealed, payload::MANIFEST, &[key.public()]).unwrap_err();
    assert_eq!(
        refused,
        OpenError::TooLarge {
            size: sealed.len(),
            max: MAX_ENVELOPE
        }
    );
    open_limited(&sealed, payload::MANIFEST, &[key.public()], 2 * MAX_ENVELOPE).unwrap();
}

#[test]
fn a_key_of_one_role_never_signs_for_another() {
    let keys = trusted();
    let types = [
        (payload::DESCRIPTOR, Role::Root),
        (payload::KEYS, Role::Root),
        (payload::MANIFEST, Role::Writer),
        (payload::LOSS, Role::Writer),
        (payload::SCORECARD, Role::Rehearser),
        (payload::STATEMENT, Role::Auditor),
        (payload::PRUNE, Role::Pruner),
    ];
    for has in Role::ALL {
        for (payload_type, needs) in types {
            let key_id = key(has).public().id();
            let sealed = seal(payload_type, b"{}", &key(has));
            let result = keys.open_as::<Value>(&sealed, payload_type);
            match (has, needs) {
                // The root vouches for others and signs nothing that is opened with its key document.
                (Role::Root, _) => assert_eq!(result.unwrap_err(), OpenError::UnknownSigner { key_id }),
                _ if has == needs => assert_eq!(result.unwrap().signer, key_id),
                _ => assert_eq!(
                    result.unwrap_err(),
                    OpenError::WrongRole { key_id, has, needs },
                    "{payload_type}"
                ),
            }
        }
    }
    let stranger = SecretKey::generate([99; 32]);
    let sealed = seal(payload::MANIFEST, b"{}", &stranger);
    let unknown = OpenError::UnknownSigner {
        key_id: stranger.public().id(),
    };
    assert_eq!(keys.open_as::<Value>(&sealed, payload::MANIFEST).unwrap_err(), unknown);
    assert!(
        keys.open_as::<Value>(&seal("text/plain", b"{}", &key(Role::Writer)), "text/plain")
            .is_err()
    );
}

#[test]
fn only_the_root_signs_descriptors_and_key_documents() {
    let (secret, public) = root();
    let descriptor = Descriptor::new(REPOSITORY, DAY, public);
    Descriptor::open(&descriptor.seal(&secret).unwrap(), &public).unwrap();
    for role in [Role::Writer, Role::Rehearser, Role::Auditor, Role::Pruner] {
        assert!(descriptor.seal(&key(role)).is_err());
        let forged = seal(payload::DESCRIPTOR, &canonical_json(&descriptor).unwrap(), &key(role));
        assert_eq!(
            Descriptor::open(&forged, &public).unwrap_err().unknown_signer(),
            Some(&key(role).public().id())
        );
        assert!(Descriptor::open_self_signed(&forged).is_err());
        let forged = KeyDocument::first(REPOSITORY, DAY, Vec::new())
            .seal(&key(role))
            .unwrap();
        let refused = KeyDocument::verify_chain(&[(1, forged)], &public, REPOSITORY).unwrap_err();
        assert_eq!(refused.unknown_signer(), Some(&key(role).public().id()));
    }
    // Without a root the descriptor says whose it claims to be; with another root it is nobody's.
    let sealed = descriptor.seal(&secret).unwrap();
    assert_eq!(Descriptor::open_self_signed(&sealed).unwrap().root_public_key, public);
    assert!(
        Descriptor::open(&sealed, &key(Role::Writer).public())
            .unwrap_err()
            .unknown_signer()
            .is_some()
    );
}

#[test]
fn one_key_has_one_role_and_the_root_has_none_other() {
    let (secret, public) = root();
    let with = |changed: KeyEntry| {
        let document = KeyDocument::first(REPOSITORY, DAY, [entries(), vec![changed]].concat());
        // Sealed past the check that refuses to write it: a reader must not rely on the writer.
        let sealed = seal(payload::KEYS, &canonical_json(&document).unwrap(), &secret);
        assert!(document.seal(&secret).is_err());
        KeyDocument::verify_chain(&[(1, sealed)], &public, REPOSITORY)
            .unwrap_err()
            .to_string()
    };
    let twice = with(KeyEntry::new(Role::Auditor, key(Role::Writer).public(), "sly", DAY));
    assert!(twice.contains("twice"), "{twice}");
    let as_root = with(KeyEntry::new(
        Role::Root,
        SecretKey::generate([50; 32]).public(),
        "sly",
        DAY,
    ));
    assert!(as_root.contains("as root"), "{as_root}");
    assert!(with(KeyEntry::new(Role::Writer, public, "sly", DAY)).contains("root under another role"));
    let mut lying = KeyEntry::new(Role::Writer, SecretKey::generate([50; 32]).public(), "sly", DAY);
    lying.key_id = SecretKey::generate([51; 32]).public().id();
    assert!(with(lying).contains("is not the id of the key"));
}

fn chain_of_three() -> Vec<(u64, Vec<u8>)> {
    let (secret, public) = root();
    let mut chain = vec![(1, KeyDocument::first(REPOSITORY, DAY, entries()).seal(&secret).unwrap())];
    for _ in 0..2 {
        let newest = KeyDocument::verify_chain(&chain, &public, REPOSITORY).unwrap();
        let mut next = KeyDocument::next(&newest, DAY);
        next.keys.pop();
        chain.push((next.epoch, next.seal(&secret).unwrap()));
    }
    chain
}

#[test]
fn the_newest_key_document_of_the_whole_chain_counts() {
    let (_, public) = root();
    let newest: Verified<KeyDocument> = KeyDocument::verify_chain(&chain_of_three(), &public, REPOSITORY).unwrap();
    assert_eq!((newest.epoch, newest.keys.len()), (3, 2));
    assert_eq!(newest.role_of(&key(Role::Writer).public().id()), Some(Role::Writer));
    // Revoked: the later epochs no longer list these.
    assert_eq!(newest.role_of(&key(Role::Pruner).public().id()), None);
    let sealed = seal(payload::STATEMENT, b"{}", &key(Role::Auditor));
    assert!(matches!(
        newest.open_as::<Value>(&sealed, payload::STATEMENT),
        Err(OpenError::UnknownSigner { .. })
    ));
}

#[test]
fn a_chain_with_a_link_missing_swapped_or_foreign_is_refused() {
    let (secret, public) = root();
    let chain = chain_of_three();
    let refused = |chain: &[(u64, Vec<u8>)]| KeyDocument::verify_chain(chain, &public, REPOSITORY).unwrap_err();
    assert_eq!(refused(&[]), TrustError::NoKeys);
    refused(&chain[1..]);
    refused(&[chain[0].clone(), chain[2].clone()]);
    refused(&[chain[1].clone(), chain[0].clone(), chain[2].clone()]);
    refused(&[(1, chain[1].1.clone())]);
    refused(&[chain[0].clone(), (2, chain[2].1.clone())]);
    // Another second epoch, properly signed, under the third that follows the first one.
    let first = KeyDocument::verify_chain(&chain[..1], &public, REPOSITORY).unwrap();
    let fork = KeyDocument::next(&first, "2026-11-26T00:00:00Z").seal(&secret).unwrap();
    refused(&[chain[0].clone(), (2, fork), chain[2].clone()]);
    assert!(KeyDocument::verify_chain(&chain, &public, "01K000000000000000000OTHER").is_err());
    assert!(KeyDocument::verify_chain(&chain, &key(Role::Writer).public(), REPOSITORY).is_err());
}

#[test]
fn an_unknown_critical_name_is_refused_by_name_and_any_other_field_ignored() {
    let (secret, public) = root();
    let altered = |field: &str, value: Value| {
        let mut document = serde_json::to_value(KeyDocument::first(REPOSITORY, DAY, entries())).unwrap();
        document[field] = value;
        let sealed = seal(payload::KEYS, &canonical_json(&document).unwrap(), &secret);
        KeyDocument::verify_chain(&[(1, sealed)], &public, REPOSITORY)
    };
    altered("colour", json!("ignorable")).unwrap();
    let refused = altered("critical", json!(["threshold", "quorum"])).unwrap_err();
    let TrustError::KeyDocument {
        source: OpenError::Critical(unknown),
        ..
    } = refused
    else {
        panic!("{refused}")
    };
    assert_eq!(unknown.names, ["threshold", "quorum"]);
    assert!(altered("schema", json!("muster.keys/2")).is_err());

    let descriptor = |field: &str, value: Value| {
        let mut document = serde_json::to_value(Descriptor::new(REPOSITORY, DAY, public)).unwrap();
        document[field] = value;
        Descriptor::open(
            &seal(payload::DESCRIPTOR, &canonical_json(&document).unwrap(), &secret),
            &public,
        )
    };
    descriptor("colour", json!("ignorable")).unwrap();
    descriptor("writer_version", json!(2)).unwrap();
    assert_eq!(
        descriptor("reader_version", json!(2)).unwrap_err(),
        TrustError::Newer { needs: 2 }
    );
    assert!(
        descriptor("critical", json!(["erasure"]))
            .unwrap_err()
            .to_string()
            .contains("descriptor")
    );
    assert!(descriptor("root_public_key", json!(key(Role::Writer).public())).is_err());

    let manifest = |critical: Value| {
        let payload = canonical_json(&json!({"critical": critical})).unwrap();
        trusted().open_as_knowing::<Value>(
            &seal(payload::MANIFEST, &payload, &key(Role::Writer)),
            payload::MANIFEST,
            &["known"],
            MAX_ENVELOPE,
        )
    };
    manifest(json!(["known"])).unwrap();
    assert!(
        manifest(json!(["known", "new"]))
            .unwrap_err()
            .to_string()
            .contains("demands new that")
    );
    assert!(manifest(json!("known")).is_err());
}

#[test]
fn a_log_head_belongs_to_its_key_and_origin() {
    let keys = trusted();
    let head = Checkpoint {
        origin: "muster/r/1".to_owned(),
        size: 3,
        root: Digest::of(b""),
    };
    let writer = key(Role::Writer);
    let signed = head.sign(&writer).unwrap();
    let opened = keys
        .open_checkpoint(signed.as_bytes(), "muster/r/1", &writer.public().id())
        .unwrap();
    assert_eq!((opened.value, opened.signer), (head.clone(), writer.public().id()));
    assert!(
        keys.open_checkpoint(signed.as_bytes(), "muster/r/2", &writer.public().id())
            .is_err()
    );
    for role in [Role::Rehearser, Role::Auditor, Role::Pruner] {
        assert!(
            keys.open_checkpoint(signed.as_bytes(), "muster/r/1", &key(role).public().id())
                .is_err()
        );
    }
    let stranger = SecretKey::generate([99; 32]);
    let foreign = head.sign(&stranger).unwrap();
    let refused = keys
        .open_checkpoint(foreign.as_bytes(), "muster/r/1", &stranger.public().id())
        .unwrap_err();
    assert!(matches!(refused, note::NoteError::UnknownSigner { .. }));
}

#[test]
fn openssl_agrees_with_keys_and_envelopes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = SecretKey::generate([1; 32]);
    let sealed = seal(payload::STATEMENT, b"{\"a\":1}", &key);
    let claimed = inspect(&sealed).unwrap();
    for (name, bytes) in [
        ("key.pem", key.to_pem().as_bytes()),
        ("key.pub", key.public().to_pem().as_bytes()),
        ("pae", &pae(&claimed.payload_type, &claimed.payload)),
        ("sig", &claimed.signature),
    ] {
        fs::write(folder.join(name), bytes).unwrap();
    }
    let openssl = |arguments: &str| {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder)
            .output();
        let output = output.expect("this test needs openssl: apt-get install openssl");
        assert!(
            output.status.success(),
            "openssl {arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(openssl("pkey -in key.pem -pubout"), key.public().to_pem());
    assert_eq!(openssl("pkey -in key.pem"), *key.to_pem());
    openssl("pkeyutl -verify -pubin -inkey key.pub -rawin -in pae -sigfile sig");
    openssl("pkeyutl -sign -inkey key.pem -rawin -in pae -out theirs");
    assert_eq!(fs::read(folder.join("theirs")).unwrap(), claimed.signature);
    openssl("genpkey -algorithm ed25519 -out made.pem");
    let made = SecretKey::from_pem(&fs::read_to_string(folder.join("made.pem")).unwrap()).unwrap();
    assert_eq!(openssl("pkey -in made.pem -pubout"), made.public().to_pem());
}

#[test]
fn the_examples_of_the_format_document_come_out() {
    // They were computed with Python's json, hashlib and cryptography.
    let document = include_str!("../../docs/format/trust.md");
    let key = SecretKey::generate([0; 32]);
    let head = Checkpoint {
        origin: format!("muster/{REPOSITORY}/0-1"),
        size: 0,
        root: muster_signing::merkle::root(&[]),
    };
    for example in [
        key.public().id().to_string(),
        String::from_utf8(seal(payload::MANIFEST, b"{}", &key)).unwrap(),
        head.sign(&key).unwrap().trim_end().to_owned(),
        note::vkey(&head.origin, &key.public()).unwrap(),
    ] {
        assert!(
            document.contains(&format!("\n```\n{example}\n```\n")),
            "docs/format/trust.md lacks {example}"
        );
    }
}

proptest! {
    #[test]
    fn any_payload_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..300), seed: [u8; 32]) {
        let key = SecretKey::generate(seed);
        let sealed = seal(payload::MANIFEST, &bytes, &key);
        prop_assert_eq!(open(&sealed, payload::MANIFEST, &[key.public()]).unwrap().payload, bytes);
    }

    #[test]
    fn no_edit_of_an_envelope_is_believed(at: prop::sample::Index, cut in 0..4_usize, put in proptest::collection::vec(any::<u8>(), 0..4)) {
        let key = SecretKey::generate([1; 32]);
        let sealed = seal(payload::MANIFEST, b"{\"store\":\"accounts\"}", &key);
        let at = at.index(sealed.len());
        let mut edited = sealed.clone();
        edited.splice(at..(at + cut).min(sealed.len()), put);
        prop_assume!(edited != sealed);
        prop_assert!(open(&edited, payload::MANIFEST, &[key.public()]).is_err());
    }

    #[test]
    fn parsers_survive_anything(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = inspect(&bytes);
        let _ = note::inspect(&bytes);
        let _ = KeyDocument::parse(&bytes);
        let _ = Descriptor::parse(&bytes);
        let _ = Checkpoint::parse(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn a_key_document_that_demands_encryption_says_who_can_decrypt() {
    let (secret, _) = root();
    let with = |encryption: &str, recipients: Vec<String>| {
        let mut document = KeyDocument::first(REPOSITORY, DAY, entries());
        document.encryption = encryption.to_owned();
        document.recipients = recipients;
        document.seal(&secret)
    };
    let people = |count: usize| (0..count).map(|number| format!("age1{number}")).collect::<Vec<_>>();
    with("none", Vec::new()).unwrap();
    with("required", people(1)).unwrap();
    with("required", people(64)).unwrap();
    for (encryption, recipients) in [
        ("required", Vec::new()),
        ("none", people(1)),
        ("required", people(65)),
        ("required", [people(2), people(1)].concat()),
    ] {
        let refused = with(encryption, recipients.clone()).unwrap_err();
        assert!(
            matches!(refused, TrustError::Inconsistent { .. }),
            "{encryption} {recipients:?}"
        );
    }
}
