//! Digests and message authentication codes, as hexadecimal text.

use hmac::digest::Digest;
use hmac::{Hmac, KeyInit, Mac};

use super::Family;
use super::call::{Call, Outcome};

pub(super) const FAMILY: Family = &[
    ("crypto.md5", digest::<md5::Md5>),
    ("crypto.sha1", digest::<sha1::Sha1>),
    ("crypto.sha256", digest::<sha2::Sha256>),
    ("crypto.hmac.md5", |call| code::<Hmac<md5::Md5>>(call)),
    ("crypto.hmac.sha1", |call| code::<Hmac<sha1::Sha1>>(call)),
    ("crypto.hmac.sha256", |call| code::<Hmac<sha2::Sha256>>(call)),
    ("crypto.hmac.sha512", |call| code::<Hmac<sha2::Sha512>>(call)),
    ("crypto.hmac.equal", |call| {
        Ok((call.string(0)? == call.string(1)?).into())
    }),
];

/// Bytes as lower-case hexadecimal text.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest<D: Digest>(call: &mut Call<'_>) -> Outcome {
    Ok(hex(&D::digest(call.string(0)?)).into())
}

fn code<M: Mac + KeyInit>(call: &Call<'_>) -> Outcome {
    Ok(hex(&authenticate::<M>(
        call.string(1)?.as_bytes(),
        call.string(0)?.as_bytes(),
    )?)
    .into())
}

/// The code of a message under a key of any length.
pub(super) fn authenticate<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Result<Vec<u8>, super::Failure> {
    let mut mac = <M as KeyInit>::new_from_slice(key).map_err(|e| e.to_string())?;
    mac.update(message);
    Ok(mac.finalize().into_bytes().to_vec())
}
