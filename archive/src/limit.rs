//! How many bytes per second may pass: for servers that are serving others meanwhile.
//!
//! Invariant: over any stretch of time no more than its length times the rate has passed, and one tenth of a second's worth besides.
//! Whoever wants to pass waits until what it brings is paid for, so that a large body holds the rate as well as a small one.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much may be saved up while nobody passes.
const SAVED: Duration = Duration::from_millis(100);
/// How long a wait goes on without a look at the wish to end.
const LOOK: Duration = Duration::from_millis(100);

/// A token bucket over any clock.
#[derive(Debug)]
struct Meter {
    per_second: u64,
    /// Until when everything that passed is paid for.
    paid: Duration,
}

impl Meter {
    fn new(per_second: u64) -> Self {
        Self {
            per_second: per_second.max(1),
            paid: Duration::ZERO,
        }
    }

    /// Takes `bytes` at `now`, and says how long to wait before they may pass.
    fn take(&mut self, now: Duration, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.per_second);
        let price = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid = self.paid.max(now.saturating_sub(SAVED)).saturating_add(price);
        self.paid.saturating_sub(now)
    }
}

/// The end of a wait.
pub(crate) type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What waits: durations alone, no date.
pub(crate) trait Clock: Send + Sync {
    /// The time since some beginning; never goes back.
    fn now(&self) -> Duration;
    /// Ends when so much time is past.
    fn sleep(&self, length: Duration) -> Wait;
}

/// The machine's own.
struct Monotonic(Instant);

impl Clock for Monotonic {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(length))
    }
}

/// A limit that many threads and tasks share.
pub struct RateLimit {
    clock: Box<dyn Clock>,
    meter: Mutex<Meter>,
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("meter", &self.meter)
            .finish_non_exhaustive()
    }
}

impl RateLimit {
    /// At most so many bytes per second; none is taken as one.
    pub fn new(bytes_per_second: u64) -> Self {
        Self::on(bytes_per_second, Box::new(Monotonic(Instant::now())))
    }

    pub(crate) fn on(bytes_per_second: u64, clock: Box<dyn Clock>) -> Self {
        Self {
            clock,
            meter: Mutex::new(Meter::new(bytes_per_second)),
        }
    }

    /// Waits until `bytes` may pass.
    pub async fn pass(&self, bytes: u64) {
        if let Some(wait) = self.begin(bytes) {
            wait.await;
        }
    }

    /// What to wait for until `bytes` may pass; `None`: they may already.
    pub(crate) fn begin(&self, bytes: u64) -> Option<Wait> {
        let wait = self.take(bytes);
        (wait > Duration::ZERO).then(|| self.clock.sleep(wait))
    }

    /// How much should pass at once, so that nobody waits long for the next: a sixteenth of a second's worth, 1 to `most` bytes.
    pub(crate) fn piece(&self, most: usize) -> usize {
        let per_second = self.meter.lock().unwrap_or_else(PoisonError::into_inner).per_second;
        usize::try_from(per_second / 16)
            .unwrap_or(most)
            .clamp(1024.min(most), most)
    }

    /// The same for a thread that may block; ends early when `cancel` is set.
    pub fn pass_blocking(&self, bytes: u64, cancel: &AtomicBool) {
        let mut left = self.take(bytes);
        while left > Duration::ZERO && !cancel.load(Ordering::Relaxed) {
            let step = left.min(LOOK);
            std::thread::sleep(step);
            left = left.saturating_sub(step);
        }
    }

    fn take(&self, bytes: u64) -> Duration {
        let now = self.clock.now();
        self.meter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(now, bytes)
    }
}

/// A clock that moves only while everybody waits for it.
#[cfg(test)]
pub(crate) mod fake {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[derive(Clone, Default)]
    pub(crate) struct FakeClock(Arc<Mutex<(Duration, BTreeSet<Duration>)>>);

    impl Clock for FakeClock {
        fn now(&self) -> Duration {
            self.0.lock().unwrap().0
        }

        fn sleep(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            let clock = self.clone();
            let until = clock.now() + length;
            clock.0.lock().unwrap().1.insert(until);
            Box::pin(std::future::poll_fn(move |_| match clock.now() >= until {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }))
        }
    }

    impl FakeClock {
        /// Runs `future` to its end; says how long it took.
        pub(crate) fn time<T>(&self, future: impl Future<Output = T>) -> (T, f64) {
            let began = self.now();
            let mut future = std::pin::pin!(future);
            loop {
                if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    return (output, (self.now() - began).as_secs_f64());
                }
                let mut clock = self.0.lock().unwrap();
                clock.0 = clock.1.pop_first().expect("somebody waits for time to pass");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Passes bodies of these lengths one after the other, each as soon as it may; gives the time that it took.
    fn time_for(meter: &mut Meter, begin: Duration, bodies: impl Iterator<Item = u64>) -> Duration {
        let mut now = begin;
        for body in bodies {
            now += meter.take(now, body);
        }
        now - begin
    }

    #[test]
    fn the_rate_holds_whatever_the_length_of_the_bodies() {
        for body in [1, 1000, 64 << 10, 32 * MIB] {
            let bodies = 320 * MIB / body;
            let bodies = bodies.min(100_000);
            let took = time_for(
                &mut Meter::new(10 * MIB),
                Duration::from_secs(7),
                (0..bodies).map(|_| body),
            );
            let expected = (bodies * body) as f64 / (10 * MIB) as f64;
            assert!(
                (took.as_secs_f64() - expected).abs() <= 0.1 + expected * 0.001,
                "{body}: {took:?}"
            );
        }
    }

    #[test]
    fn many_who_pass_at_once_share_one_rate() {
        let mut meter = Meter::new(MIB);
        let longest = (0..8).map(|_| meter.take(Duration::from_secs(1), MIB)).max();
        assert_eq!(longest, Some(Duration::from_millis(7900)));
    }

    #[test]
    fn silence_saves_up_a_tenth_of_a_second_and_no_more() {
        let mut meter = Meter::new(1000);
        assert_eq!(meter.take(Duration::from_secs(3600), 100), Duration::ZERO);
        assert_eq!(meter.take(Duration::from_secs(3600), 100), Duration::from_millis(100));
    }

    #[test]
    fn a_cancelled_wait_ends_at_once() {
        let limit = RateLimit::new(1);
        limit.pass_blocking(1 << 40, &AtomicBool::new(true));
    }
}
