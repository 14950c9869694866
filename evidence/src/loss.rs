//! The loss report: what a restore could not bring back, signed, and verified offline with the public root key alone.
//!
//! Invariant: the file re-encodes to exactly its bytes, so that no byte of it is free; a report that nobody signed says so, and is never
//! valid (docs/format/evidence.md, "The loss report").

use muster_signing::{
    Descriptor, Digest, KeyDocument, PublicKey, Role, SecretKey, Verified, canonical_json, check_critical, payload,
    seal,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checks::signer;
use crate::logs::chain;
use crate::statement::Tool;
use crate::verification::{Report, Signer, Stop, Verification, VerifiedSubject};

/// Most bytes of a loss report.
pub const MAX_LOSS_REPORT: usize = 32 << 20;
/// Most bytes of the envelope in it.
const MAX_ENVELOPE: usize = 24 << 20;
/// Most losses that one names.
const MAX_NAMED: usize = 10_000;
const FILE_SCHEMA: &str = "muster.loss-report/1";
/// The schema of a [`LossReport`].
pub const LOSS_SCHEMA: &str = "muster.loss/1";

const NOT_SHOWN: [&str; 4] = [
    "that nothing else is lost: `muster verify --repository --read-data` reads every byte",
    "that the objects are still as they were when it was restored",
    "that whoever signed told the truth",
    "that no key was revoked after the newest key document in this report",
];

/// What a restore could not bring back: the payload of a loss report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossReport {
    /// [`LOSS_SCHEMA`].
    pub schema: String,
    /// The repository's id.
    pub repository: String,
    /// The store.
    pub store: String,
    /// Its kind.
    pub kind: String,
    /// The recovery point.
    pub snapshot: String,
    /// The digest of its manifest's envelope.
    pub manifest_digest: Digest,
    /// Where it is consistent, as the manifest signs it.
    pub consistency_point: Value,
    /// ULID of this report.
    pub id: String,
    /// When the restore ended, RFC 3339 UTC.
    pub finished: String,
    /// What restored.
    pub tool: Tool,
    /// Where to.
    pub to: String,
    /// What alone was to be restored; empty: everything.
    pub include: Vec<String>,
    /// Whether whoever restored named the root of the repository.
    pub signer_known: bool,
    /// What was brought back.
    pub restored: Restored,
    /// What was not, by path and offset.
    pub lost: Vec<LostRange>,
    /// How many more losses there were.
    pub lost_unnamed: u64,
    /// Bytes of all losses.
    pub lost_bytes: u64,
    /// Names that a reader must know.
    #[serde(default)]
    pub critical: Vec<String>,
}

/// What was brought back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// Regular files, whole or in part.
    pub files: u64,
    /// Logical bytes.
    pub bytes: u64,
}

/// A run of bytes that is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRange {
    /// The file.
    pub path: String,
    /// Where in the file.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
    /// The object that is to blame.
    pub object: String,
    /// What is wrong with it.
    pub reason: String,
    /// `damaged`, `missing` or `unreadable_now`.
    pub kind: String,
}

/// The file: the report, and the documents that say who may sign one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    descriptor: String,
    keys: Vec<String>,
    signed: bool,
    report: String,
}

/// Why no loss report was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LossError {
    /// A document of the repository's trust that is no text.
    #[error("the repository's own trust is not text")]
    NotText(#[from] std::str::Utf8Error),
    /// It cannot be written.
    #[error("the loss report has no JSON form")]
    Json(#[from] serde_json::Error),
}

impl LossReport {
    /// The file, signed by a writer key; without one it says that nobody signed. `descriptor` and `keys` are the repository's
    /// trust, byte for byte, the key documents from epoch 1 on.
    ///
    /// # Errors
    ///
    /// When the documents are no text.
    pub fn seal<B: AsRef<[u8]>>(
        &self,
        descriptor: &[u8],
        keys: &[B],
        writer: Option<&SecretKey>,
    ) -> Result<Vec<u8>, LossError> {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned);
        let report = canonical_json(self)?;
        let file = File {
            schema: FILE_SCHEMA.to_owned(),
            descriptor: text(descriptor)?,
            keys: keys.iter().map(|key| text(key.as_ref())).collect::<Result<_, _>>()?,
            signed: writer.is_some(),
            report: match writer {
                Some(writer) => text(&seal(payload::LOSS, &report, writer))?,
                None => text(&report)?,
            },
        };
        let mut bytes = canonical_json(&file)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// Whether these bytes claim to be a loss report, and not a bundle.
#[must_use]
pub fn is_loss_report(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'{')
}

/// Verifies a loss report against the root key of whoever verifies it. The report is there where it could be read, whatever came of
/// the checks: nothing of it counts unless the verification is valid.
#[must_use]
pub fn verify_loss_report(bytes: &[u8], root: Option<&PublicKey>) -> (Verification, Option<LossReport>) {
    let mut report = Report {
        not_shown: NOT_SHOWN.map(str::to_owned).to_vec(),
        ..Report::default()
    };
    let mut found = None;
    // A check that cannot go on has recorded why; what was found before it still counts.
    let unsigned = check(bytes, root, &mut report, &mut found).unwrap_or(false);
    let verification = match unsigned {
        true => report.finish_unsigned(root.is_some()),
        false => report.finish(root.is_some()),
    };
    (verification, found)
}

/// Makes the checks; whether all passed, but that nobody signed.
fn check(
    bytes: &[u8],
    root: Option<&PublicKey>,
    report: &mut Report,
    found: &mut Option<LossReport>,
) -> Result<bool, Stop> {
    let file = report.check("form", form(bytes))?;
    let descriptor = match root {
        Some(root) => Descriptor::open(file.descriptor.as_bytes(), root),
        None => Descriptor::open_self_signed(file.descriptor.as_bytes()),
    };
    let descriptor = descriptor.map_err(|e| chain(&e)).map(|descriptor| {
        let whose = if root.is_some() { "the given" } else { "its own" };
        let detail = format!(
            "repository {}, signed by {whose} root {}",
            descriptor.repository, descriptor.signer
        );
        (descriptor, detail)
    });
    let descriptor = report.check("descriptor", descriptor)?;
    report.signed_by.push(Signer {
        role: Role::Root,
        key_id: descriptor.root_public_key.id(),
        name: "root".to_owned(),
    });
    let keys: Vec<(u64, &[u8])> = (1..).zip(file.keys.iter().map(String::as_bytes)).collect();
    let keys = KeyDocument::verify_chain(&keys, &descriptor.root_public_key, &descriptor.repository);
    let count = file.keys.len();
    let keys = keys.map_err(|e| chain(&e)).map(|newest| {
        let detail = format!("{count} key documents, each signed by the root and following the one before");
        (newest, detail)
    });
    let keys = report.check("keys", keys)?;
    let losses = match file.signed {
        true => {
            let opened = report.check("report", opened(&file.report, &keys, &descriptor.repository))?;
            report.signed_by.extend(signer(&keys, &opened.signer));
            opened.value
        }
        false => {
            let parsed = parsed(&file.report, &descriptor.repository);
            // What it is comes before who vouches for it.
            let losses = parsed.map_err(|problem| report.fail("report", problem))?;
            report.fail("report", "unsigned: nobody vouches for it".to_owned());
            losses
        }
    };
    report.subject.push(VerifiedSubject {
        name: format!("manifest of {}@{}", losses.store, losses.snapshot),
        digest: losses.manifest_digest,
    });
    let adds_up = adds_up(&losses);
    *found = Some(losses);
    report.check("losses", adds_up)?;
    Ok(!file.signed)
}

fn form(bytes: &[u8]) -> Result<(File, String), String> {
    if bytes.len() > MAX_LOSS_REPORT {
        return Err(format!("larger than {MAX_LOSS_REPORT} bytes"));
    }
    let file: File = serde_json::from_slice(bytes).map_err(|e| format!("not a loss report: {e}"))?;
    if file.schema != FILE_SCHEMA {
        return Err(format!("its schema is not {FILE_SCHEMA}"));
    }
    let mut again = canonical_json(&file).map_err(|e| e.to_string())?;
    again.push(b'\n');
    if again != bytes {
        return Err("altered: it does not re-encode to exactly its bytes".to_owned());
    }
    let detail = format!("canonical, {} bytes", bytes.len());
    Ok((file, detail))
}

fn opened(text: &str, keys: &KeyDocument, repository: &str) -> Result<(Verified<LossReport>, String), String> {
    let opened: Verified<LossReport> = keys
        .open_as_knowing(text.as_bytes(), payload::LOSS, &[], MAX_ENVELOPE)
        .map_err(|e| chain(&e))?;
    speaks_of(&opened, repository)?;
    let detail = format!(
        "signed by the writer key {}, of {}@{}, restored by {}",
        opened.signer, opened.store, opened.snapshot, opened.finished
    );
    Ok((opened, detail))
}

fn parsed(text: &str, repository: &str) -> Result<LossReport, String> {
    let report: LossReport = serde_json::from_str(text).map_err(|e| format!("malformed: {e}"))?;
    check_critical(&report.critical, &[]).map_err(|e| e.to_string())?;
    speaks_of(&report, repository)?;
    Ok(report)
}

fn speaks_of(report: &LossReport, repository: &str) -> Result<(), String> {
    if report.schema != LOSS_SCHEMA {
        return Err(format!("its schema is not {LOSS_SCHEMA}"));
    }
    if report.repository != repository {
        return Err(format!(
            "it speaks of repository {}, not of {repository}",
            report.repository
        ));
    }
    Ok(())
}

fn adds_up(report: &LossReport) -> Result<((), String), String> {
    let lost = &report.lost;
    if lost.is_empty() || lost.len() > MAX_NAMED {
        return Err(format!("it names {} losses", lost.len()));
    }
    if !lost.is_sorted_by(|a, b| (&a.path, a.offset) <= (&b.path, b.offset)) {
        return Err("its losses are not sorted".to_owned());
    }
    let kinds = ["damaged", "missing", "unreadable_now"];
    if let Some(odd) = lost
        .iter()
        .find(|lost| lost.object.is_empty() || !kinds.contains(&lost.kind.as_str()))
    {
        return Err(format!(
            "{:?} at {}: no object, or no reason that is known",
            odd.path, odd.offset
        ));
    }
    let named = lost.iter().fold(0u64, |sum, lost| sum.saturating_add(lost.length));
    // Ranges that overlap are one range in the list, and were counted as often as they were met.
    if named > report.lost_bytes {
        return Err(format!(
            "its ranges are {named} bytes, of {} that are lost",
            report.lost_bytes
        ));
    }
    let detail = format!(
        "{} ranges, {} bytes",
        lost.len() as u64 + report.lost_unnamed,
        report.lost_bytes
    );
    Ok(((), detail))
}

#[cfg(test)]
mod tests {
    use muster_signing::KeyEntry;
    use serde_json::json;

    use super::*;
    use crate::Failure;

    struct Trust {
        root: SecretKey,
        writer: SecretKey,
        auditor: SecretKey,
        descriptor: Vec<u8>,
        keys: Vec<u8>,
    }

    fn trust() -> Trust {
        let [root, writer, auditor] = [1, 2, 3].map(|seed| SecretKey::generate([seed; 32]));
        let descriptor = Descriptor::new("ab12", "2026-01-01T00:00:00Z", root.public());
        let entries = [(Role::Writer, &writer), (Role::Auditor, &auditor)];
        let entries = entries.map(|(role, key)| KeyEntry::new(role, key.public(), "host", "2026-01-01T00:00:00Z"));
        let keys = KeyDocument::first("ab12", "2026-01-01T00:00:00Z", entries.to_vec());
        Trust {
            descriptor: descriptor.seal(&root).unwrap(),
            keys: keys.seal(&root).unwrap(),
            root,
            writer,
            auditor,
        }
    }

    fn losses() -> LossReport {
        let lost = |path: &str, offset| LostRange {
            path: path.to_owned(),
            offset,
            length: 65_536,
            object: "packs/ab/abcd".to_owned(),
            reason: "its bytes are not those of their hash".to_owned(),
            kind: "damaged".to_owned(),
        };
        LossReport {
            schema: LOSS_SCHEMA.to_owned(),
            repository: "ab12".to_owned(),
            store: "accounts".to_owned(),
            kind: "files".to_owned(),
            snapshot: "01J".to_owned(),
            manifest_digest: Digest::of(b"manifest"),
            consistency_point: json!({ "time": "2026-01-02T00:00:00Z" }),
            id: "01K".to_owned(),
            finished: "2026-01-02T00:00:00Z".to_owned(),
            tool: Tool::default(),
            to: "/srv/back".to_owned(),
            include: Vec::new(),
            signer_known: true,
            restored: Restored { files: 3, bytes: 9 },
            lost: vec![lost("a", 0), lost("a", 131_072), lost("b", 0)],
            lost_unnamed: 0,
            lost_bytes: 3 * 65_536,
            critical: Vec::new(),
        }
    }

    fn verify(bytes: &[u8], root: Option<&SecretKey>) -> Verification {
        verify_loss_report(bytes, root.map(SecretKey::public).as_ref()).0
    }

    fn first_failed(found: &Verification) -> &str {
        let failed = found.checks.iter().find(|check| !check.passed);
        failed.map_or("none", |check| check.name.as_str())
    }

    #[test]
    fn a_report_verifies_with_the_root_key_alone_and_says_what_was_lost() {
        let trust = trust();
        let bytes = losses()
            .seal(&trust.descriptor, &[&trust.keys], Some(&trust.writer))
            .unwrap();
        assert!(is_loss_report(&bytes));
        let root = trust.root.public();
        let (found, report) = verify_loss_report(&bytes, Some(&root));
        assert!(found.valid, "{found:?}");
        assert_eq!(report, Some(losses()));
        assert!(found.signed_by.iter().any(|signer| signer.role == Role::Writer));
        assert_eq!(verify(&bytes, None).failure, Some(Failure::SignerUnknown));
        assert_eq!(verify(&bytes, Some(&trust.writer)).failure, Some(Failure::Wrong));
    }

    #[test]
    fn any_other_byte_is_refused() {
        let trust = trust();
        for writer in [Some(&trust.writer), None] {
            let bytes = losses().seal(&trust.descriptor, &[&trust.keys], writer).unwrap();
            for at in 0..bytes.len() {
                for flip in [0x01, 0x20] {
                    let mut changed = bytes.clone();
                    changed[at] ^= flip;
                    let found = verify(&changed, Some(&trust.root));
                    assert!(!found.valid, "byte {at}");
                    assert!(writer.is_none() || found.failure == Some(Failure::Wrong), "byte {at}");
                }
            }
            for changed in [
                &bytes[..bytes.len() - 1],
                &[bytes.as_slice(), b"\n"].concat(),
                b"{}",
                b"",
            ] {
                assert_eq!(first_failed(&verify(changed, Some(&trust.root))), "form");
            }
        }
    }

    #[test]
    fn one_that_nobody_signed_says_so_and_is_never_valid() {
        let trust = trust();
        let bytes = losses().seal(&trust.descriptor, &[&trust.keys], None).unwrap();
        let (found, report) = verify_loss_report(&bytes, Some(&trust.root.public()));
        assert_eq!(found.failure, Some(Failure::SignerUnknown));
        assert!(!found.valid && report == Some(losses()));
        let check = found.checks.iter().find(|check| !check.passed).unwrap();
        assert!(check.name == "report" && check.detail.contains("unsigned"), "{check:?}");
        assert!(found.signed_by.iter().all(|signer| signer.role == Role::Root));
        // Unsigned and wrong is wrong.
        let other = LossReport {
            repository: "other".to_owned(),
            ..losses()
        };
        let bytes = other.seal(&trust.descriptor, &[&trust.keys], None).unwrap();
        assert_eq!(verify(&bytes, Some(&trust.root)).failure, Some(Failure::Wrong));
    }

    #[test]
    fn only_a_writer_signs_one_and_only_of_its_own_repository() {
        let trust = trust();
        let sealed = |report: &LossReport, key| report.seal(&trust.descriptor, &[&trust.keys], Some(key)).unwrap();
        let stranger = SecretKey::generate([9; 32]);
        for key in [&trust.auditor, &trust.root, &stranger] {
            let found = verify(&sealed(&losses(), key), Some(&trust.root));
            assert_eq!((first_failed(&found), found.failure), ("report", Some(Failure::Wrong)));
        }
        let spoil: [fn(&mut LossReport); 4] = [
            |report| report.repository = "other".to_owned(),
            |report| report.schema = "muster.loss/2".to_owned(),
            |report| report.critical = vec!["news".to_owned()],
            |report| report.lost.clear(),
        ];
        for spoil in spoil {
            let mut report = losses();
            spoil(&mut report);
            assert_eq!(
                verify(&sealed(&report, &trust.writer), Some(&trust.root)).failure,
                Some(Failure::Wrong)
            );
        }
    }

    #[test]
    fn losses_that_do_not_add_up_are_wrong() {
        let trust = trust();
        let spoil: [fn(&mut LossReport); 4] = [
            |report| report.lost.reverse(),
            |report| report.lost_bytes -= 1,
            |report| report.lost[0].kind = "strange".to_owned(),
            |report| report.lost[0].object.clear(),
        ];
        for spoil in spoil {
            let mut report = losses();
            spoil(&mut report);
            let bytes = report
                .seal(&trust.descriptor, &[&trust.keys], Some(&trust.writer))
                .unwrap();
            assert_eq!(first_failed(&verify(&bytes, Some(&trust.root))), "losses");
        }
    }
}
