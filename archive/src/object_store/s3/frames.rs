//! A body that goes out in pieces, so that whoever watches it sees whether the server still takes any.
//!
//! The SDK hands a body in memory over in one piece and is then blind until the answer. The payload hash is made from the whole.
//! Where uploads are limited each piece waits until it is paid for, so that no more than a piece goes out at once.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::RateLimit;
use crate::limit::Wait;

const PIECE: usize = 64 << 10;

/// The bytes as a request's body, no faster than `pace`; `taken` counts those that went out.
pub(super) fn body(whole: Bytes, taken: &Arc<AtomicU64>, pace: Option<&Arc<RateLimit>>) -> ByteStream {
    let (pieces, taken, pace) = (whole.clone(), Arc::clone(taken), pace.cloned());
    let in_pieces = move |_| SdkBody::from_body_1_x(Pieces::new(pieces.clone(), Arc::clone(&taken), pace.clone()));
    ByteStream::new(SdkBody::from(whole).map_preserve_contents(in_pieces))
}

struct Pieces {
    left: Bytes,
    taken: Arc<AtomicU64>,
    pace: Option<Arc<RateLimit>>,
    /// How long the next piece is, once it was asked for.
    next: Option<usize>,
    /// What the next piece waits for. Nobody else ever takes the lock: it makes the body one that threads may share.
    wait: Mutex<Option<Wait>>,
}

impl Pieces {
    fn new(left: Bytes, taken: Arc<AtomicU64>, pace: Option<Arc<RateLimit>>) -> Self {
        Self {
            left,
            taken,
            pace,
            next: None,
            wait: Mutex::default(),
        }
    }

    /// The length of the next piece, when it may go out.
    fn paid(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let wait = self.wait.get_mut().unwrap_or_else(PoisonError::into_inner);
        let length = *self.next.get_or_insert_with(|| {
            let most = self.pace.as_ref().map_or(PIECE, |pace| pace.piece(PIECE));
            let length = self.left.len().min(most);
            *wait = self.pace.as_ref().and_then(|pace| pace.begin(length as u64));
            length
        });
        if let Some(waiting) = wait {
            ready!(waiting.as_mut().poll(cx));
        }
        *wait = None;
        self.next = None;
        Poll::Ready(length)
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let length = ready!(self.paid(cx));
        self.taken.fetch_add(length as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::limit::Clock as _;
    use crate::limit::fake::FakeClock;

    const MIB: u64 = 1 << 20;

    #[test]
    fn bodies_side_by_side_hold_the_limit_over_any_two_seconds() {
        for (rate, length) in [(4 * MIB, 8 * MIB), (100_000, 400_000), (64 * MIB, 128 * MIB)] {
            let clock = FakeClock::default();
            let limit = Arc::new(RateLimit::on(rate, Box::new(clock.clone())));
            let passed = Mutex::new(Vec::new());
            let send = || async {
                let body = Bytes::from(vec![7; usize::try_from(length).unwrap()]);
                let mut pieces = Pieces::new(body, Arc::default(), Some(Arc::clone(&limit)));
                while let Some(frame) = poll_fn(|cx| Pin::new(&mut pieces).poll_frame(cx)).await {
                    let length = frame.unwrap().into_data().unwrap().len() as u64;
                    passed.lock().unwrap().push((clock.now().as_secs_f64(), length));
                }
            };
            let (_, seconds) = clock.time(futures_util::future::join_all([send(), send(), send()]));
            let passed = passed.into_inner().unwrap();
            assert_eq!(passed.iter().map(|(_, length)| length).sum::<u64>(), 3 * length);
            let mut begin = 0.0;
            while begin + 2.0 <= seconds {
                let within = passed.iter().filter(|(at, _)| (begin..begin + 2.0).contains(at));
                let share = within.map(|(_, length)| length).sum::<u64>() as f64 / (2.0 * rate as f64);
                assert!((0.9..=1.1).contains(&share), "{rate}: {share} of it from {begin} s on");
                begin += 0.25;
            }
        }
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        let mut pieces = Pieces::new(Bytes::from(vec![7; 3 * PIECE + 1]), Arc::default(), None);
        let frames = async {
            let mut count = 0;
            while poll_fn(|cx| Pin::new(&mut pieces).poll_frame(cx)).await.is_some() {
                count += 1;
            }
            count
        };
        assert_eq!(FakeClock::default().time(frames), (4, 0.0));
    }
}
