//! Index objects as bytes: a header, and a compressed body that is sealed to the writer's index key.
//!
//! Invariant: nothing is allocated from a length that was not compared with a bound; a body is parsed only after its seal held.

use super::IndexError;
use super::key::IndexSeal;

const MAGIC: &[u8; 8] = b"MUSTINDX";
const VERSION: u8 = 1;
const HEADER: usize = 26;
/// Most bytes of a decoded body.
pub(super) const BODY_MAX: usize = 32 << 20;
/// Most bytes of an index object.
pub(crate) const OBJECT_MAX: u64 = (BODY_MAX + BODY_MAX / 128 + 1024) as u64;

/// The root of an index set.
pub(super) const ROOT: u8 = 1;
/// Files in path order.
pub(super) const DIRECTORY: u8 = 2;
/// At most 1 GiB of a file.
pub(super) const LEAF: u8 = 3;

/// The object of a body.
pub(super) fn encode(seal: &IndexSeal, kind: u8, body: &[u8]) -> Result<Vec<u8>, IndexError> {
    if body.len() > BODY_MAX {
        return Err(IndexError("an index object would be too long"));
    }
    let packed = zstd::bulk::compress(body, 1).map_err(|_| IndexError("an index object cannot be compressed"))?;
    let (nonce, sealed) = seal.seal(kind, packed)?;
    let mut object = Vec::with_capacity(HEADER + sealed.len());
    object.extend_from_slice(MAGIC);
    object.extend_from_slice(&[kind, VERSION]);
    object.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    object.extend_from_slice(&nonce);
    object.extend_from_slice(&sealed);
    Ok(object)
}

/// The body of an object.
pub(super) fn decode(seal: &IndexSeal, kind: u8, object: &[u8]) -> Result<Vec<u8>, IndexError> {
    let (header, sealed) = object
        .split_first_chunk::<HEADER>()
        .ok_or(IndexError("it ends early"))?;
    if &header[..8] != MAGIC {
        return Err(IndexError("it does not begin with MUSTINDX"));
    }
    if header[9] != VERSION {
        return Err(IndexError("it needs a newer version of muster"));
    }
    if header[8] != kind {
        return Err(IndexError("it is an index object of another kind"));
    }
    let length = u32::from_le_bytes([header[10], header[11], header[12], header[13]]) as usize;
    if length > BODY_MAX {
        return Err(IndexError("its length is out of bounds"));
    }
    let mut nonce = [0; 12];
    nonce.copy_from_slice(&header[14..]);
    let packed = seal.open(kind, nonce, sealed.to_vec())?;
    let body = zstd::bulk::decompress(&packed, length).map_err(|_| IndexError("its body cannot be decompressed"))?;
    if body.len() == length {
        Ok(body)
    } else {
        Err(IndexError("its body has another length than it says"))
    }
}
