//! Making a bundle: plain bytes and one auditor key in, the canonical tar out.
//!
//! What can be derived is derived here and again by the verifier, with the same functions. A bundle is verified before it
//! is returned, so that nobody learns years later that it never would.

use std::collections::{BTreeMap, BTreeSet};

use muster_signing::{
    Descriptor, Digest, KeyDocument, KeyId, MAX_ENVELOPE, OpenError, SecretKey, TrustError, canonical_json,
    inspect_limited, pae, payload, seal,
};

use crate::{
    checks::MAX_STATEMENT,
    logs::{BundledLog, write_leaves},
    statement::{Audit, PREDICATE_TYPE, STATEMENT_TYPE, Statement, Subject},
    tar::{self, Member, TarError},
    verification::verify_bundle,
};

pub(crate) const SUMS: &str = "SHA256SUMS";
pub(crate) const GUIDE: &str = "VERIFY.md";
pub(crate) const GUIDE_TEXT: &[u8] = include_bytes!("VERIFY.md.in");
pub(crate) const STATEMENT: &str = "statement.dsse.json";
pub(crate) const STATEMENT_PAE: &str = "statement.pae";
pub(crate) const STATEMENT_SIG: &str = "statement.sig";
pub(crate) const RESULTS: &str = "results.json";
pub(crate) const DESCRIPTOR: &str = "trust/descriptor.dsse.json";
pub(crate) const ROOT_PUB: &str = "trust/root.pub";
pub(crate) const AUDITOR_PUB: &str = "trust/auditor.pub";
pub(crate) const SIGNERS: &str = "trust/signers/";
pub(crate) const KEYS: &str = "trust/keys-";
pub(crate) const ENVELOPE: &str = ".dsse.json";
pub(crate) const CHECKPOINT: &str = ".checkpoint";
pub(crate) const LEAVES: &str = ".leaves";
pub(crate) const ENTRY: &str = ".entry";

/// A signed document about a store, as it lies in the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The store.
    pub store: String,
    /// The snapshot's or rehearsal's id.
    pub id: String,
    /// The envelope's bytes.
    pub envelope: Vec<u8>,
}

/// Everything that goes into a bundle, except what is derived from it.
#[derive(Clone, Debug, Default)]
pub struct Bundle {
    /// The repository's descriptor: the envelope.
    pub descriptor: Vec<u8>,
    /// The whole chain of key documents, epoch and envelope, from the first.
    pub key_documents: Vec<(u64, Vec<u8>)>,
    /// What the audit found.
    pub audit: Audit,
    /// `results.json`: an object with `summary` and `results`.
    pub results: Vec<u8>,
    /// What was judged, by name beneath `inputs/`.
    pub inputs: BTreeMap<String, Vec<u8>>,
    /// The policies that judged, by name beneath `policies/`.
    pub policies: BTreeMap<String, Vec<u8>>,
    /// The waivers that were applied, by name beneath `waivers/`.
    pub waivers: BTreeMap<String, Vec<u8>>,
    /// Scorecards of rehearsals.
    pub rehearsals: Vec<Signed>,
    /// Manifests of snapshots.
    pub manifests: Vec<Signed>,
    /// Heads of logs: key, incarnation and signed note.
    pub checkpoints: Vec<(KeyId, String, Vec<u8>)>,
    /// What stands behind these heads, by key and incarnation.
    pub logs: BTreeMap<(KeyId, String), BundledLog>,
}

/// Why no bundle was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Two members of one name.
    #[error("two members of the bundle would be named {name}")]
    Twice {
        /// The name.
        name: String,
    },
    /// Names or sizes that a bundle cannot have.
    #[error("the bundle cannot be written as a canonical tar")]
    Tar(#[from] TarError),
    /// Descriptor or key documents that do not verify.
    #[error("the repository's own trust does not verify")]
    Trust(#[from] TrustError),
    /// A scorecard, manifest or checkpoint that is not one.
    #[error("{name} is not a signed document")]
    Document {
        /// The member.
        name: String,
        /// Why.
        source: OpenError,
    },
    /// A key id that the newest key document does not list.
    #[error("{name} is signed by {key_id}, which the newest key document does not list")]
    Unlisted {
        /// The member.
        name: String,
        /// The key.
        key_id: KeyId,
    },
    /// The statement cannot be written.
    #[error("the statement has no JSON form")]
    Json(#[from] serde_json::Error),
    /// The bundle was made, and does not verify.
    #[error("the bundle would not verify: {check}: {detail}")]
    Invalid {
        /// The first check that failed.
        check: String,
        /// What it found.
        detail: String,
    },
}

impl Bundle {
    /// Makes the bundle, signed by the auditor key.
    ///
    /// # Errors
    ///
    /// When anything in it would not verify: nothing is returned then.
    pub fn seal(&self, auditor: &SecretKey) -> Result<Vec<u8>, BundleError> {
        let descriptor = Descriptor::open_self_signed(&self.descriptor)?;
        let root = descriptor.root_public_key;
        let keys = KeyDocument::verify_chain(&self.key_documents, &root, &descriptor.repository)?;

        let mut members = Members::default();
        members.add(GUIDE, GUIDE_TEXT)?;
        members.add(RESULTS, &self.results)?;
        members.add(ROOT_PUB, root.to_pem().as_bytes())?;
        members.add(AUDITOR_PUB, auditor.public().to_pem().as_bytes())?;
        members.add_with_openssl_files(DESCRIPTOR, &self.descriptor)?;
        for (epoch, envelope) in &self.key_documents {
            members.add_with_openssl_files(&format!("{KEYS}{epoch:08}{ENVELOPE}"), envelope)?;
        }
        for (folder, files) in [
            ("inputs", &self.inputs),
            ("policies", &self.policies),
            ("waivers", &self.waivers),
        ] {
            for (name, bytes) in files {
                members.add(&format!("{folder}/{name}"), bytes)?;
            }
        }
        let mut signers = BTreeSet::new();
        for (folder, documents) in [("rehearsals", &self.rehearsals), ("manifests", &self.manifests)] {
            for document in documents {
                let name = format!("{folder}/{}-{}{ENVELOPE}", document.store, document.id);
                let claimed =
                    inspect_limited(&document.envelope, MAX_ENVELOPE).map_err(|source| BundleError::Document {
                        name: name.clone(),
                        source,
                    })?;
                members.add(&name, &document.envelope)?;
                signers.insert((claimed.key_id, name));
            }
        }
        for (key_id, incarnation, bytes) in &self.checkpoints {
            let name = format!("ledger/{key_id}/{incarnation}{CHECKPOINT}");
            members.add(&name, bytes)?;
            signers.insert((key_id.clone(), name));
        }
        for ((key_id, incarnation), log) in &self.logs {
            let base = format!("ledger/{key_id}/{incarnation}");
            members.add(&format!("{base}{LEAVES}"), &write_leaves(&log.leaves))?;
            for (index, entry) in &log.entries {
                members.add(&format!("{base}/{index}{ENTRY}"), entry)?;
            }
        }
        for (key_id, name) in signers {
            let Some(entry) = keys.keys.iter().find(|entry| entry.key_id == key_id) else {
                return Err(BundleError::Unlisted { name, key_id });
            };
            members
                .0
                .insert(format!("{SIGNERS}{key_id}.pub"), entry.public_key.to_pem().into_bytes());
        }

        let statement = Statement {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject: members
                .0
                .iter()
                .map(|(name, bytes)| Subject::new(name, bytes))
                .collect(),
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: self.audit.clone(),
        };
        members.add_with_openssl_files(
            STATEMENT,
            &seal(payload::STATEMENT, &canonical_json(&statement)?, auditor),
        )?;
        let sums = sums(members.0.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
        members.add(SUMS, sums.as_bytes())?;

        let bundle = tar::encode(&members.as_tar())?;
        match verify_bundle(&bundle, Some(&root))
            .checks
            .into_iter()
            .find(|check| !check.passed)
        {
            Some(check) => Err(BundleError::Invalid {
                check: check.name,
                detail: check.detail,
            }),
            None => Ok(bundle),
        }
    }
}

#[derive(Default)]
struct Members(BTreeMap<String, Vec<u8>>);

impl Members {
    fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), BundleError> {
        match self.0.insert(name.to_owned(), bytes.to_vec()) {
            Some(_) => Err(BundleError::Twice { name: name.to_owned() }),
            None => Ok(()),
        }
    }

    fn add_with_openssl_files(&mut self, name: &str, envelope: &[u8]) -> Result<(), BundleError> {
        self.add(name, envelope)?;
        let files = openssl_files(name, envelope);
        for (name, bytes) in files.map_err(|source| BundleError::Document {
            name: name.to_owned(),
            source,
        })? {
            self.add(&name, &bytes)?;
        }
        Ok(())
    }

    fn as_tar(&self) -> Vec<Member<'_>> {
        self.0
            .iter()
            .map(|(name, bytes)| Member {
                name: name.clone(),
                bytes,
            })
            .collect()
    }
}

/// What OpenSSL needs to check an envelope: the bytes that were signed, and the signature, beside it.
pub(crate) fn openssl_files(name: &str, envelope: &[u8]) -> Result<[(String, Vec<u8>); 2], OpenError> {
    let claimed = inspect_limited(envelope, MAX_STATEMENT)?;
    let stem = name.strip_suffix(ENVELOPE).unwrap_or(name);
    Ok([
        (format!("{stem}.pae"), pae(&claimed.payload_type, &claimed.payload)),
        (format!("{stem}.sig"), claimed.signature.to_vec()),
    ])
}

/// The file that `sha256sum -c` reads, over all members but itself.
pub(crate) fn sums<'a>(members: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    members
        .filter(|(name, _)| *name != SUMS)
        .map(|(name, bytes)| format!("{}  {name}\n", Digest::of(bytes).hex()))
        .collect()
}

/// Whether the signature lies beside the statement instead of being covered by it.
pub(crate) fn is_beside_the_statement(name: &str) -> bool {
    matches!(name, SUMS | STATEMENT | STATEMENT_PAE | STATEMENT_SIG)
}
