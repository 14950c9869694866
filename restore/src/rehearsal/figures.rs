//! RTO and RPO: what was measured, how, and why something was not.
//!
//! Invariant: what was not measured is null with a reason; nothing is negative, nothing guessed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Verdict;

/// Recovery time, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rto {
    /// Bytes fetched, decoded, compared and written.
    pub transfer_seconds: Option<f64>,
    /// From the beginning until the engine took writes.
    pub engine_seconds: Option<f64>,
    /// From the beginning until the checks had passed: the headline, compared with the objective.
    pub verified_seconds: Option<f64>,
    /// Detection, declaration and the application's own start are not exercised here.
    pub business_seconds: Option<f64>,
    /// Why a figure is null.
    pub reason: BTreeMap<String, String>,
    /// What the owner expects.
    pub objective_seconds: Option<f64>,
    /// Whether it was met; null without an objective or without a figure.
    pub met: Option<bool>,
}

impl Rto {
    pub(super) fn new(objective: Option<f64>) -> Self {
        Self {
            transfer_seconds: None,
            engine_seconds: None,
            verified_seconds: None,
            business_seconds: None,
            reason: BTreeMap::new(),
            objective_seconds: objective,
            met: None,
        }
    }

    /// Compares with the objective. A timing without checks that passed is no timing.
    pub(super) fn judge(&mut self, verdict: Verdict) {
        if verdict != Verdict::Pass {
            self.verified_seconds = None;
        }
        self.met = match (self.objective_seconds, self.verified_seconds, verdict) {
            (Some(objective), Some(verified), _) => Some(verified <= objective),
            (Some(_), None, Verdict::Fail) => Some(false),
            _ => None,
        };
        let mut explain = |name: &str, value: Option<f64>, reason: &str| {
            if value.is_none() {
                self.reason.insert(name.to_owned(), reason.to_owned());
            }
        };
        explain("transfer", self.transfer_seconds, "the bytes were not all brought back");
        explain("engine", self.engine_seconds, "the engine did not take writes");
        explain("verified", self.verified_seconds, "not all checks passed");
        explain(
            "business",
            self.business_seconds,
            "detection, declaration and the application's start were not exercised",
        );
    }
}

/// What would be lost, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rpo {
    /// Age of the newest point when the rehearsal began: what a fault at that moment would have cost.
    pub exposure_seconds: Option<f64>,
    /// How far the restored state lies before the point that was asked for.
    pub archive_gap_seconds: Option<f64>,
    /// How far the restored state lies before a fault that was injected.
    pub realised_seconds: Option<f64>,
    /// How each was measured; null where it was not.
    pub method: BTreeMap<String, Option<String>>,
    /// Why each that is null is null.
    pub reason: BTreeMap<String, String>,
    /// Which of them is compared with the objective.
    pub judged: String,
    /// What the owner expects.
    pub objective_seconds: Option<f64>,
    /// Whether it was met; null without an objective or without a figure.
    pub met: Option<bool>,
}

impl Rpo {
    /// The figures of a rehearsal of a snapshot's own consistency point, without an injected fault.
    pub(super) fn of(consistency_point: &Value, started_ms: u64, objective: Option<f64>) -> Self {
        let mut rpo = Self {
            exposure_seconds: None,
            archive_gap_seconds: None,
            realised_seconds: None,
            method: ["exposure", "archive_gap", "realised"]
                .map(|name| (name.to_owned(), None))
                .into(),
            reason: BTreeMap::new(),
            judged: "exposure".to_owned(),
            objective_seconds: objective,
            met: None,
        };
        match exposure(consistency_point, started_ms) {
            Ok(seconds) => {
                rpo.exposure_seconds = Some(seconds);
                let method =
                    "this host's clock at the beginning, less the time of the consistency point by the source's clock";
                rpo.method.insert("exposure".to_owned(), Some(method.to_owned()));
            }
            Err(reason) => {
                rpo.reason.insert("exposure".to_owned(), reason.to_owned());
            }
        }
        let gap = "the snapshot's own consistency point was asked for, and it has no archived log";
        rpo.reason.insert("archive_gap".to_owned(), gap.to_owned());
        let realised = "no fault was injected, and no canary was written to the source";
        rpo.reason.insert("realised".to_owned(), realised.to_owned());
        rpo.met = objective
            .zip(rpo.exposure_seconds)
            .map(|(objective, exposure)| exposure <= objective);
        rpo
    }
}

fn exposure(consistency_point: &Value, started_ms: u64) -> Result<f64, &'static str> {
    let text = consistency_point
        .get("time")
        .and_then(Value::as_str)
        .ok_or("the manifest's consistency point has no time")?;
    let point = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "the time of the manifest's consistency point cannot be read")?;
    let now = OffsetDateTime::from_unix_timestamp_nanos(i128::from(started_ms) * 1_000_000)
        .map_err(|_| "this host's clock is out of bounds")?;
    let seconds = (now - point).as_seconds_f64();
    // The clocks of two hosts differ a little; what lies further in the future is no age.
    if seconds < -5.0 {
        Err("the consistency point lies in the future of this host's clock")
    } else {
        Ok(rounded(seconds.max(0.0)))
    }
}

/// Whole microseconds: no clock here knows more.
pub(super) fn rounded(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOON: u64 = 1_700_000_000_000;

    #[test]
    fn exposure_is_the_age_of_the_consistency_instant_and_is_what_the_objective_judges() {
        let rpo = Rpo::of(&json!({ "time": "2023-11-14T22:12:20Z" }), NOON, Some(61.0));
        assert_eq!(
            (rpo.exposure_seconds, rpo.met, rpo.judged.as_str()),
            (Some(60.0), Some(true), "exposure")
        );
        assert_eq!(
            Rpo::of(&json!({ "time": "2023-11-14T22:12:20Z" }), NOON, Some(59.0)).met,
            Some(false)
        );
    }

    #[test]
    fn each_figure_that_is_null_has_a_reason_and_none_is_negative() {
        for point in [
            json!({}),
            json!({ "time": "yesterday" }),
            json!({ "time": "2024-11-14T22:12:20Z" }),
        ] {
            let rpo = Rpo::of(&point, NOON, Some(60.0));
            assert_eq!((rpo.exposure_seconds, rpo.met), (None, None));
            assert_eq!(
                rpo.reason.keys().collect::<Vec<_>>(),
                ["archive_gap", "exposure", "realised"]
            );
        }
        let skewed = Rpo::of(&json!({ "time": "2023-11-14T22:13:21Z" }), NOON, None);
        assert_eq!((skewed.exposure_seconds, skewed.met), (Some(0.0), None));
    }

    #[test]
    fn a_timing_without_checks_that_passed_is_discarded() {
        let mut rto = Rto::new(Some(10.0));
        rto.verified_seconds = Some(1.0);
        rto.judge(Verdict::Fail);
        assert_eq!((rto.verified_seconds, rto.met), (None, Some(false)));
        let mut rto = Rto::new(Some(10.0));
        rto.judge(Verdict::Error);
        assert_eq!(rto.met, None);
        let mut rto = Rto::new(Some(0.001));
        rto.verified_seconds = Some(1.0);
        rto.judge(Verdict::Pass);
        assert_eq!((rto.verified_seconds, rto.met), (Some(1.0), Some(false)));
    }
}
