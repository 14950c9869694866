//! When to ask again, and for how long.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::S3Store;
use super::failure::Failure;
use crate::object_store::StorageError;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Nobody is made to wait for a link slower than this.
const SLOWEST_LINK: u64 = 32 << 10; // bytes per second

impl S3Store {
    /// Calls until it succeeds, fails for good, or patience ends, which counts from the first failure: a long transfer may always be
    /// tried a second time. `tries` counts the calls.
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
        let mut failing_since = None;
        loop {
            *tries += 1;
            let failure = match call().await {
                Ok(value) => {
                    self.answered.store(true, Ordering::Relaxed);
                    return Ok(value);
                }
                Err(failure) => failure,
            };
            if failure.answered {
                self.answered.store(true, Ordering::Relaxed);
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
            tracing::debug!(attempt, tries, ?pause, failure = ?failure, "trying again");
            sleep(pause).await;
        }
    }

    /// Waits for an exchange of so many bytes, not for ever.
    pub(super) async fn within<T>(&self, bytes: u64, exchange: impl Future<Output = T>) -> Result<T, Failure> {
        let limit = self.patience.stall + Duration::from_secs(bytes / SLOWEST_LINK);
        timeout(limit, exchange).await.map_err(|_| Failure::silence(limit))
    }
}

/// Twice as long each time. Spread by key and process, so that those that were thrown back together do not return together.
fn pause(key: &str, tries: u32) -> Duration {
    let mut spread = DefaultHasher::new();
    (key, tries, std::process::id()).hash(&mut spread);
    let whole = FIRST_PAUSE.saturating_mul(1 << tries.min(10)).min(LONGEST_PAUSE);
    whole.mul_f64(0.5 + (spread.finish() % 512) as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_growing() {
        let spread: Vec<_> = (1..40).map(|tries| pause("packs/ab/x", tries)).collect();
        assert!(spread[0] <= FIRST_PAUSE * 2);
        assert!(
            spread
                .iter()
                .all(|pause| *pause >= FIRST_PAUSE && *pause <= LONGEST_PAUSE),
            "{spread:?}"
        );
        assert!(spread[30] >= LONGEST_PAUSE / 2);
    }
}
