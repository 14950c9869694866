//! When to ask again, and for how long.

use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::S3Store;
use super::failure::Failure;
use crate::object_store::StorageError;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Nobody is made to wait for a link slower than this.
const SLOWEST_LINK: u64 = 32 << 10; // bytes per second

/// What a system keeps of a body on a slow link after it was handed over.
const BUFFERED: u64 = 1 << 20; // bytes

impl S3Store {
    /// Calls until it succeeds, fails for good, or patience ends, which counts from the first failure, and again from the first silence:
    /// a long transfer may always be tried a second time, and so may a request that was never heard of again. That need not be the
    /// server's doing: hyper 1.12 forgets a request that it is handed while the connection closes (hyperium/hyper#4122). `tries` counts
    /// the calls.
    pub(super) async fn retry<T, F>(
        &self,
        key: &str,
        attempt: &str,
        tries: &mut u32,
        mut call: impl FnMut() -> F,
    ) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let (mut failing_since, mut silent) = (None, false);
        loop {
            *tries += 1;
            let failure = match call().await {
                Ok(value) => {
                    self.budget.earn();
                    self.answered.store(true, Ordering::Relaxed);
                    return Ok(value);
                }
                Err(failure) => failure,
            };
            if failure.answered {
                self.answered.store(true, Ordering::Relaxed);
            }
            if failure.progressed {
                (failing_since, silent, *tries) = (None, false, 1);
            }
            if failure.silent && !silent {
                (failing_since, silent) = (None, true);
            }
            let since = *failing_since.get_or_insert_with(Instant::now);
            let reached = self.answered.load(Ordering::Relaxed);
            let patience = if reached {
                self.patience.outage
            } else {
                self.patience.unreached
            };
            let pause = failure.pause.unwrap_or_else(|| pause(key, *tries)).min(LONGEST_PAUSE);
            if !failure.again || since.elapsed() + pause > patience {
                return Err(failure.of(key, attempt, *tries));
            }
            if !self.budget.spend() {
                let failure = failure.hint("most requests to this server fail: it was not asked again");
                return Err(failure.of(key, attempt, *tries));
            }
            tracing::debug!(attempt, tries, ?pause, failure = ?failure, "trying again");
            sleep(pause).await;
        }
    }

    /// Waits for an exchange of so many bytes, not for ever.
    pub(super) async fn within<T>(&self, bytes: u64, exchange: impl Future<Output = T>) -> Result<T, Failure> {
        let limit = self.patience.stall + Duration::from_secs(bytes / SLOWEST_LINK);
        timeout(limit, exchange).await.map_err(|_| Failure::silence(limit))
    }

    /// Waits for the answer to a body while the server takes more of it: a stall is a stall, however long the body.
    pub(super) async fn while_taken<T>(
        &self,
        taken: &AtomicU64,
        exchange: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let mut exchange = pin!(exchange);
        loop {
            let before = taken.load(Ordering::Relaxed);
            // What was taken last may still lie in this machine's own buffers.
            let limit = self.patience.stall + Duration::from_secs(before.min(BUFFERED) / SLOWEST_LINK);
            match timeout(limit, &mut exchange).await {
                Ok(answer) => return Ok(answer),
                Err(_) if taken.load(Ordering::Relaxed) > before => {}
                Err(_) => return Err(Failure::silence(limit)),
            }
        }
    }
}

/// What retries may still cost. A server that fails now and then is asked again at once; one that fails most requests is not asked ever
/// more by everybody who waits for it.
#[derive(Debug)]
pub(super) struct Budget(AtomicU32);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU32::new(Self::MOST))
    }
}

impl Budget {
    const MOST: u32 = 500;
    const RETRY: u32 = 5;

    fn spend(&self) -> bool {
        let left = |left: u32| left.checked_sub(Self::RETRY);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok()
    }

    fn earn(&self) {
        let more = |left: u32| (left < Self::MOST).then_some(left + 1);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

/// Anything up to a bound that doubles each time (full jitter), so that those that were thrown back together do not return together.
fn pause(key: &str, tries: u32) -> Duration {
    let most = FIRST_PAUSE.saturating_mul(1 << tries.min(10)).min(LONGEST_PAUSE);
    // The hasher's keys differ from process to process and from call to call.
    most.mul_f64((RandomState::new().hash_one((key, tries)) % 1_024) as f64 / 1_023.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_spread_over_all_of_a_bound_that_grows_and_ends_growing() {
        let among = |tries| (0..200).map(|_| pause("packs/ab/x", tries)).collect::<Vec<_>>();
        for (tries, most) in [(1, FIRST_PAUSE * 2), (3, FIRST_PAUSE * 8), (30, LONGEST_PAUSE)] {
            let spread = among(tries);
            assert!(spread.iter().all(|pause| *pause <= most), "{tries}");
            assert!(spread.iter().any(|pause| *pause < most / 4), "{tries}");
            assert!(spread.iter().any(|pause| *pause > most * 3 / 4), "{tries}");
        }
    }

    #[test]
    fn a_server_that_fails_everything_is_not_asked_for_ever() {
        let budget = Budget::default();
        let retries = (0..10_000).filter(|_| budget.spend()).count();
        assert_eq!(retries, 100);
        (0..20).for_each(|_| budget.earn());
        assert_eq!(
            (0..10).filter(|_| budget.spend()).count(),
            4,
            "what succeeds pays for what fails"
        );
        (0..10_000).for_each(|_| budget.earn());
        assert_eq!(
            (0..10_000).filter(|_| budget.spend()).count(),
            100,
            "and is not saved without end"
        );
    }
}
