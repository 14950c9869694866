//! A body that goes out in pieces, so that whoever watches it sees whether the server still takes any.
//!
//! The SDK hands a body in memory over in one piece and is then blind until the answer. The payload hash is made from the whole.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

const PIECE: usize = 64 << 10;

/// The bytes as a request's body.
pub(super) fn body(whole: Bytes) -> ByteStream {
    let pieces = whole.clone();
    let in_pieces = move |_| SdkBody::from_body_1_x(Pieces(pieces.clone()));
    ByteStream::new(SdkBody::from(whole).map_preserve_contents(in_pieces))
}

struct Pieces(Bytes);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.0.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.0.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}
