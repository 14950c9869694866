//! Waivers: who answers for a rule that does not hold, why, and until when.
//!
//! A file of them is reviewed like code. They are applied after evaluation, so a waived finding stays visible; a waiver that has
//! expired, that matches nothing or that matches too much is a finding itself. Nothing is waived without an end. One file may serve
//! several runs: a waiver of a rule that another run judges is no orphan of this one.

use std::path::Path;

use globset::{Glob, GlobMatcher};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::metadata::Severity;
use crate::report::{Finding, Verdict};
use crate::sources::PolicyError;

/// The most waivers of one file.
const MOST: usize = 10_000;
/// Findings of one rule that one waiver may cover before it counts as too broad.
const BROAD: usize = 50;
/// Longest time that a waiver may still run, in days.
const LONGEST: i64 = 400;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    waiver: Vec<Written>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    rule: String,
    resource: String,
    owner: String,
    approver: String,
    reason: String,
    expires: String,
    ticket: Option<String>,
}

/// One waiver that was read and understood.
#[derive(Debug)]
struct Waiver {
    written: Written,
    resource: GlobMatcher,
    expires: OffsetDateTime,
    used: usize,
}

/// The waivers of a file.
#[derive(Debug)]
pub struct Waivers {
    file: String,
    text: String,
    waivers: Vec<Waiver>,
}

impl Waivers {
    /// Reads a waiver file: TOML, one `[[waiver]]` each with `id`, `rule` (an id, never a pattern), `resource` (a glob), `owner`,
    /// `approver`, `reason` and `expires` (RFC 3339, UTC); `ticket` may be there.
    ///
    /// # Errors
    /// A file that cannot be read or understood, a waiver without one of these, two of one id, an owner who approves alone.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let name = path.display().to_string();
        let bytes = crate::input::read(path).map_err(|source| PolicyError::refused(&name, None, source.to_string()))?;
        Self::parse(&name, &bytes)
    }

    /// The same of bytes that are at hand; findings about the waivers themselves name this file.
    ///
    /// # Errors
    /// As `read`.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, PolicyError> {
        let text = std::str::from_utf8(bytes).map_err(|error| PolicyError::refused(name, None, error.to_string()))?;
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            let line = line.and_then(|line| u32::try_from(line).ok());
            PolicyError::refused(name, line, error.message().to_owned())
        })?;
        if file.waiver.len() > MOST {
            return Err(PolicyError::refused(name, None, format!("more than {MOST} waivers")));
        }
        let mut waivers: Vec<Waiver> = Vec::new();
        for written in file.waiver {
            let refuse = |why: String| PolicyError::refused(name, None, format!("waiver {}: {why}", written.id));
            for (field, text) in [
                ("id", &written.id),
                ("rule", &written.rule),
                ("resource", &written.resource),
                ("owner", &written.owner),
                ("approver", &written.approver),
                ("reason", &written.reason),
            ] {
                if text.trim().is_empty() {
                    return Err(refuse(format!("{field} is empty")));
                }
            }
            if written.owner.trim() == written.approver.trim() {
                return Err(refuse("owner and approver are the same person".to_owned()));
            }
            if written.rule.contains(['*', '?', '[']) {
                return Err(refuse("rule is a pattern: name the rule".to_owned()));
            }
            if waivers.iter().any(|known| known.written.id == written.id) {
                return Err(refuse("there is another of this id".to_owned()));
            }
            let expires = OffsetDateTime::parse(&written.expires, &Rfc3339).map_err(|_| {
                refuse(format!(
                    "expires is no time like 2026-12-31T00:00:00Z: {}",
                    written.expires
                ))
            })?;
            if !expires.offset().is_utc() {
                return Err(refuse(format!("expires is not in UTC: {}", written.expires)));
            }
            let resource = Glob::new(&written.resource)
                .map_err(|error| refuse(format!("resource is no glob: {error}")))?
                .compile_matcher();
            waivers.push(Waiver {
                written,
                resource,
                expires,
                used: 0,
            });
        }
        Ok(Self {
            file: name.to_owned(),
            text: text.to_owned(),
            waivers,
        })
    }

    /// The same under another name: the one that findings about them give.
    #[must_use]
    pub fn called(self, name: &str) -> Self {
        Self {
            file: name.to_owned(),
            ..self
        }
    }

    /// The file as it was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Waives what these cover, and adds what is wrong with them. A waiver that covers nothing is no finding where its rule is judged
    /// `elsewhere`.
    pub(crate) fn apply(mut self, findings: &mut Vec<Finding>, now: OffsetDateTime, elsewhere: &dyn Fn(&str) -> bool) {
        for finding in findings
            .iter_mut()
            .filter(|finding| matches!(finding.verdict, Verdict::Fail | Verdict::Warn))
        {
            for waiver in &mut self.waivers {
                if waiver.written.rule != finding.rule || !waiver.resource.is_match(&finding.resource) {
                    continue;
                }
                waiver.used += 1;
                if waiver.expires > now && finding.verdict != Verdict::Waived && !waiver.is_catch_all() {
                    let written = &waiver.written;
                    finding.verdict = Verdict::Waived;
                    finding.waiver = Some(json!({
                        "kind": "waiver", "id": written.id, "owner": written.owner, "approver": written.approver,
                        "reason": written.reason, "expires": written.expires, "ticket": written.ticket,
                    }));
                }
            }
        }
        for waiver in &self.waivers {
            let id = &waiver.written.id;
            let until = &waiver.written.expires;
            let mut tell = |rule: &str, verdict, severity, message: String| {
                findings.push(Finding {
                    severity: Some(severity),
                    file: Some(self.file.clone()),
                    verdict,
                    ..Finding::error(rule, &format!("waiver/{id}"), message)
                });
            };
            if waiver.expires <= now {
                let owner = &waiver.written.owner;
                tell(
                    "muster.waiver-expired",
                    Verdict::Warn,
                    Severity::Medium,
                    format!("expired at {until}: {owner} answers for it; renew it or take it out"),
                );
            } else if (waiver.expires - now).whole_days() > LONGEST {
                tell(
                    "muster.waiver-broad",
                    Verdict::Fail,
                    Severity::Medium,
                    format!("runs until {until}, longer than {LONGEST} days"),
                );
            }
            if waiver.used == 0 && !elsewhere(&waiver.written.rule) {
                tell(
                    "muster.waiver-orphaned",
                    Verdict::Warn,
                    Severity::Low,
                    format!(
                        "covers nothing: no finding of {} on {}",
                        waiver.written.rule, waiver.written.resource
                    ),
                );
            }
            if waiver.is_catch_all() {
                tell(
                    "muster.waiver-broad",
                    Verdict::Fail,
                    Severity::High,
                    format!(
                        "its resource {} is everything, so it was not applied: name what it is for",
                        waiver.written.resource
                    ),
                );
            } else if waiver.used > BROAD {
                tell(
                    "muster.waiver-broad",
                    Verdict::Fail,
                    Severity::Medium,
                    format!(
                        "covers {} findings, more than {BROAD}: name what it is for",
                        waiver.used
                    ),
                );
            }
        }
    }
}

impl Waiver {
    fn is_catch_all(&self) -> bool {
        self.written.resource.chars().all(|c| matches!(c, '*' | '?' | '/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-06-01 0:00 UTC);

    fn read(text: &str) -> Result<Waivers, PolicyError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Waivers::read(file.path())
    }

    fn waiver(id: &str, rule: &str, resource: &str, expires: &str) -> String {
        format!(
            "[[waiver]]\nid = \"{id}\"\nrule = \"{rule}\"\nresource = \"{resource}\"\nowner = \"a\"\napprover = \"b\"\nreason = \"r\"\nexpires = \"{expires}\"\n"
        )
    }

    fn judged(text: &str) -> Vec<(String, Verdict)> {
        let mut findings = vec![
            Finding {
                verdict: Verdict::Fail,
                ..Finding::error("main.deny", "Deployment/prod/web", "bad".to_owned())
            },
            Finding {
                verdict: Verdict::Error,
                ..Finding::error("main.deny", "Deployment/prod/db", "cannot".to_owned())
            },
        ];
        read(text).unwrap().apply(&mut findings, NOW, &|rule| rule == "DR-101");
        findings
            .into_iter()
            .map(|finding| (finding.rule, finding.verdict))
            .collect()
    }

    #[test]
    fn a_waiver_covers_a_failure_of_its_rule_and_never_an_error() {
        let judged = judged(&waiver("W1", "main.deny", "Deployment/prod/*", "2026-12-31T00:00:00Z"));
        assert_eq!(
            judged,
            [
                ("main.deny".to_owned(), Verdict::Waived),
                ("main.deny".to_owned(), Verdict::Error)
            ]
        );
    }

    #[test]
    fn expired_orphaned_and_broad_ones_are_findings_and_waive_nothing_they_should_not() {
        let expired = judged(&waiver(
            "W1",
            "main.deny",
            "Deployment/prod/web",
            "2026-05-31T23:59:59Z",
        ));
        assert_eq!(expired[0].1, Verdict::Fail);
        assert_eq!(expired[2], ("muster.waiver-expired".to_owned(), Verdict::Warn));
        let orphaned = judged(&waiver("W1", "main.deny", "Deployment/test/*", "2026-12-31T00:00:00Z"));
        assert_eq!(orphaned[2], ("muster.waiver-orphaned".to_owned(), Verdict::Warn));
        let broad = judged(&waiver("W1", "main.deny", "**", "2026-12-31T00:00:00Z"));
        assert_eq!(broad[0].1, Verdict::Fail);
        assert_eq!(broad[2], ("muster.waiver-broad".to_owned(), Verdict::Fail));
        let long = judged(&waiver("W1", "main.deny", "Deployment/*/web", "2028-12-31T00:00:00Z"));
        assert_eq!(long[2], ("muster.waiver-broad".to_owned(), Verdict::Fail));
    }

    #[test]
    fn a_waiver_of_a_rule_that_another_run_judges_is_no_orphan() {
        let elsewhere = waiver("W1", "DR-101", "accounts", "2026-12-31T00:00:00Z");
        assert_eq!(judged(&elsewhere).len(), 2);
        let expired = waiver("W1", "DR-101", "accounts", "2026-05-01T00:00:00Z");
        assert_eq!(judged(&expired)[2], ("muster.waiver-expired".to_owned(), Verdict::Warn));
    }

    /// Failures of `main.deny` on resources of these numbers.
    fn failures(numbers: std::ops::Range<usize>) -> Vec<Finding> {
        let failure = |number| Finding {
            verdict: Verdict::Fail,
            ..Finding::error("main.deny", &format!("apps/{number}"), "bad".to_owned())
        };
        numbers.map(failure).collect()
    }

    fn applied(text: &str, mut findings: Vec<Finding>) -> Vec<Finding> {
        read(text).unwrap().apply(&mut findings, NOW, &|_| false);
        findings
    }

    #[test]
    fn who_answers_stands_beside_what_is_waived() {
        let text = waiver("W1", "main.deny", "apps/*", "2026-12-31T00:00:00Z") + "ticket = \"T-1\"\n";
        let findings = applied(&text, failures(0..1));
        assert_eq!(
            findings[0].waiver,
            Some(json!({
                "kind": "waiver", "id": "W1", "owner": "a", "approver": "b", "reason": "r",
                "expires": "2026-12-31T00:00:00Z", "ticket": "T-1",
            }))
        );
    }

    #[test]
    fn a_waiver_covers_no_other_rule_and_nothing_that_is_not_known() {
        let other = waiver("W1", "main.other", "apps/*", "2026-12-31T00:00:00Z");
        let findings = applied(&other, failures(0..1));
        assert_eq!(findings[0].verdict, Verdict::Fail);
        assert_eq!(findings[1].rule, "muster.waiver-orphaned");
        let mut unknown = failures(0..1);
        unknown[0].verdict = Verdict::Unknown;
        let findings = applied(&other.replace("other", "deny"), unknown);
        assert_eq!(findings[0].verdict, Verdict::Unknown);
    }

    #[test]
    fn a_waiver_ends_at_its_time_and_runs_for_at_most_400_days() {
        let at = |expires: &str| applied(&waiver("W1", "main.deny", "apps/*", expires), failures(0..1));
        let ended = at("2026-06-01T00:00:00Z");
        assert_eq!(
            (ended[0].verdict, ended[1].rule.as_str()),
            (Verdict::Fail, "muster.waiver-expired")
        );
        let last = at("2026-06-01T00:00:01Z");
        assert_eq!((last[0].verdict, last.len()), (Verdict::Waived, 1));
        assert_eq!(at("2027-07-06T00:00:00Z").len(), 1, "400 days");
        assert_eq!(at("2027-07-07T00:00:00Z")[1].rule, "muster.waiver-broad");
    }

    #[test]
    fn a_waiver_of_more_than_fifty_findings_or_of_everything_is_too_broad() {
        let text = waiver("W1", "main.deny", "apps/*", "2026-12-31T00:00:00Z");
        assert_eq!(applied(&text, failures(0..50)).len(), 50);
        let broad = applied(&text, failures(0..51));
        assert_eq!(
            (broad[51].rule.as_str(), broad[51].verdict),
            ("muster.waiver-broad", Verdict::Fail)
        );
        for everything in ["*", "**", "**/*", "*/*", "?*"] {
            let findings = applied(&text.replace("apps/*", everything), failures(0..1));
            assert_eq!(findings[0].verdict, Verdict::Fail, "{everything}");
        }
    }

    #[test]
    fn every_field_is_required_and_no_other_is_taken() {
        let good = waiver("W1", "main.deny", "x", "2026-12-31T00:00:00Z");
        for line in good.lines().skip(1) {
            let (field, _) = line.split_once(" = ").unwrap();
            let gone = read(&good.replace(line, "")).unwrap_err().to_string();
            assert!(gone.contains(field), "without {field}: {gone}");
            let blank = read(&good.replace(line, &format!("{field} = \" \""))).unwrap_err();
            assert!(blank.to_string().contains(field), "blank {field}: {blank}");
        }
        let more = read(&format!("{good}namespace = \"x\"\n")).unwrap_err().to_string();
        assert!(more.contains("namespace"), "{more}");
    }

    #[test]
    fn what_is_not_reviewed_is_refused() {
        let good = waiver("W1", "main.deny", "x", "2026-12-31T00:00:00Z");
        for (from, to) in [
            ("approver = \"b\"", "approver = \"a\""),
            ("approver = \"b\"\n", ""),
            ("reason = \"r\"", "reason = \" \""),
            ("00Z", "00+02:00"),
            ("2026-12-31T00:00:00Z", "soon"),
            ("main.deny", "main.*"),
            ("owner", "ownr"),
        ] {
            assert!(read(&good.replace(from, to)).is_err(), "{from} -> {to}");
        }
        assert!(read(&format!("{good}{good}")).is_err());
        assert!(read(&good).is_ok());
    }
}
