//! Varints and bounded reads of the binary objects.
//!
//! Invariant: nothing is allocated from a length that was not compared with a bound and with the bytes that are there.

use super::TreeError;

/// A cursor over a decoded body.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], TreeError> {
        let (head, rest) = self.bytes.split_at_checked(length).ok_or(TreeError("it ends early"))?;
        self.bytes = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], TreeError> {
        self.take(N)?.try_into().map_err(|_| TreeError("it ends early"))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, TreeError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn varint(&mut self) -> Result<u64, TreeError> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let shortest = shift == 0 || byte != 0;
                return if shortest {
                    Ok(value)
                } else {
                    Err(TreeError("a varint is not in its shortest form"))
                };
            }
        }
        Err(TreeError("a varint is too long"))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, TreeError> {
        u32::try_from(self.varint()?).map_err(|_| TreeError("a number is beyond 32 bits"))
    }

    /// A count of items that take at least `least` bytes each.
    pub(crate) fn count(&mut self, most: usize, least: usize) -> Result<usize, TreeError> {
        let count = usize::try_from(self.varint()?).map_err(|_| TreeError("a count is out of bounds"))?;
        if count > most || count.saturating_mul(least) > self.bytes.len() {
            return Err(TreeError("a count is out of bounds"));
        }
        Ok(count)
    }

    pub(crate) fn bytes(&mut self, most: usize) -> Result<&'a [u8], TreeError> {
        let length = self.count(most, 1)?;
        self.take(length)
    }

    pub(crate) fn finish(self) -> Result<(), TreeError> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(TreeError("it has bytes after its end"))
        }
    }
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let byte = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
