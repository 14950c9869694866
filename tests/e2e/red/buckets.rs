//! The profile `object-storage`, on buckets of a real S3 server that were set up wrong and then right.
//!
//! What this server cannot do (default encryption, replication to another zone, writes below all four public access blocks) is
//! answered in its place, and only that.

mod answers;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use muster_testkit::ceph::Ceph;
use muster_testkit::env::{Outcome, TestEnv};
use muster_testkit::proxy::{Deed, Proxy};

use super::{Audit, Shown};
use crate::env;

/// What is shown here.
pub(super) const RULES: &[&str] = &[
    "OS-001", "OS-002", "OS-003", "OS-004", "OS-005", "OS-006", "OS-007", "OS-008", "OS-009", "OS-010",
];

/// Whom the program trusts for TLS, where there is such a file.
const AUTHORITY: &str = "authority.crt";

const LOCK: &str = "object_lock = { mode = \"governance\", days = 1 }";

/// A repository in a bucket of its own.
struct InABucket<'a> {
    env: TestEnv,
    ceph: &'a Ceph,
    bucket: String,
}

impl<'a> InABucket<'a> {
    fn new(ceph: &'a Ceph, endpoint: &str, more: &str) -> Self {
        let (env, url) = (env(), ceph.fresh_url());
        env.write("src/a", "a");
        let bucket = url.split('/').nth(2).unwrap().to_owned();
        let place = Self { env, ceph, bucket };
        place.reach(endpoint, more);
        place.run("init").expect_code(0);
        place
    }

    /// Configures where the bucket is reached.
    fn reach(&self, endpoint: &str, more: &str) {
        let url = format!("s3://{}/repository", self.bucket);
        let repository = format!("url = \"{url}\"\nendpoint = \"{endpoint}\"\nregion = \"us-east-1\"\n{more}");
        let store = "[store.assets]\nkind = \"files\"\npath = \"src\"";
        self.env.configure_repository(&repository, store);
    }

    fn run(&self, line: &str) -> Outcome {
        let mut command = self.env.command();
        let authority = self.env.path(AUTHORITY);
        command.envs(authority.exists().then_some(("SSL_CERT_FILE", authority)));
        command.args(line.split_whitespace()).envs(self.ceph.environment());
        Outcome::of(command)
    }

    fn audit(&self) -> Audit {
        Audit::from(self.run("audit --profile object-storage --json"))
    }

    fn name(&self) -> String {
        format!("s3://{}", self.bucket)
    }

    /// Sets a subresource of the bucket: `PUT /bucket?subresource`.
    fn put(&self, subresource: &str, body: &str) {
        let mut python = Command::new("python3");
        python.args([
            "-c",
            include_str!("put_subresource.py"),
            self.ceph.endpoint(),
            &self.bucket,
            subresource,
        ]);
        python.envs(self.ceph.environment()).stdin(Stdio::piped());
        let mut python = python
            .spawn()
            .unwrap_or_else(|error| panic!("python3: {error}: apt-get install python3"));
        python.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
        assert!(python.wait().unwrap().success(), "PUT {subresource} of {}", self.bucket);
    }
}

fn lifecycle(rule: &str) -> String {
    format!(
        "<LifecycleConfiguration><Rule><ID>tidy</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status>{rule}</Rule>\
         </LifecycleConfiguration>"
    )
}

/// With the fourth block this server refuses every write.
const THREE_BLOCKS: &str = "\
<PublicAccessBlockConfiguration><BlockPublicAcls>false</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>\
<BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>";
const FOUR_BLOCKS: &str = "\
<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>\
<BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>";

fn everybody_fetches(bucket: &str) -> String {
    format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:GetObject\",\
         \"Resource\":\"arn:aws:s3:::{bucket}/*\"}}]}}"
    )
}

const EVERYBODY_READS: &str = "\
<AccessControlPolicy xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Owner><ID>muster</ID></Owner><AccessControlList>\
<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>muster</ID></Grantee>\
<Permission>FULL_CONTROL</Permission></Grant>\
<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant>\
</AccessControlList></AccessControlPolicy>";

#[test]
fn rules_of_the_profile_object_storage_are_seen_red_and_right() {
    let ceph = Ceph::server();
    let mut shown = Shown::default();
    open_to_the_world(&ceph, &mut shown);
    locked_away(&ceph, &mut shown);
    answered_for(&ceph, &mut shown);
    over_tls(&ceph, &mut shown);
    shown.demand(RULES, &[]);
}

/// A bucket as it comes, and then made worse.
fn open_to_the_world(ceph: &Ceph, shown: &mut Shown) {
    let place = InABucket::new(ceph, ceph.endpoint(), "");
    let name = place.name();
    place.put("policy", &everybody_fetches(&place.bucket));
    place.put("acl", EVERYBODY_READS);
    place.put("lifecycle", &lifecycle("<Expiration><Days>90</Days></Expiration>"));
    let audit = place.audit();
    let fails = ["OS-001", "OS-002", "OS-004", "OS-005", "OS-006", "OS-007", "OS-010"];
    shown.red(&audit, &name, "fail", &fails);
    shown.red(&audit, &name, "warn", &["OS-009"]);
    audit.expect(&name, "not_applicable", &["OS-008"]);
    // This server answers the question for the encryption with a listing: that is no answer.
    audit.expect(&name, "unknown", &["OS-003"]);
}

/// A bucket with object lock, and then all that is still missing.
fn locked_away(ceph: &Ceph, shown: &mut Shown) {
    let place = InABucket::new(ceph, ceph.endpoint(), LOCK);
    let name = place.name();
    place.put("publicAccessBlock", THREE_BLOCKS);
    let first = place.audit();
    shown.right(&first, &name, "pass", &["OS-001", "OS-005", "OS-006"]);
    shown.red(&first, &name, "warn", &["OS-002", "OS-008"]);
    first.expect(&name, "fail", &["OS-004"]);
    first.expect_words(&name, "not set: BlockPublicAcls", &["OS-004"]);

    place.put(
        "lifecycle",
        &lifecycle("<NoncurrentVersionExpiration><NoncurrentDays>40</NoncurrentDays></NoncurrentVersionExpiration>"),
    );
    place.put(
        "object-lock",
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
         <Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>",
    );
    let second = place.audit();
    let right = ["OS-001", "OS-002", "OS-005", "OS-006", "OS-007", "OS-008"];
    shown.right(&second, &name, "pass", &right);
}

const NOTHING: u8 = 0;
const CONFIGURED: u8 = 1;
const REFUSED: u8 = 2;

/// What another server would say, and what one says that the asker may not ask.
fn answered_for(ceph: &Ceph, shown: &mut Shown) {
    let says = Arc::new(AtomicU8::new(NOTHING));
    let asked = Arc::clone(&says);
    let proxy = Proxy::before(ceph.address(), move |head| {
        let line = head.lines().next().unwrap_or_default();
        let is = |query: &str| line.starts_with("GET ") && line.contains(&format!("?{query}"));
        match asked.load(Ordering::SeqCst) {
            NOTHING if is("encryption") => Deed::Says(
                404,
                "<Error><Code>ServerSideEncryptionConfigurationNotFoundError</Code></Error>",
            ),
            CONFIGURED if is("encryption") => Deed::Says(
                200,
                "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
                 </ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
            ),
            CONFIGURED if is("publicAccessBlock") => Deed::Says(200, FOUR_BLOCKS),
            CONFIGURED if is("replication") => Deed::Says(
                200,
                "<ReplicationConfiguration><Role>r</Role><Rule><Status>Enabled</Status><Destination><Bucket>arn:aws:s3:::far</Bucket>\
                 </Destination></Rule></ReplicationConfiguration>",
            ),
            REFUSED if ASKED.iter().any(|(_, query, _)| is(query)) => {
                Deed::Says(403, "<Error><Code>AccessDenied</Code></Error>")
            }
            _ => Deed::Pass,
        }
    });
    let place = InABucket::new(ceph, &proxy.url(), "");
    let name = place.name();
    shown.red(&place.audit(), &name, "fail", &["OS-003"]);
    says.store(CONFIGURED, Ordering::SeqCst);
    shown.right(&place.audit(), &name, "pass", &["OS-003", "OS-004", "OS-009"]);
    says.store(REFUSED, Ordering::SeqCst);
    let refused = place.audit();
    for (rule, _, permission) in ASKED {
        refused.expect(&name, "unknown", &[rule]);
        let words = format!(
            "HTTP 403 AccessDenied; allow {permission} on arn:aws:s3:::{}",
            place.bucket
        );
        refused.expect_words(&name, &words, &[rule]);
    }
}

/// A bucket as it comes, and then reached by the same way with TLS around it.
fn over_tls(ceph: &Ceph, shown: &mut Shown) {
    let place = InABucket::new(ceph, ceph.endpoint(), "");
    shown.red(&place.audit(), &place.name(), "fail", &["OS-010"]);
    let (certificate, key) = (place.env.path(AUTHORITY), place.env.path("authority.key"));
    let mut openssl = Command::new("openssl");
    openssl
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=here".split(' '));
    openssl.args("-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE".split(' '));
    let made = openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate).output();
    let made = made.unwrap_or_else(|error| panic!("openssl: {error}: apt-get install openssl"));
    assert!(made.status.success(), "{made:?}");
    let mut front = Command::new("python3");
    front.args(["-c", include_str!("tls_front.py")]);
    front.arg(certificate).arg(key).arg(ceph.address());
    let mut front = front.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    let said = front.stdout.take().unwrap();
    BufReader::new(said).read_line(&mut port).unwrap();
    place.reach(&format!("https://127.0.0.1:{}", port.trim()), "");
    shown.right(&place.audit(), &place.name(), "pass", &["OS-010"]);
    drop(front.stdin.take());
    assert!(front.wait().unwrap().success());
}

/// A rule, what is asked for it, and what allows that.
const ASKED: [(&str, &str, &str); 9] = [
    ("OS-001", "versioning", "s3:GetBucketVersioning"),
    ("OS-002", "object-lock", "s3:GetBucketObjectLockConfiguration"),
    ("OS-003", "encryption", "s3:GetEncryptionConfiguration"),
    ("OS-004", "publicAccessBlock", "s3:GetBucketPublicAccessBlock"),
    ("OS-005", "policy", "s3:GetBucketPolicy"),
    ("OS-006", "acl", "s3:GetBucketAcl"),
    ("OS-007", "lifecycle", "s3:GetLifecycleConfiguration"),
    ("OS-008", "versioning", "s3:GetBucketVersioning"),
    ("OS-009", "replication", "s3:GetReplicationConfiguration"),
];
