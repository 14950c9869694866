//! The messages inside `BASE_BACKUP`'s copy stream, as PostgreSQL 15 and later frame them.

/// One message of the copy stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A tar archive begins: the main directory's has an empty location.
    Archive { name: &'a [u8], location: &'a [u8] },
    /// Bytes of the archive or the manifest that is open.
    Data(&'a [u8]),
    /// The manifest begins.
    Manifest,
    /// So many bytes were sent.
    Progress(u64),
}

/// Not a message of a base backup.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a message of the base backup cannot be read: {0}")]
pub(crate) struct FrameError(&'static str);

impl<'a> Frame<'a> {
    /// Reads the payload of one `CopyData`.
    pub(crate) fn parse(payload: &'a [u8]) -> Result<Frame<'a>, FrameError> {
        let (kind, rest) = payload.split_first().ok_or(FrameError("it is empty"))?;
        match kind {
            b'd' => Ok(Frame::Data(rest)),
            b'n' => {
                let (name, rest) = text(rest)?;
                let (location, rest) = text(rest)?;
                empty(rest)?;
                Ok(Frame::Archive { name, location })
            }
            b'm' => empty(rest).map(|()| Frame::Manifest),
            b'p' => rest
                .try_into()
                .map(|bytes| Frame::Progress(u64::from_be_bytes(bytes)))
                .map_err(|_| FrameError("a progress report has the wrong length")),
            _ => Err(FrameError("its kind is not known")),
        }
    }
}

fn text(bytes: &[u8]) -> Result<(&[u8], &[u8]), FrameError> {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .ok_or(FrameError("a name has no end"))?;
    Ok((&bytes[..end], &bytes[end + 1..]))
}

fn empty(rest: &[u8]) -> Result<(), FrameError> {
    if rest.is_empty() {
        Ok(())
    } else {
        Err(FrameError("bytes follow its end"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_is_read() {
        assert_eq!(
            Frame::parse(b"nbase.tar\0\0"),
            Ok(Frame::Archive {
                name: b"base.tar",
                location: b""
            })
        );
        assert_eq!(
            Frame::parse(b"n16384.tar\0/srv/fast\0"),
            Ok(Frame::Archive {
                name: b"16384.tar",
                location: b"/srv/fast"
            })
        );
        assert_eq!(Frame::parse(b"dxyz"), Ok(Frame::Data(b"xyz")));
        assert_eq!(Frame::parse(b"d"), Ok(Frame::Data(b"")));
        assert_eq!(Frame::parse(b"m"), Ok(Frame::Manifest));
        assert_eq!(Frame::parse(b"p\0\0\0\0\0\0\x01\0"), Ok(Frame::Progress(256)));
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in [
            &b""[..],
            b"x",
            b"nbase.tar",
            b"nbase.tar\0",
            b"nbase.tar\0\0x",
            b"mx",
            b"p\0",
        ] {
            assert!(Frame::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Frame::parse(&bytes);
        }
    }
}
