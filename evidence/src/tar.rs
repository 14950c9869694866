//! The bundle's container: ustar, in exactly one spelling.
//!
//! Every header is a function of the member's name and size alone, members are sorted, padding is zero, and two zero blocks
//! end the file. A reader computes each header again and compares it, so that no byte of the file is free.

use std::collections::BTreeSet;

/// The largest tar file that is read.
pub const MAX_SIZE: usize = 512 * 1024 * 1024;
/// The most members that are read.
pub const MAX_MEMBERS: usize = 10_000;

const BLOCK: usize = 512;

/// One file of a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its path inside.
    pub name: String,
    /// Its content.
    pub bytes: &'a [u8],
}

/// Why bytes are not a tar in canonical form, or cannot become one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// Larger, or of more members, than is read.
    #[error("larger than {MAX_SIZE} bytes or {MAX_MEMBERS} members")]
    TooLarge,
    /// The file ends too early, or goes on after its end.
    #[error("at byte {at}: {problem}")]
    NotCanonical {
        /// Where.
        at: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// A name that a member cannot have.
    #[error("{name:?} cannot name a member: use letters, digits and ._@+=- in components of a relative path")]
    Name {
        /// The name.
        name: String,
    },
    /// Members out of order, twice, or a file where another member needs a directory.
    #[error("member {name:?} is there twice, out of order, or both file and directory")]
    Order {
        /// The name.
        name: String,
    },
}

/// Writes members, which must be sorted by the bytes of their names.
///
/// # Errors
///
/// When a name cannot stand in a bundle, names are not strictly ascending, or the whole is too large to be read again.
pub fn encode(members: &[Member<'_>]) -> Result<Vec<u8>, TarError> {
    let padded = |member: &Member<'_>| BLOCK + member.bytes.len().next_multiple_of(BLOCK);
    let size = members.iter().map(padded).sum::<usize>() + 2 * BLOCK;
    if size > MAX_SIZE || members.len() > MAX_MEMBERS {
        return Err(TarError::TooLarge);
    }
    check_order(members)?;
    let mut out = Vec::with_capacity(size);
    for member in members {
        let Some(header) = header(&member.name, member.bytes.len()) else {
            return Err(TarError::Name {
                name: member.name.clone(),
            });
        };
        out.extend_from_slice(&header);
        out.extend_from_slice(member.bytes);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.resize(size, 0);
    Ok(out)
}

/// Reads a tar that [`encode`] wrote, and nothing else.
///
/// # Errors
///
/// When [`encode`] would not write exactly these bytes.
pub fn parse(bytes: &[u8]) -> Result<Vec<Member<'_>>, TarError> {
    if bytes.len() > MAX_SIZE {
        return Err(TarError::TooLarge);
    }
    let wrong = |at, problem| Err(TarError::NotCanonical { at, problem });
    let mut members = Vec::new();
    let mut at = 0;
    loop {
        let Some(block) = bytes.get(at..at + BLOCK) else {
            return wrong(at, "the file ends in the middle");
        };
        if is_zero(block) {
            return match &bytes[at + BLOCK..] {
                rest if rest.len() == BLOCK && is_zero(rest) => check_order(&members).map(|()| members),
                _ => wrong(at, "two zero blocks must end the file, and nothing follow them"),
            };
        }
        if members.len() == MAX_MEMBERS {
            return Err(TarError::TooLarge);
        }
        let (Some(name), Some(size)) = (name_in(block), size_in(block)) else {
            return wrong(at, "a header without a name or size in canonical form");
        };
        if header(&name, size).as_ref().map(<[u8; BLOCK]>::as_slice) != Some(block) {
            return wrong(at, "a header in another than the canonical form");
        }
        at += BLOCK;
        let end = at + size;
        let (Some(content), Some(padding)) = (bytes.get(at..end), bytes.get(end..end.next_multiple_of(BLOCK))) else {
            return wrong(at, "the file ends in the middle of a member");
        };
        if !is_zero(padding) {
            return wrong(end, "padding that is not zero");
        }
        members.push(Member { name, bytes: content });
        at = end.next_multiple_of(BLOCK);
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn check_order(members: &[Member<'_>]) -> Result<(), TarError> {
    let names: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    for (i, member) in members.iter().enumerate() {
        let ascending = i == 0 || members[i - 1].name < member.name;
        let mut above = member.name.match_indices('/').map(|(at, _)| &member.name[..at]);
        if !ascending || above.any(|folder| names.contains(folder)) {
            return Err(TarError::Order {
                name: member.name.clone(),
            });
        }
    }
    Ok(())
}

/// Whether a member may have this name: a relative path of plain components that leaves nowhere.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+=-".contains(&byte);
    let component = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(plain);
    name.len() <= 255 && name.split('/').all(component)
}

/// Name and prefix field: the whole name if it fits, else cut at the first slash that lets both parts fit.
fn cut(name: &str) -> Option<(&str, &str)> {
    if name.len() <= 100 {
        return Some(("", name));
    }
    let fits = |at: &usize| *at <= 155 && name.len() - at - 1 <= 100;
    let at = name.match_indices('/').map(|(at, _)| at).find(fits)?;
    Some((&name[..at], &name[at + 1..]))
}

fn header(name: &str, size: usize) -> Option<[u8; BLOCK]> {
    if !is_name(name) || size > MAX_SIZE {
        return None;
    }
    let (prefix, short) = cut(name)?;
    let mut block = [0; BLOCK];
    let mut put = |at: usize, field: &[u8]| block[at..at + field.len()].copy_from_slice(field);
    put(0, short.as_bytes());
    put(100, b"0000644"); // mode
    put(108, b"0000000"); // owner
    put(116, b"0000000"); // group
    put(124, format!("{size:011o}").as_bytes());
    put(136, b"00000000000"); // time
    put(148, b"        0"); // the checksum counts as spaces; a regular file
    put(257, b"ustar");
    put(263, b"00");
    put(329, b"0000000"); // device numbers
    put(337, b"0000000");
    put(345, prefix.as_bytes());
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Some(block)
}

/// The name that a header block claims; the caller compares the whole header afterwards.
fn name_in(block: &[u8]) -> Option<String> {
    let text = |field: &[u8]| {
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        std::str::from_utf8(&field[..end]).map(str::to_owned).ok()
    };
    let (short, prefix) = (text(&block[..100])?, text(&block[345..500])?);
    Some(if prefix.is_empty() {
        short
    } else {
        format!("{prefix}/{short}")
    })
}

fn size_in(block: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(&block[124..135]).ok()?;
    usize::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member<'a>(name: &str, bytes: &'a [u8]) -> Member<'a> {
        Member {
            name: name.to_owned(),
            bytes,
        }
    }

    fn sample() -> Vec<u8> {
        let long = format!("policies/{}/{}.rego", "d".repeat(90), "f".repeat(90));
        encode(&[
            member("a", b""),
            member("b/c", &[7; 512]),
            member("b/d", b"x"),
            member(&long, b"deny"),
        ])
        .unwrap()
    }

    #[test]
    fn gnu_tar_reads_it_and_finds_the_same() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("t.tar"), sample()).unwrap();
        let output = std::process::Command::new("tar")
            .args(["-xvf", "t.tar"])
            .current_dir(&folder)
            .output();
        let output = output.expect("this test needs tar: apt-get install tar");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        for member in parse(&sample()).unwrap() {
            assert_eq!(std::fs::read(folder.path().join(&member.name)).unwrap(), member.bytes);
        }
    }

    #[test]
    fn every_flipped_bit_that_is_not_content_is_seen() {
        let tar = sample();
        let contents: Vec<_> = parse(&tar)
            .unwrap()
            .iter()
            .map(|member| member.bytes.as_ptr_range())
            .collect();
        for at in 0..tar.len() {
            let inside = contents.iter().any(|range| range.contains(&tar[at..].as_ptr()));
            for bit in 0..8 {
                let mut wrong = tar.clone();
                wrong[at] ^= 1 << bit;
                assert_eq!(parse(&wrong).is_ok(), inside, "byte {at}, bit {bit}");
            }
            assert!(parse(&tar[..at]).is_err(), "cut at {at}");
        }
        assert!(parse(&[&tar[..], &[0; BLOCK]].concat()).is_err());
        assert!(parse(&[&tar[..], &[0]].concat()).is_err());
    }

    #[test]
    fn names_that_leave_collide_or_repeat_are_refused() {
        for name in [
            "", "/a", "../a", "a/..", "a//b", "a/", ".", "a/./b", "a b", "a\nb", "é", "a\\b", "a\0",
        ] {
            assert!(
                matches!(encode(&[member(name, b"")]), Err(TarError::Name { .. })),
                "{name:?}"
            );
        }
        assert!(encode(&[member(&"x".repeat(101), b"")]).is_err(), "no slash to cut at");
        for names in [["a", "a"], ["b", "a"], ["a", "a/b"]] {
            let refused = encode(&names.map(|name| member(name, b"")));
            assert!(matches!(refused, Err(TarError::Order { .. })), "{names:?}");
        }
        // Not neighbours in the order of bytes.
        assert!(encode(&["a", "a-b", "a/b"].map(|name| member(name, b""))).is_err());
    }

    #[test]
    fn a_tar_of_another_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), b"x").unwrap();
        let made = std::process::Command::new("tar")
            .args(["-cf", "t.tar", "--format=ustar", "a"])
            .current_dir(&folder)
            .status();
        assert!(made.expect("this test needs tar: apt-get install tar").success());
        assert!(parse(&std::fs::read(folder.path().join("t.tar")).unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_again(
            members in proptest::collection::btree_map("[a-c]{1,3}(/[a-c.]{1,60}){0,3}", proptest::collection::vec(any::<u8>(), 0..1100), 0..6)
        ) {
            let members: Vec<_> = members.iter().map(|(name, bytes)| member(name, bytes)).collect();
            if let Ok(tar) = encode(&members) {
                let read = parse(&tar).unwrap();
                prop_assert_eq!(&read, &members);
                prop_assert_eq!(encode(&read).unwrap(), tar);
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert!(parse(&bytes).is_err());
        }
    }
}
