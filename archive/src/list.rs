//! The public list of a snapshot: every object it needs, readable without any key (docs/format/archive.md, "Public list").
//!
//! Invariant: lines are sorted and unique; encoding what was decoded gives the same bytes.

use std::collections::BTreeMap;

use muster_signing::Digest;

const HEAD: &str = "muster-list/1\n";
/// Most bytes of a hunk: 4,096 lines.
pub(crate) const HUNK_MAX: u64 = 4096 * 128;

/// What a line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Named {
    List,
    Pack,
    /// A wrapped run key, under the epoch that the manifest names.
    Run,
    Tree,
}

impl Named {
    fn word(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Pack => "pack",
            Self::Run => "run",
            Self::Tree => "tree",
        }
    }
}

/// The hunks of a list, root last, as (id, object).
pub(crate) fn encode(objects: &BTreeMap<(Named, Digest), u64>) -> Vec<(Digest, Vec<u8>)> {
    let mut hunks: Vec<(Digest, Vec<u8>, u64)> = Vec::new();
    let mut text = HEAD.to_owned();
    let mut lines = 0u64;
    for ((what, id), bytes) in objects {
        text.push_str(&line(*what, id, *bytes));
        lines += 1;
        let cut = id.as_bytes()[31] == 0 && id.as_bytes()[30] & 3 == 0;
        if lines >= 4096 || (cut && lines >= 64) {
            close(&mut hunks, &mut text, &mut lines);
        }
    }
    if lines > 0 || hunks.is_empty() {
        close(&mut hunks, &mut text, &mut lines);
    }
    if hunks.len() > 1 {
        let mut root = HEAD.to_owned();
        for (id, _, lines) in &hunks {
            root.push_str(&line(Named::List, id, *lines));
        }
        hunks.push((Digest::of(root.as_bytes()), root.into_bytes(), 0));
    }
    hunks.into_iter().map(|(id, bytes, _)| (id, bytes)).collect()
}

/// The lines of one hunk.
///
/// # Errors
/// One line that says what is wrong with its form.
pub(crate) fn decode(hunk: &[u8]) -> Result<Vec<(Named, Digest, u64)>, &'static str> {
    let text = std::str::from_utf8(hunk).map_err(|_| "it is not text")?;
    let body = text.strip_prefix(HEAD).ok_or("it does not begin with muster-list/1")?;
    let mut lines = Vec::new();
    for found in body.split_inclusive('\n') {
        let parsed = parse_line(found).ok_or("it has a malformed line")?;
        if line(parsed.0, &parsed.1, parsed.2) != found {
            return Err("it has a malformed line");
        }
        lines.push(parsed);
    }
    if lines.len() <= 1 << 16 {
        Ok(lines)
    } else {
        Err("it has too many lines")
    }
}

fn close(hunks: &mut Vec<(Digest, Vec<u8>, u64)>, text: &mut String, lines: &mut u64) {
    let bytes = std::mem::replace(text, HEAD.to_owned()).into_bytes();
    hunks.push((Digest::of(&bytes), bytes, std::mem::take(lines)));
}

fn line(what: Named, id: &Digest, number: u64) -> String {
    format!("{} {} {number} -\n", what.word(), id.hex())
}

fn parse_line(line: &str) -> Option<(Named, Digest, u64)> {
    let mut words = line.strip_suffix(" -\n")?.split(' ');
    let what = [Named::List, Named::Pack, Named::Run, Named::Tree]
        .into_iter()
        .find(|what| Some(what.word()) == words.clone().next())?;
    words.next();
    let id = Digest::from_hex(words.next()?).ok()?;
    let number = words.next()?.parse().ok()?;
    words.next().is_none().then_some((what, id, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(count: u32) -> BTreeMap<(Named, Digest), u64> {
        (0..count)
            .map(|n| ((Named::Pack, Digest::of(&n.to_le_bytes())), u64::from(n)))
            .collect()
    }

    #[test]
    fn a_short_list_is_one_hunk() {
        let hunks = encode(&objects(3));
        assert_eq!(hunks.len(), 1);
        assert_eq!(decode(&hunks[0].1).unwrap().len(), 3);
        assert_eq!(encode(&objects(0)).len(), 1);
    }

    #[test]
    fn a_long_list_shares_its_unchanged_hunks() {
        let before = encode(&objects(20_000));
        let mut changed = objects(20_000);
        changed.insert((Named::Pack, Digest::of(b"one more")), 1);
        let after = encode(&changed);
        let known: Vec<_> = before.iter().map(|hunk| hunk.0).collect();
        let new = after.iter().filter(|hunk| !known.contains(&hunk.0)).count();
        assert!(after.len() > 10 && new <= 3, "{new} of {} hunks are new", after.len());
        let root = decode(&after.last().unwrap().1).unwrap();
        assert!(root.iter().all(|line| line.0 == Named::List));
        assert_eq!(root.iter().map(|line| line.2).sum::<u64>(), 20_001);
    }

    #[test]
    fn a_line_that_would_not_be_written_so_is_refused() {
        let good = String::from_utf8(encode(&objects(1)).remove(0).1).unwrap();
        for bad in [
            good.replace(" -", "  -"),
            good.replace(" 0 ", " 00 "),
            good.to_uppercase(),
            good.trim_end().to_owned(),
        ] {
            assert!(decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
