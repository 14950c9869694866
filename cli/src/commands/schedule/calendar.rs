//! How often a store is backed up so that its RPO can be met, as systemd and cron write it.

use std::time::Duration;

/// An interval that both schedulers can express, evenly from midnight on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) seconds: u64,
    pub(super) on_calendar: &'static str,
    pub(super) cron: &'static str,
}

const INTERVALS: [Interval; 12] = [
    Interval {
        seconds: 300,
        on_calendar: "*-*-* *:00/5:00",
        cron: "*/5 * * * *",
    },
    Interval {
        seconds: 600,
        on_calendar: "*-*-* *:00/10:00",
        cron: "*/10 * * * *",
    },
    Interval {
        seconds: 900,
        on_calendar: "*-*-* *:00/15:00",
        cron: "*/15 * * * *",
    },
    Interval {
        seconds: 1_800,
        on_calendar: "*-*-* *:00/30:00",
        cron: "*/30 * * * *",
    },
    Interval {
        seconds: 3_600,
        on_calendar: "*-*-* *:00:00",
        cron: "0 * * * *",
    },
    Interval {
        seconds: 7_200,
        on_calendar: "*-*-* 00/2:00:00",
        cron: "0 */2 * * *",
    },
    Interval {
        seconds: 10_800,
        on_calendar: "*-*-* 00/3:00:00",
        cron: "0 */3 * * *",
    },
    Interval {
        seconds: 14_400,
        on_calendar: "*-*-* 00/4:00:00",
        cron: "0 */4 * * *",
    },
    Interval {
        seconds: 21_600,
        on_calendar: "*-*-* 00/6:00:00",
        cron: "0 */6 * * *",
    },
    Interval {
        seconds: 28_800,
        on_calendar: "*-*-* 00/8:00:00",
        cron: "0 */8 * * *",
    },
    Interval {
        seconds: 43_200,
        on_calendar: "*-*-* 00/12:00:00",
        cron: "0 */12 * * *",
    },
    Interval {
        seconds: 86_400,
        on_calendar: "*-*-* 02:00:00",
        cron: "0 2 * * *",
    },
];

/// The longest interval that is at most half the RPO, so that one late or failed run does not break it; daily without one.
/// `Err` carries the shortest interval there is, where even that is too long for the objective.
pub(super) fn interval(rpo: Option<Duration>) -> Result<Interval, Interval> {
    let Some(rpo) = rpo else {
        return Ok(INTERVALS[INTERVALS.len() - 1]);
    };
    let half = rpo.as_secs() / 2;
    INTERVALS
        .iter()
        .rev()
        .find(|interval| interval.seconds <= half)
        .copied()
        .ok_or(INTERVALS[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_fit_into_the_objective() {
        let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
        assert_eq!(interval(minutes(60)).unwrap().seconds, 1_800);
        assert_eq!(interval(minutes(10)).unwrap().seconds, 300);
        assert_eq!(interval(minutes(24 * 60 * 30)).unwrap().seconds, 86_400);
        assert_eq!(interval(None).unwrap().seconds, 86_400);
        assert_eq!(interval(minutes(1)).unwrap_err().seconds, 300);
    }
}
