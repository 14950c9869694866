//! What a bucket's server answers, as the facts that are read out of it, and as the bundle keeps it.
//!
//! Invariant: on and off are what a server said in so many words; all else is unknown, with the words.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::{Arc, Mutex};

use muster_testkit::ceph::Ceph;
use muster_testkit::proxy::{Deed, Proxy};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Audit, InABucket};

/// An answer in the server's place: what is asked, the status and the body.
type Answer = (&'static str, u16, &'static str);

/// Every fact that is asked for, its subresource, and what allows that.
const QUESTIONS: [(&str, &str, &str); 9] = [
    ("versioning", "versioning", "s3:GetBucketVersioning"),
    ("object_lock", "object-lock", "s3:GetBucketObjectLockConfiguration"),
    ("encryption", "encryption", "s3:GetEncryptionConfiguration"),
    (
        "public_access_block",
        "publicAccessBlock",
        "s3:GetBucketPublicAccessBlock",
    ),
    ("policy", "policy", "s3:GetBucketPolicy"),
    ("policy_status", "policyStatus", "s3:GetBucketPolicyStatus"),
    ("acl", "acl", "s3:GetBucketAcl"),
    ("lifecycle", "lifecycle", "s3:GetLifecycleConfiguration"),
    ("replication", "replication", "s3:GetReplicationConfiguration"),
];

/// Everything is configured.
const CONFIGURED: [Answer; 9] = [
    (
        "versioning",
        200,
        "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>",
    ),
    (
        "object-lock",
        200,
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode>\
         <Years>2</Years></DefaultRetention></Rule></ObjectLockConfiguration>",
    ),
    (
        "encryption",
        200,
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>\
         </ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
    ),
    ("publicAccessBlock", 200, super::FOUR_BLOCKS),
    // Not plainly public by its text: the server knows better.
    (
        "policy",
        200,
        r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:root"}}]}"#,
    ),
    (
        "policyStatus",
        200,
        "<PolicyStatus><IsPublic>true</IsPublic></PolicyStatus>",
    ),
    (
        "acl",
        200,
        "<AccessControlPolicy><Owner><ID>o</ID></Owner><AccessControlList>\
         <Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
         <URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant>\
         <Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
         <URI>http://acs.amazonaws.com/groups/global/AuthenticatedUsers</URI></Grantee><Permission>WRITE</Permission></Grant>\
         </AccessControlList></AccessControlPolicy>",
    ),
    (
        "lifecycle",
        200,
        "<LifecycleConfiguration>\
         <Rule><ID>here</ID><Filter><And><Prefix>repository/keys</Prefix></And></Filter><Status>Enabled</Status>\
         <Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration></Rule>\
         <Rule><ID>elsewhere</ID><Prefix>logs/</Prefix><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>\
         <Rule><ID>old</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status>\
         <Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>\
         <NoncurrentVersionExpiration><NoncurrentDays>40</NoncurrentDays></NoncurrentVersionExpiration></Rule>\
         <Rule><ID>resting</ID><Filter><Prefix></Prefix></Filter><Status>Disabled</Status><Expiration><Days>1</Days></Expiration></Rule>\
         </LifecycleConfiguration>",
    ),
    (
        "replication",
        200,
        "<ReplicationConfiguration><Role>r</Role>\
         <Rule><Status>Enabled</Status><Destination><Bucket>arn:aws:s3:::far</Bucket></Destination></Rule>\
         <Rule><Status>Disabled</Status><Destination><Bucket>arn:aws:s3:::farther</Bucket></Destination></Rule>\
         </ReplicationConfiguration>",
    ),
];

/// Everything was configured once, and is not what it sounds like.
const HALF_CONFIGURED: [Answer; 9] = [
    (
        "versioning",
        200,
        "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>",
    ),
    (
        "object-lock",
        200,
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
    ),
    (
        "encryption",
        200,
        "<ServerSideEncryptionConfiguration><Rule><BucketKeyEnabled>true</BucketKeyEnabled></Rule>\
         </ServerSideEncryptionConfiguration>",
    ),
    (
        "publicAccessBlock",
        200,
        "<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>",
    ),
    // Public by its text: the server is not heard.
    ("policy", 200, EVERYBODY),
    ("policyStatus", 403, DENIED),
    (
        "acl",
        200,
        "<AccessControlPolicy><Owner><ID>o</ID></Owner><AccessControlList>\
         <Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
         <URI>http://acs.amazonaws.com/groups/s3/LogDelivery</URI></Grantee><Permission>WRITE</Permission></Grant>\
         </AccessControlList></AccessControlPolicy>",
    ),
    (
        "lifecycle",
        200,
        "<LifecycleConfiguration><Rule><ID>resting</ID><Filter><Prefix></Prefix></Filter><Status>Disabled</Status>\
         <Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>",
    ),
    (
        "replication",
        200,
        "<ReplicationConfiguration><Role>r</Role><Rule><Status>Disabled</Status><Destination><Bucket>arn:aws:s3:::far</Bucket>\
         </Destination></Rule></ReplicationConfiguration>",
    ),
];

/// Nothing is configured, as servers say it.
const ABSENT: [Answer; 9] = [
    ("versioning", 200, "<VersioningConfiguration/>"),
    (
        "object-lock",
        404,
        "<Error><Code>ObjectLockConfigurationNotFoundError</Code></Error>",
    ),
    (
        "encryption",
        404,
        "<Error><Code>ServerSideEncryptionConfigurationNotFoundError</Code></Error>",
    ),
    (
        "publicAccessBlock",
        404,
        "<Error><Code>NoSuchPublicAccessBlockConfiguration</Code></Error>",
    ),
    ("policy", 404, "<Error><Code>NoSuchBucketPolicy</Code></Error>"),
    ("policyStatus", 404, "<Error><Code>NoSuchBucketPolicy</Code></Error>"),
    (
        "acl",
        200,
        "<AccessControlPolicy><Owner><ID>o</ID></Owner><AccessControlList></AccessControlList></AccessControlPolicy>",
    ),
    (
        "lifecycle",
        404,
        "<Error><Code>NoSuchLifecycleConfiguration</Code></Error>",
    ),
    (
        "replication",
        404,
        "<Error><Code>ReplicationConfigurationNotFoundError</Code></Error>",
    ),
];

/// Said in place of [`ABSENT`]: there is a configuration, and it configures nothing.
const SWITCHED_OFF: [Answer; 4] = [
    ("object-lock", 200, "<ObjectLockConfiguration/>"),
    (
        "publicAccessBlock",
        200,
        "<PublicAccessBlockConfiguration><BlockPublicAcls>false</BlockPublicAcls></PublicAccessBlockConfiguration>",
    ),
    // Public by its text: the server knows better.
    ("policy", 200, EVERYBODY),
    (
        "policyStatus",
        200,
        "<PolicyStatus><IsPublic>false</IsPublic></PolicyStatus>",
    ),
];

const EVERYBODY: &str = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"*"}}}"#;

const DENIED: &str = "<Error><Code>AccessDenied</Code></Error>";

/// Answers to every question that say nothing of the bucket's setup: status, body, tries, and what is said of it.
const NO_ANSWERS: [(u16, &str, u64, &str); 6] = [
    (403, DENIED, 1, "HTTP 403 AccessDenied; allow s3:"),
    (
        404,
        "<Error><Code>NoSuchBucket</Code></Error>",
        1,
        "HTTP 404 NoSuchBucket",
    ),
    (404, "", 1, "HTTP 404 NotFound"),
    (
        400,
        "<Error><Code>InvalidRequest</Code></Error>",
        1,
        "HTTP 400 InvalidRequest",
    ),
    (
        500,
        "<Error><Code>InternalError</Code></Error>",
        3,
        "HTTP 500 InternalError",
    ),
    (
        501,
        "<Error><Code>NotImplemented</Code></Error>",
        1,
        "HTTP 501 NotImplemented: the server does not have this",
    ),
];

/// The members of each fact beside its state and its reason.
const MEMBERS: [(&str, &[&str]); 8] = [
    ("versioning", &["mfa_delete"]),
    ("object_lock", &["mode", "days"]),
    ("encryption", &["algorithm"]),
    ("public_access_block", &["missing"]),
    ("policy", &["public"]),
    ("acl", &["public"]),
    ("lifecycle", &["rules"]),
    ("replication", &["rules"]),
];

const MILLISECOND: time::Duration = time::Duration::MILLISECOND;

#[expect(
    clippy::disallowed_methods,
    reason = "what the server heard is held to the clock that muster reads"
)]
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// An answer, and when it was first asked for.
#[derive(Clone, Copy)]
struct Said {
    status: u16,
    body: &'static str,
    heard: Option<OffsetDateTime>,
}

/// A server that answers as it is told.
struct Server<'a> {
    place: InABucket<'a>,
    proxy: Proxy,
    said: Arc<Mutex<BTreeMap<&'static str, Said>>>,
}

impl<'a> Server<'a> {
    fn before(ceph: &'a Ceph) -> Self {
        let said = Arc::<Mutex<BTreeMap<_, Said>>>::default();
        let says = Arc::clone(&said);
        let proxy = Proxy::before(ceph.address(), move |head| {
            let line = head.strip_prefix("GET ").and_then(|rest| rest.split(' ').next());
            let query = line.and_then(|line| line.split_once('?')).map(|(_, query)| query);
            let asked = query.and_then(|query| query.split(['=', '&']).next());
            match says.lock().unwrap().get_mut(asked.unwrap_or_default()) {
                Some(said) => {
                    said.heard.get_or_insert_with(now);
                    Deed::Says(said.status, said.body)
                }
                None => Deed::Pass,
            }
        });
        let place = InABucket::new(ceph, &proxy.url(), "");
        Self { place, proxy, said }
    }

    /// An audit of the bucket with these answers.
    fn audited(&self, answers: &[Answer]) -> Audited {
        let heard = None;
        let said = answers
            .iter()
            .map(|&(query, status, body)| (query, Said { status, body, heard }));
        *self.said.lock().unwrap() = said.collect();
        let audited = Audited::of(&self.place);
        in_the_words_of(&audited, &self.said.lock().unwrap());
        audited
    }
}

/// What an audit with a bundle left: its verdicts, and members of the bundle.
struct Audited {
    audit: Audit,
    facts: Value,
    raw: Value,
    raw_digest: String,
    /// What the auditor's signature covers.
    subject: Value,
    /// Before and after.
    asked: (OffsetDateTime, OffsetDateTime),
}

impl Audited {
    fn of(place: &InABucket<'_>) -> Self {
        let bundle = place.env.path("audit.tar");
        let member = |name: &str| {
            let output = Command::new("tar").arg("-xOf").arg(&bundle).arg(name).output().unwrap();
            assert!(output.status.success(), "{name}: {output:?}");
            output.stdout
        };
        let before = now();
        let line = format!("audit --profile object-storage --json --out {}", bundle.display());
        let audit = Audit::from(place.run(&line));
        let asked = (before, now());
        let line = format!("verify {} --json --key keys/root.pub", bundle.display());
        let verified = place.env.ok(&line).json();
        let raw = member("inputs/raw/bucket-repository.json");
        let read = Self {
            audit,
            facts: serde_json::from_slice(&member("inputs/facts.json")).unwrap(),
            raw: serde_json::from_slice(&raw).unwrap(),
            raw_digest: muster_signing::Digest::of(&raw).to_string(),
            subject: verified["subject"].clone(),
            asked,
        };
        std::fs::remove_file(&bundle).unwrap();
        read
    }

    fn bucket(&self) -> &Value {
        let buckets = self.facts["buckets"].as_array().unwrap();
        assert_eq!(buckets.len(), 1, "{}", self.facts);
        &buckets[0]
    }
}

#[test]
fn a_bucket_is_what_its_server_says_in_so_many_words_and_else_unknown() {
    let ceph = Ceph::server();
    let server = Server::before(&ceph);
    let configured = server.audited(&CONFIGURED);
    expect(
        &configured,
        &json!({
            "versioning": {"state": "on", "reason": null, "mfa_delete": true},
            "object_lock": {"state": "on", "reason": null, "mode": "COMPLIANCE", "days": 730},
            "encryption": {"state": "on", "reason": null, "algorithm": "aws:kms"},
            "public_access_block": {"state": "on", "reason": null, "missing": []},
            "policy": {"state": "on", "reason": null, "public": true},
            "acl": {"state": "on", "reason": null, "public": ["AllUsers READ", "AuthenticatedUsers WRITE"]},
            "lifecycle": {"state": "on", "reason": null, "rules": [
                {"id": "here", "prefix": "repository/keys", "reaches": true, "expires": true, "expires_noncurrent": false},
                {"id": "elsewhere", "prefix": "logs/", "reaches": false, "expires": true, "expires_noncurrent": false},
                {"id": "old", "prefix": "", "reaches": true, "expires": false, "expires_noncurrent": true},
            ]},
            "replication": {"state": "on", "reason": null, "rules": 1},
        }),
    );
    introduced(&configured, &server);
    replayed(&configured, &server.place);

    let half = server.audited(&HALF_CONFIGURED);
    let missing = ["BlockPublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];
    expect(
        &half,
        &json!({
            "versioning": {"state": "off", "reason": null, "mfa_delete": null},
            "object_lock": {"state": "on", "reason": null, "mode": null, "days": null},
            "encryption": {"state": "off", "reason": null, "algorithm": null},
            "public_access_block": {"state": "on", "reason": null, "missing": missing},
            "policy": {"state": "on", "reason": null, "public": true},
            "acl": {"state": "on", "reason": null, "public": []},
            "lifecycle": {"state": "off", "reason": null, "rules": null},
            "replication": {"state": "on", "reason": null, "rules": 0},
        }),
    );

    let absent = server.audited(&ABSENT);
    for (fact, members) in MEMBERS {
        let expected = match fact {
            "acl" => json!({"state": "on", "reason": null, "public": []}),
            _ => off(members),
        };
        assert_eq!(absent.bucket()[fact], expected, "{fact}");
    }

    let switched_off = server.audited(&[ABSENT.as_slice(), &SWITCHED_OFF].concat());
    for (fact, members) in [MEMBERS[1], MEMBERS[3]] {
        assert_eq!(switched_off.bucket()[fact], off(members), "{fact}");
    }
    let policy = json!({"state": "on", "reason": null, "public": false});
    assert_eq!(switched_off.bucket()["policy"], policy);

    for (status, body, tries, words) in NO_ANSWERS {
        let unknown = server.audited(&QUESTIONS.map(|(_, query, _)| (query, status, body)));
        for (fact, members) in MEMBERS {
            let said = &unknown.bucket()[fact];
            assert_eq!(said["state"], "unknown", "{status} {body}: {fact}: {said}");
            let reason = said["reason"].as_str().unwrap();
            assert!(reason.starts_with(words), "{fact}: {reason}");
            for name in members {
                assert_eq!(said[name], Value::Null, "{fact}: {said}");
            }
        }
        for one in unknown.bucket()["collected"].as_array().unwrap() {
            assert_eq!(one["tries"], tries, "{one}");
        }
    }

    // An answer to another question is none; only a policy may be any text.
    let other = server.audited(&QUESTIONS.map(|(_, query, _)| (query, 200, "<ListBucketResult/>")));
    for (fact, _) in MEMBERS {
        let (said, state) = (&other.bucket()[fact], if fact == "policy" { "on" } else { "unknown" });
        assert_eq!(said["state"], state, "{fact}: {said}");
    }
    assert_eq!(other.bucket()["policy"]["public"], Value::Null, "{}", other.bucket());
}

fn off(members: &[&str]) -> Value {
    let mut off = json!({"state": "off", "reason": null});
    members.iter().for_each(|name| off[name] = Value::Null);
    off
}

#[track_caller]
fn expect(audited: &Audited, facts: &Value) {
    for (fact, expected) in facts.as_object().unwrap() {
        assert_eq!(&audited.bucket()[fact], expected, "{fact}");
    }
    assert_eq!(facts.as_object().unwrap().len(), MEMBERS.len());
}

/// Who was asked, by whom, and on which way.
fn introduced(audited: &Audited, server: &Server<'_>) {
    let bucket = audited.bucket();
    let [(_, access_key_id), ..] = server.place.ceph.environment();
    for (key, expected) in [
        ("name", json!(server.place.name())),
        ("used_by", json!(["repository"])),
        ("prefix", json!("repository/")),
        ("endpoint", json!(server.proxy.url())),
        ("transport", json!("http")),
        ("server", json!("testkit")),
        ("role", json!(access_key_id)),
    ] {
        assert_eq!(bucket[key], expected, "{key}");
    }
}

/// Each question is recorded as it was asked, and its answer, byte for byte, beside what was read out of it.
fn in_the_words_of(audited: &Audited, said: &BTreeMap<&str, Said>) {
    let bucket = audited.bucket();
    let collected = bucket["collected"].as_array().unwrap();
    // Whether a policy is public is asked where there is one.
    let there_is_one = said["policy"].status == 200;
    let asked: Vec<_> = QUESTIONS
        .into_iter()
        .filter(|one| there_is_one || one.0 != "policy_status")
        .collect();
    let facts: Vec<_> = collected.iter().map(|one| one["fact"].as_str().unwrap()).collect();
    assert_eq!(facts, asked.iter().map(|(fact, ..)| *fact).collect::<Vec<_>>());
    let kept: BTreeSet<_> = audited.raw.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(kept, facts.iter().copied().collect(), "{}", audited.raw);
    let name = bucket["name"].as_str().unwrap().trim_start_matches("s3://");
    let mut last = audited.asked.0 - MILLISECOND;
    for (one, (fact, query, permission)) in collected.iter().zip(asked) {
        let Said { status, body, heard } = said[query];
        assert_eq!(one["query"], format!("GET {name}?{query}"), "{one}");
        assert_eq!(one["permission"], permission, "{one}");
        assert_eq!(one["status"], status, "{one}");
        assert_eq!(audited.raw[fact], body, "{one}");
        assert_eq!(one["raw_bytes"], body.len(), "{one}");
        let digest = muster_signing::Digest::of(body.as_bytes());
        assert_eq!(one["raw_digest"], digest.to_string(), "{one}");
        // Times are told to the millisecond: the question began before the server heard it.
        let time = |key: &str| OffsetDateTime::parse(one[key].as_str().unwrap(), &Rfc3339).unwrap();
        let (started, finished) = (time("started"), time("finished"));
        assert!(last <= started && started <= heard.unwrap(), "{heard:?}: {one}");
        assert!(started <= finished && finished <= audited.asked.1, "{one}");
        assert!(heard.unwrap() - MILLISECOND < finished, "{heard:?}: {one}");
        last = finished;
    }
}

/// The answers are covered by the auditor's signature, and the facts of the bundle give the same verdicts.
fn replayed(audited: &Audited, place: &InABucket<'_>) {
    let subject = audited.subject.as_array().unwrap();
    let signed = subject
        .iter()
        .find(|one| one["name"] == "inputs/raw/bucket-repository.json");
    assert_eq!(signed.unwrap()["digest"], audited.raw_digest, "{}", audited.subject);
    place.env.write("facts.json", audited.facts.to_string());
    let again = Audit::from(place.env.run("check facts.json --profile object-storage --json"));
    assert_eq!(again.0, audited.audit.0);
}
