//! The tar that PostgreSQL writes, read as it arrives.
//!
//! Invariant: a strict reader of ustar members (files, directories, symbolic links): checksum, numbers, padding and trailer
//! must be right, and a path is relative without `.`, `..` or empty components. No content is copied, nothing is allocated
//! beyond one header. Whatever the bytes are, it answers with an error and never with a panic.

const BLOCK: usize = 512;

/// Reads one archive; feed it the archive's bytes in any cut.
#[derive(Debug)]
pub(crate) struct TarReader {
    header: [u8; BLOCK],
    have: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Header,
    Body { left: u64, padding: u64 },
    Padding(u64),
    Trailer { blocks: u32 },
}

/// What comes next in the archive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Member(Member),
    /// Content of the last member, never empty.
    Data(&'a [u8]),
    /// The last member, a file, is complete.
    FileEnd,
}

/// A member's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Without the `/` that a directory or a tablespace's link ends with.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: MemberKind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since the epoch.
    pub(crate) mtime: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MemberKind {
    File { size: u64 },
    Directory,
    Symlink { target: Vec<u8> },
}

/// These bytes are not such an archive.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the tar stream is wrong: {0}")]
pub(crate) struct TarError(pub(crate) String);

impl TarReader {
    pub(crate) fn new() -> TarReader {
        TarReader {
            header: [0; BLOCK],
            have: 0,
            state: State::Header,
        }
    }

    /// Takes the next piece off the front of `input`; `None` when the input is used up.
    pub(crate) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, TarError> {
        loop {
            match &mut self.state {
                State::Body { left: 0, padding } => {
                    self.state = State::Padding(*padding);
                    return Ok(Some(Piece::FileEnd));
                }
                _ if input.is_empty() => return Ok(None),
                State::Body { left, .. } => {
                    let data = split(input, *left);
                    *left -= data.len() as u64;
                    return Ok(Some(Piece::Data(data)));
                }
                State::Padding(0) => self.state = State::Header,
                State::Padding(left) => {
                    let padding = split(input, *left);
                    *left -= padding.len() as u64;
                    if padding.iter().any(|byte| *byte != 0) {
                        return Err(wrong("padding that is not zero"));
                    }
                }
                State::Header | State::Trailer { .. } => {
                    let part = split(input, (BLOCK - self.have) as u64);
                    self.header[self.have..self.have + part.len()].copy_from_slice(part);
                    self.have += part.len();
                    if self.have == BLOCK {
                        self.have = 0;
                        if let Some(member) = self.block()? {
                            return Ok(Some(Piece::Member(member)));
                        }
                    }
                }
            }
        }
    }

    /// The archive ends here: it must have had its trailer.
    pub(crate) fn finish(&self) -> Result<(), TarError> {
        match self.state {
            State::Trailer { blocks: 2.. } if self.have == 0 => Ok(()),
            _ => Err(wrong("it ends before its trailer")),
        }
    }

    fn block(&mut self) -> Result<Option<Member>, TarError> {
        let zero = self.header.iter().all(|byte| *byte == 0);
        match (&mut self.state, zero) {
            (State::Trailer { blocks }, true) => {
                *blocks = blocks.saturating_add(1);
                Ok(None)
            }
            (State::Trailer { .. }, false) => Err(wrong("bytes after its trailer")),
            (_, true) => {
                self.state = State::Trailer { blocks: 1 };
                Ok(None)
            }
            (_, false) => {
                let member = member(&self.header)?;
                if let MemberKind::File { size } = member.kind {
                    self.state = State::Body {
                        left: size,
                        padding: size.wrapping_neg() % BLOCK as u64,
                    };
                }
                Ok(Some(member))
            }
        }
    }
}

fn split<'a>(input: &mut &'a [u8], at_most: u64) -> &'a [u8] {
    let (front, rest) = input.split_at(usize::try_from(at_most).unwrap_or(usize::MAX).min(input.len()));
    *input = rest;
    front
}

fn wrong(what: impl Into<String>) -> TarError {
    TarError(what.into())
}

fn member(header: &[u8; BLOCK]) -> Result<Member, TarError> {
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            if (148..156).contains(&at) {
                u64::from(b' ')
            } else {
                u64::from(*byte)
            }
        })
        .sum();
    if number(&header[148..156])? != sum {
        return Err(wrong("a header's checksum does not fit"));
    }
    if &header[257..262] != b"ustar" {
        return Err(wrong("a header is not of the ustar format"));
    }
    let mut path = text(&header[345..500]).to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(text(&header[..100]));
    let size = number(&header[124..136])?;
    let kind = match header[156] {
        b'0' | 0 => MemberKind::File { size },
        b'5' => MemberKind::Directory,
        b'2' => MemberKind::Symlink {
            target: text(&header[157..257]).to_vec(),
        },
        other => {
            return Err(wrong(format!(
                "a member of type {:?} that PostgreSQL does not write",
                char::from(other)
            )));
        }
    };
    if size != 0 && !matches!(kind, MemberKind::File { .. }) {
        return Err(wrong("a directory or link with content"));
    }
    if !matches!(kind, MemberKind::File { .. }) && path.last() == Some(&b'/') {
        path.pop();
    }
    // PostgreSQL names one directory of each archive this way: ./pg_wal/archive_status.
    if path.starts_with(b"./") {
        path.drain(..2);
    }
    if !is_plain(&path) {
        return Err(wrong(format!(
            "the path {:?} leaves the directory",
            String::from_utf8_lossy(&path)
        )));
    }
    let small = |range: std::ops::Range<usize>| {
        number(&header[range]).and_then(|value| u32::try_from(value).map_err(|_| wrong("a number is too large")))
    };
    Ok(Member {
        path,
        kind,
        mode: small(100..108)? & 0o7777,
        uid: small(108..116)?,
        gid: small(116..124)?,
        mtime: i64::try_from(number(&header[136..148])?).map_err(|_| wrong("a time is too large"))?,
    })
}

/// Relative, and without `.`, `..` or empty components.
fn is_plain(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/')
        .all(|part| !matches!(part, b"" | b"." | b".."))
}

fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    &field[..end]
}

/// Octal digits, or big-endian after a byte 0x80 as GNU tar and PostgreSQL write what octal cannot hold.
fn number(field: &[u8]) -> Result<u64, TarError> {
    if field[0] == 0x80 {
        let mut value: u64 = 0;
        for byte in &field[1..] {
            value = value.checked_mul(256).ok_or_else(|| wrong("a number is too large"))? | u64::from(*byte);
        }
        return Ok(value);
    }
    let digits = text(field);
    let digits = digits.strip_suffix(b" ").unwrap_or(digits);
    if !digits.iter().all(|byte| (b'0'..=b'7').contains(byte)) {
        return Err(wrong("a number is not octal"));
    }
    Ok(digits.iter().fold(0, |value, byte| value << 3 | u64::from(byte - b'0')))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A member's header as PostgreSQL writes it.
    pub(in crate::postgres) fn header(path: &[u8], kind: u8, size: u64) -> Vec<u8> {
        let mut header = vec![0; BLOCK];
        header[..path.len()].copy_from_slice(path);
        header[100..108].copy_from_slice(b"0000600\0");
        header[108..116].copy_from_slice(b"0000145\0");
        header[116..124].copy_from_slice(b"0000146\0");
        header[124..136].copy_from_slice(format!("{size:011o} ").as_bytes());
        header[136..148].copy_from_slice(b"14600000000 ");
        header[156] = kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        seal(header)
    }

    /// Content filled up to whole blocks.
    pub(in crate::postgres) fn padded(content: &[u8]) -> Vec<u8> {
        let mut bytes = content.to_vec();
        bytes.resize(content.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    fn seal(mut header: Vec<u8>) -> Vec<u8> {
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header
    }

    fn archive() -> Vec<u8> {
        let mut bytes = header(b"base/", b'5', 0);
        bytes.extend(header(b"base/1", b'0', 700));
        bytes.extend(padded(&[7; 700]));
        bytes.extend(header(b"empty", b'0', 0));
        bytes.extend([0; 1024]);
        bytes
    }

    /// Every piece, with contents joined.
    fn read(bytes: &[u8], cut: usize) -> Result<Vec<(Vec<u8>, usize)>, TarError> {
        let mut reader = TarReader::new();
        let mut members = Vec::new();
        for mut part in bytes.chunks(cut.max(1)) {
            while let Some(piece) = reader.next(&mut part)? {
                match piece {
                    Piece::Member(member) => members.push((member.path, 0)),
                    Piece::Data(data) => members.last_mut().unwrap().1 += data.len(),
                    Piece::FileEnd => {}
                }
            }
        }
        reader.finish()?;
        Ok(members)
    }

    #[test]
    fn members_come_out_the_same_in_every_cut() {
        let expected = vec![(b"base".to_vec(), 0), (b"base/1".to_vec(), 700), (b"empty".to_vec(), 0)];
        for cut in [1, 7, 511, 512, 513, 100_000] {
            assert_eq!(read(&archive(), cut).unwrap(), expected, "cut {cut}");
        }
    }

    #[test]
    fn paths_that_leave_the_directory_are_refused() {
        for path in [
            &b"/etc/passwd"[..],
            b"../x",
            b"a/../../x",
            b"a//b",
            b"././a",
            b".//a",
            b"a/.",
            b"",
        ] {
            let error = read(&header(path, b'0', 0), 512).unwrap_err();
            assert!(error.0.contains("leaves"), "{error}");
        }
    }

    #[test]
    fn an_archive_that_is_cut_short_is_refused_at_every_byte() {
        let whole = archive();
        for end in 0..whole.len() {
            assert!(read(&whole[..end], 512).is_err(), "{end}");
        }
    }

    #[test]
    fn a_flipped_header_is_refused() {
        let mut bytes = archive();
        bytes[520] ^= 1;
        assert!(read(&bytes, 512).unwrap_err().0.contains("checksum"));
    }

    #[test]
    fn large_numbers_are_read_and_absurd_ones_refused() {
        let mut large = header(b"f", b'0', 0);
        large[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        let mut reader = TarReader::new();
        let large = seal(large);
        let Ok(Some(Piece::Member(member))) = reader.next(&mut &large[..]) else {
            panic!("no member")
        };
        assert_eq!(member.kind, MemberKind::File { size: 2 << 32 });
        let mut absurd = header(b"f", b'0', 0);
        absurd[124..136].copy_from_slice(&[0x80, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]);
        assert!(read(&seal(absurd), 512).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000), cut in 1_usize..700) {
            let _ = read(&bytes, cut);
        }

        #[test]
        fn no_damage_makes_it_panic_or_yield_more_than_was_sent(at in 0_usize..3584, value in any::<u8>(), cut in 1_usize..700) {
            let mut bytes = archive();
            let at = at % bytes.len();
            bytes[at] = value;
            if let Ok(members) = read(&bytes, cut) {
                prop_assert!(members.iter().map(|(_, size)| size).sum::<usize>() <= bytes.len());
            }
        }
    }
}
