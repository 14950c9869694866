//! A real S3 server for tests: Ceph's gateway on loopback.
//!
//! `ci/test` starts one for all tests and names it in `MUSTER_TEST_S3_ENDPOINT`. Without that variable each [`Ceph::server`] starts its
//! own, which takes some 15 s and ends with the value, or with the process, however that ends. A machine without Ceph fails the test.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the servers' only user is called.
pub const ACCESS_KEY_ID: &str = "MUSTERACCESS";
/// The user's secret.
pub const SECRET_ACCESS_KEY: &str = "mustersecretmustersecret";

const ENDPOINT: &str = "MUSTER_TEST_S3_ENDPOINT";
const UP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/ceph-up");
const DOWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/ceph-down");

/// A running server.
#[derive(Debug)]
pub struct Ceph {
    endpoint: String,
    /// Where a server of this test's own keeps its state.
    own: Option<tempfile::TempDir>,
}

impl Ceph {
    /// The shared server, or one of the caller's own.
    ///
    /// # Panics
    /// Where there is none and none can be started.
    pub fn server() -> Ceph {
        match std::env::var(ENDPOINT) {
            Ok(endpoint) => {
                let address = endpoint.trim_start_matches("http://").trim_end_matches('/');
                assert!(
                    TcpStream::connect(address).is_ok(),
                    "{ENDPOINT} names {endpoint}, and nothing answers there"
                );
                Ceph { endpoint, own: None }
            }
            Err(_) => Self::start(),
        }
    }

    fn start() -> Ceph {
        let directory = tempfile::Builder::new()
            .prefix("muster-ceph.")
            .tempdir()
            .expect("a scratch folder");
        let owner = std::process::id().to_string();
        let up = Command::new(UP)
            .arg(directory.path())
            .args(["--owner", &owner])
            .stdin(Stdio::null())
            .output();
        let up = up.expect("ci/ceph-up runs: apt-get install bash");
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        let endpoint = std::fs::read_to_string(directory.path().join("endpoint")).expect("the server's address");
        Ceph {
            endpoint: endpoint.trim().to_owned(),
            own: Some(directory),
        }
    }

    /// Its URL, plain HTTP.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its `host:port`.
    pub fn address(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }

    /// What a process that uses it finds in its environment.
    pub fn environment(&self) -> [(&'static str, &'static str); 3] {
        [
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]
    }

    /// A place that no other test and no earlier run uses: a bucket of its own, not yet made.
    pub fn fresh_url(&self) -> String {
        format!(
            "s3://muster-{:016x}/repository",
            RandomState::new().hash_one(std::process::id())
        )
    }

    /// How a store of the archive crate reaches it.
    #[cfg(feature = "faults")]
    pub fn options(&self) -> muster_archive::object_store::S3Options {
        options(&self.endpoint)
    }
}

/// How a store of the archive crate reaches a server at this URL with the user's right secret.
#[cfg(feature = "faults")]
pub fn options(endpoint: &str) -> muster_archive::object_store::S3Options {
    let credentials = muster_archive::object_store::Credentials {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET_ACCESS_KEY.to_owned(),
        session_token: None,
    };
    muster_archive::object_store::S3Options {
        endpoint: Some(endpoint.to_owned()),
        region: Some("us-east-1".to_owned()),
        credentials: Some(credentials),
        ..Default::default()
    }
}

impl Drop for Ceph {
    fn drop(&mut self) {
        if let Some(directory) = &self.own {
            down(directory.path());
        }
    }
}

fn down(directory: &Path) {
    let ended = Command::new(DOWN).arg(directory).stdin(Stdio::null()).status();
    // While a failed test unwinds, a second panic would hide the first.
    assert!(
        std::thread::panicking() || ended.is_ok_and(|status| status.success()),
        "Ceph did not end"
    );
}
