//! A body that goes out in pieces, so that whoever watches it sees whether the server still takes any.
//!
//! The SDK hands a body in memory over in one piece and is then blind until the answer. The payload hash is made from the whole.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

const PIECE: usize = 64 << 10;

/// The bytes as a request's body; `taken` counts those that went out.
pub(super) fn body(whole: Bytes, taken: &Arc<AtomicU64>) -> ByteStream {
    let (pieces, taken) = (whole.clone(), Arc::clone(taken));
    let in_pieces = move |_| {
        SdkBody::from_body_1_x(Pieces {
            left: pieces.clone(),
            taken: Arc::clone(&taken),
        })
    };
    ByteStream::new(SdkBody::from(whole).map_preserve_contents(in_pieces))
}

struct Pieces {
    left: Bytes,
    taken: Arc<AtomicU64>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.left.len().min(PIECE);
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
