//! The checks themselves, from the container inwards.
//!
//! Container, digests, root, key documents and statement come first and each stands on the one before: when one fails,
//! nothing after it is looked at. What they cover is then judged piece by piece, so that a report names all that is wrong.

use std::collections::{BTreeMap, BTreeSet};

use muster_signing::{
    Checkpoint, Descriptor, Digest, KeyDocument, KeyId, PublicKey, Role, Verified, check_critical, payload,
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    bundle::{
        AUDITOR_PUB, CHECKPOINT, DESCRIPTOR, ENTRY, ENVELOPE, GUIDE, KEYS, LEAVES, RESULTS, ROOT_PUB, SIGNERS,
        STATEMENT, STATEMENT_PAE, STATEMENT_SIG, SUMS, is_beside_the_statement, openssl_files, sums,
    },
    logs::{self, Held, Logged, Place, chain},
    results,
    statement::{Audit, PREDICATE_TYPE, STATEMENT_TYPE, Statement, Subject},
    tar,
    verification::{Opened, Report, Signer, Stop, VerifiedSubject},
};

/// The largest statement that is read: it names every member.
pub(crate) const MAX_STATEMENT: usize = 8 * 1024 * 1024;

const NOT_SHOWN: [&str; 5] = [
    "that nothing was removed before this bundle was made: compare it with an earlier bundle or a log head that you kept",
    "that the archives are still whole and readable: `muster verify --repository --read-data` reads them",
    "that the stores told the truth when they were read, and that no store was left out of the configuration",
    "that the times are right: they are the clocks of the hosts that signed",
    "that no key was revoked after the newest key document in this bundle",
];

type Members<'a> = BTreeMap<String, &'a [u8]>;
type Outcome<T> = Result<(T, String), String>;

/// What somebody kept and holds a bundle against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept<'a> {
    /// A file of log heads, as `muster ledger show --checkpoint` writes it.
    pub pins: Option<&'a [u8]>,
    /// An earlier bundle of the same repository.
    pub previous: Option<&'a [u8]>,
}

pub(crate) fn run(
    bytes: &[u8],
    root: Option<&PublicKey>,
    kept: Kept<'_>,
    report: &mut Report,
) -> Result<BTreeMap<Place, Checkpoint>, Stop> {
    report.not_shown = NOT_SHOWN.map(str::to_owned).to_vec();
    let members = report.check("tar", container(bytes))?;
    report.check("members", all_have_a_place(&members))?;
    report.check("sha256sums", sums_are_exact(&members))?;
    let descriptor = report.check("descriptor", descriptor(&members, root))?;
    let root = descriptor.root_public_key;
    report.signed_by.push(Signer {
        role: Role::Root,
        key_id: root.id(),
        name: "root".to_owned(),
    });
    let keys = report.check("keys", key_documents(&members, &root, &descriptor.repository))?;
    let (statement, auditor) = report.check("statement", statement(&members, &keys, &descriptor.repository))?;
    report.signed_by.extend(signer(&keys, &auditor));
    report.subject = report.check("subject", subject(&members, &statement))?;
    for caveat in &statement.predicate.not_shown {
        if !report.not_shown.contains(caveat) {
            report.not_shown.push(caveat.clone());
        }
    }

    // Each of these stands alone: all that fail are named.
    let about = Context {
        members: &members,
        keys: &keys,
        repository: &descriptor.repository,
        root: &root,
    };
    let manifests = report.check("manifests", about.documents("manifests", payload::MANIFEST));
    let rehearsals = report.check("rehearsals", about.documents("rehearsals", payload::SCORECARD));
    let heads = report.check("checkpoints", about.checkpoints());
    let (Ok(manifests), Ok(rehearsals), Ok(heads)) = (manifests, rehearsals, heads) else {
        return Err(Stop);
    };
    let owners: Vec<KeyId> = heads.iter().map(|((owner, _), _)| owner.clone()).collect();
    let signers: BTreeSet<KeyId> = manifests
        .values()
        .chain(rehearsals.values())
        .map(|signed| signed.signer.clone())
        .chain(owners)
        .collect();
    report
        .signed_by
        .extend(signers.iter().flat_map(|key_id| signer(&keys, key_id)));
    let judged = results::check(member(&members, RESULTS).unwrap_or_default(), &statement.predicate);
    let outcomes = [
        Some(("openssl-files", about.openssl_files(&root, &auditor, &signers))),
        Some(("results", judged.results)),
        judged.frameworks.map(|outcome| ("frameworks", outcome)),
        Some(("stores", stores(&statement.predicate, &manifests, &rehearsals))),
    ];
    let outcomes = outcomes.map(|check| check.is_none_or(|(name, outcome)| report.check(name, outcome).is_ok()));
    let beside = |(name, _): &(&str, &[u8])| !name.ends_with(CHECKPOINT);
    let held = report.check("logs", logs::held(heads, about.beneath("ledger").filter(beside)))?;
    about.logged(&held, [&manifests, &rehearsals], report)?;
    about.against(&held, kept, report)?;
    if outcomes.contains(&false) {
        return Err(Stop);
    }
    report.opened = Some(Opened {
        audit: statement.predicate,
        results: judged.document,
    });
    Ok(held.into_iter().map(|(place, held)| (place, held.checkpoint)).collect())
}

fn container(bytes: &[u8]) -> Outcome<Members<'_>> {
    let members = tar::parse(bytes).map_err(|e| format!("not a canonical tar: {e}"))?;
    let found = format!("canonical, {} members", members.len());
    Ok((
        members.into_iter().map(|member| (member.name, member.bytes)).collect(),
        found,
    ))
}

fn all_have_a_place(members: &Members<'_>) -> Outcome<()> {
    let fixed = [GUIDE, SUMS, STATEMENT, STATEMENT_PAE, STATEMENT_SIG, RESULTS];
    for name in members.keys() {
        let (folder, rest) = name.split_once('/').unwrap_or(("", name));
        let placed = match folder {
            "" => fixed.contains(&rest),
            "rehearsals" | "manifests" => !rest.contains('/') && rest.ends_with(ENVELOPE),
            "ledger" => [CHECKPOINT, LEAVES, ENTRY].iter().any(|end| rest.ends_with(end)),
            // Which files there may be beneath trust/ is the check openssl-files.
            "inputs" | "policies" | "waivers" | "trust" => true,
            _ => false,
        };
        if !placed {
            return Err(format!("{name} has no place in a bundle"));
        }
    }
    match fixed
        .into_iter()
        .chain([DESCRIPTOR])
        .find(|name| !members.contains_key(*name))
    {
        Some(missing) => Err(format!("{missing} is missing")),
        None => Ok(((), "all that must be there, and nothing else".to_owned())),
    }
}

fn sums_are_exact(members: &Members<'_>) -> Outcome<()> {
    let expected = sums(members.iter().map(|(name, bytes)| (name.as_str(), *bytes)));
    let listed = member(members, SUMS)?;
    if listed == expected.as_bytes() {
        return Ok((
            (),
            format!("each of {} files as listed, none left out", members.len() - 1),
        ));
    }
    let listed = String::from_utf8_lossy(listed);
    let listed: BTreeSet<&str> = listed.lines().collect();
    let other = expected
        .lines()
        .filter(|line| !listed.contains(line))
        .filter_map(|line| line.get(66..));
    let other: Vec<&str> = other.take(5).collect();
    Err(match other.as_slice() {
        [] => format!("{SUMS} is not the sorted list of exactly the other members"),
        names => format!("not as {SUMS} lists it: {}", names.join(", ")),
    })
}

fn descriptor(members: &Members<'_>, root: Option<&PublicKey>) -> Outcome<Verified<Descriptor>> {
    let bytes = member(members, DESCRIPTOR)?;
    let descriptor = match root {
        Some(root) => Descriptor::open(bytes, root),
        None => Descriptor::open_self_signed(bytes),
    }
    .map_err(|e| chain(&e))?;
    let found = match root {
        Some(root) => format!(
            "repository {}, signed by the given root {}",
            descriptor.repository,
            root.id()
        ),
        None => format!(
            "repository {}, signed by its own root {}",
            descriptor.repository, descriptor.signer
        ),
    };
    Ok((descriptor, found))
}

fn key_documents(members: &Members<'_>, root: &PublicKey, repository: &str) -> Outcome<Verified<KeyDocument>> {
    let mut documents = Vec::new();
    for (name, bytes) in members
        .range(KEYS.to_owned()..)
        .take_while(|(name, _)| name.starts_with(KEYS))
    {
        let Some(epoch) = name[KEYS.len()..].strip_suffix(ENVELOPE) else {
            continue;
        };
        let epoch = Some(epoch)
            .filter(|digits| digits.len() == 8)
            .and_then(|digits| digits.parse().ok());
        documents.push((
            epoch.ok_or_else(|| format!("{name}: not an epoch of eight digits"))?,
            bytes,
        ));
    }
    let newest = KeyDocument::verify_chain(&documents, root, repository).map_err(|e| chain(&e))?;
    let found = format!(
        "{} key documents, each signed by the root and following the one before",
        documents.len()
    );
    Ok((newest, found))
}

fn statement(members: &Members<'_>, keys: &KeyDocument, repository: &str) -> Outcome<(Statement, KeyId)> {
    let bytes = member(members, STATEMENT)?;
    let opened = keys
        .open_bytes(bytes, payload::STATEMENT, MAX_STATEMENT)
        .map_err(|e| chain(&e))?;
    let statement: Value = serde_json::from_slice(&opened.payload).map_err(|e| format!("not JSON: {e}"))?;
    if statement["_type"] != STATEMENT_TYPE || statement["predicateType"] != PREDICATE_TYPE {
        return Err(format!(
            "not an in-toto statement with a predicate of type {PREDICATE_TYPE}"
        ));
    }
    if let Some(critical) = statement["predicate"].get("critical") {
        let critical: Vec<String> = Vec::deserialize(critical).map_err(|e| format!("critical: {e}"))?;
        check_critical(&critical, &[]).map_err(|e| e.to_string())?;
    }
    let statement: Statement = serde_json::from_slice(&opened.payload).map_err(|e| format!("malformed: {e}"))?;
    if statement.predicate.repository != repository {
        return Err(format!(
            "it speaks of repository {}, not of {repository}",
            statement.predicate.repository
        ));
    }
    let found = format!(
        "signed by the auditor key {}, evaluated at {}",
        opened.signer, statement.predicate.evaluated_at
    );
    Ok(((statement, opened.signer), found))
}

fn subject(members: &Members<'_>, statement: &Statement) -> Outcome<Vec<VerifiedSubject>> {
    let covered = || members.iter().filter(|(name, _)| !is_beside_the_statement(name));
    let expected: Vec<Subject> = covered().map(|(name, bytes)| Subject::new(name, bytes)).collect();
    if statement.subject != expected {
        let other = expected
            .iter()
            .find(|subject| !statement.subject.contains(subject))
            .map(|subject| &subject.name);
        let other = other.or_else(|| {
            statement
                .subject
                .iter()
                .map(|s| &s.name)
                .find(|name| !members.contains_key(*name))
        });
        return Err(match other {
            Some(name) => format!("{name} is not what the statement covers"),
            None => "the statement's list is not the sorted list of exactly the other members".to_owned(),
        });
    }
    let digests = covered().map(|(name, bytes)| VerifiedSubject {
        name: name.clone(),
        digest: Digest::of(bytes),
    });
    Ok((
        digests.collect(),
        format!("the statement covers all {} other files", expected.len()),
    ))
}

/// The heads in an earlier bundle, which must be valid under the same root and of the same repository.
fn earlier_heads(bytes: &[u8], root: &PublicKey, repository: &str) -> Result<Vec<(Place, Checkpoint)>, String> {
    let mut report = Report::default();
    let heads = run(bytes, Some(root), Kept::default(), &mut report);
    let heads = heads.map_err(|Stop| {
        let failed = report.checks.iter().find(|check| !check.passed);
        let why = failed.map_or_else(String::new, |check| format!(": {}: {}", check.name, check.detail));
        format!("the earlier bundle is not valid{why}")
    })?;
    let of_here = |(_, head): &(Place, Checkpoint)| head.origin.starts_with(&format!("muster/{repository}/"));
    let heads: Vec<_> = heads.into_iter().collect();
    if heads.is_empty() || !heads.iter().all(of_here) {
        return Err("the earlier bundle has no log heads of this repository".to_owned());
    }
    Ok(heads)
}

struct Context<'a> {
    members: &'a Members<'a>,
    keys: &'a KeyDocument,
    repository: &'a str,
    /// The root that signed.
    root: &'a PublicKey,
}

impl<'a> Context<'a> {
    fn beneath(&self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let inside = move |name: &str| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        self.members
            .iter()
            .filter(move |(name, _)| inside(name))
            .map(|(name, bytes)| (name.as_str(), *bytes))
    }

    /// Opens all documents of a folder with the keys of the role that signs such documents.
    fn documents(&self, folder: &'a str, payload_type: &str) -> Outcome<BTreeMap<&'a str, Verified<Value>>> {
        let mut documents = BTreeMap::new();
        let mut wrong = Vec::new();
        for (name, bytes) in self.beneath(folder) {
            match self.document(name, bytes, payload_type) {
                Ok(document) => _ = documents.insert(name, document),
                Err(problem) => wrong.push(format!("{name}: {problem}")),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong.join("; "));
        }
        let role = payload::role_of(payload_type).map_or("no", Role::as_str);
        let found = format!("{} documents, each signed by a {role} key", documents.len());
        Ok((documents, found))
    }

    fn document(&self, name: &str, bytes: &[u8], payload_type: &str) -> Result<Verified<Value>, String> {
        let document: Verified<Value> = self.keys.open_as(bytes, payload_type).map_err(|e| chain(&e))?;
        let text = |field: &str| document[field].as_str().ok_or_else(|| format!("it has no {field}"));
        let (store, snapshot) = (text("store")?, text("snapshot")?);
        if document
            .get("repository")
            .is_some_and(|repository| repository != self.repository)
        {
            return Err("it belongs to another repository".to_owned());
        }
        let id = if payload_type == payload::MANIFEST {
            Some(snapshot)
        } else {
            document["rehearsal"].as_str()
        };
        let (folder, rest) = name.split_once('/').unwrap_or_default();
        let named = match id {
            Some(id) => rest == format!("{store}-{id}{ENVELOPE}"),
            None => rest.starts_with(&format!("{store}-")),
        };
        if named {
            Ok(document)
        } else {
            Err(format!("its name beneath {folder}/ is not that of {store} and its id"))
        }
    }

    fn checkpoints(&self) -> Outcome<Vec<(Place, Checkpoint)>> {
        let mut heads = Vec::new();
        for (name, bytes) in self.beneath("ledger").filter(|(name, _)| name.ends_with(CHECKPOINT)) {
            let place = name
                .strip_prefix("ledger/")
                .and_then(|rest| rest.strip_suffix(CHECKPOINT));
            let (key_id, incarnation) = place.and_then(|rest| rest.split_once('/')).ok_or(name)?;
            let key_id = KeyId::parse(key_id).map_err(|e| format!("{name}: {e}"))?;
            let origin = format!("muster/{}/{incarnation}", self.repository);
            let opened = self.keys.open_checkpoint(bytes, &origin, &key_id);
            let checkpoint = opened.map_err(|e| format!("{name}: {e}"))?;
            heads.push(((key_id, incarnation.to_owned()), checkpoint.value));
        }
        let found = format!("{} log heads, each signed by the key whose log it is", heads.len());
        Ok((heads, found))
    }

    /// Manifests and scorecards stand in the logs, where the bundle carries entries at all.
    fn logged(
        &self,
        held: &BTreeMap<Place, Held>,
        [manifests, rehearsals]: [&Documents<'_>; 2],
        report: &mut Report,
    ) -> Result<(), Stop> {
        let carried = held.values().filter_map(|held| held.log.as_ref());
        if carried.clone().all(|log| log.entries.is_empty()) {
            if !manifests.is_empty() || !rehearsals.is_empty() {
                let caveat =
                    "that its manifests and scorecards stand in the logs: this bundle carries no entries of them";
                report.not_shown.push(caveat.to_owned());
            }
            return Ok(());
        }
        let documents = [
            Logged {
                role: Role::Writer,
                kind: "snapshot",
                field: "manifest",
                documents: manifests,
            },
            Logged {
                role: Role::Rehearser,
                kind: "rehearsal",
                field: "scorecard",
                documents: rehearsals,
            },
        ];
        report.check("inclusion", logs::inclusion(held, self.keys, documents))
    }

    /// Holds the logs against what was kept.
    fn against(&self, held: &BTreeMap<Place, Held>, kept: Kept<'_>, report: &mut Report) -> Result<(), Stop> {
        if let Some(pins) = kept.pins {
            let pinned = logs::pinned(pins, self.keys, self.repository);
            report.check("pin", pinned.and_then(|pinned| logs::against(held, &pinned)))?;
        }
        if let Some(previous) = kept.previous {
            let earlier = earlier_heads(previous, self.root, self.repository);
            report.check("previous", earlier.and_then(|earlier| logs::against(held, &earlier)))?;
        }
        if kept.pins.is_some() || kept.previous.is_some() {
            report.kept = true;
            report.not_shown.retain(|caveat| caveat != NOT_SHOWN[0]);
            let caveat = "that nothing was removed before the log heads that it was held against were signed";
            report.not_shown.insert(0, caveat.to_owned());
        }
        Ok(())
    }

    /// What stands beneath `trust/` for OpenSSL says the same as the envelopes, and nothing else stands there.
    fn openssl_files(&self, root: &PublicKey, auditor: &KeyId, signers: &BTreeSet<KeyId>) -> Outcome<()> {
        let pem = |key_id: &KeyId| {
            let entry = self.keys.keys.iter().find(|entry| entry.key_id == *key_id);
            entry
                .map(|entry| entry.public_key.to_pem().into_bytes())
                .unwrap_or_default()
        };
        let mut expected = BTreeMap::from([
            (ROOT_PUB.to_owned(), root.to_pem().into_bytes()),
            (AUDITOR_PUB.to_owned(), pem(auditor)),
        ]);
        expected.extend(
            signers
                .iter()
                .map(|key_id| (format!("{SIGNERS}{key_id}.pub"), pem(key_id))),
        );
        let envelopes = self.beneath("trust").filter(|(name, _)| name.ends_with(ENVELOPE));
        for (name, bytes) in envelopes.chain([(STATEMENT, member(self.members, STATEMENT)?)]) {
            expected.insert(name.to_owned(), bytes.to_vec());
            expected.extend(openssl_files(name, bytes).map_err(|e| format!("{name}: {e}"))?);
        }
        for (name, bytes) in &expected {
            if member(self.members, name)? != bytes {
                return Err(format!("{name} does not say the same as the envelopes"));
            }
        }
        match self.beneath("trust").find(|(name, _)| !expected.contains_key(*name)) {
            Some((extra, _)) => Err(format!("{extra} has no place in a bundle")),
            None => Ok((
                (),
                format!("{} files for openssl say the same as the envelopes", expected.len()),
            )),
        }
    }
}

type Documents<'a> = BTreeMap<&'a str, Verified<Value>>;

/// What the statement says of each store is what the manifests and scorecards say.
fn stores(audit: &Audit, manifests: &Documents<'_>, rehearsals: &Documents<'_>) -> Outcome<()> {
    for store in &audit.stores {
        let name = &store.store;
        if let Some(newest) = &store.newest {
            let place = format!("manifests/{name}-{}{ENVELOPE}", newest.snapshot);
            let manifest = manifests
                .get(place.as_str())
                .ok_or_else(|| format!("{place} is missing"))?;
            if manifest.digest != newest.manifest_digest {
                return Err(format!("{place} is not the manifest that the statement names"));
            }
        }
        let Some(rehearsed) = &store.rehearsal else { continue };
        let place = format!("rehearsals/{name}-{}{ENVELOPE}", rehearsed.rehearsal);
        let scorecard = rehearsals
            .get(place.as_str())
            .ok_or_else(|| format!("{place} is missing"))?;
        if scorecard.digest != rehearsed.scorecard_digest {
            return Err(format!("{place} is not the scorecard that the statement names"));
        }
        if scorecard["verdict"] != rehearsed.verdict || scorecard["snapshot"] != rehearsed.snapshot {
            return Err(format!("{place} has another verdict or snapshot than the statement"));
        }
        let place = format!("manifests/{name}-{}{ENVELOPE}", rehearsed.snapshot);
        let restored = manifests.get(place.as_str()).zip(scorecard.get("manifest_digest"));
        if restored.is_some_and(|(manifest, named)| *named != manifest.digest.to_string()) {
            return Err(format!("{place} is not the manifest that was rehearsed"));
        }
    }
    Ok((
        (),
        format!("{} stores as their manifests and scorecards say", audit.stores.len()),
    ))
}

pub(crate) fn signer(keys: &KeyDocument, key_id: &KeyId) -> Option<Signer> {
    let entry = keys.keys.iter().find(|entry| entry.key_id == *key_id)?;
    Some(Signer {
        role: entry.role,
        key_id: key_id.clone(),
        name: entry.name.clone(),
    })
}

fn member<'a>(members: &Members<'a>, name: &str) -> Result<&'a [u8], String> {
    members.get(name).copied().ok_or_else(|| format!("{name} is missing"))
}
