//! What a restore makes of a journal and of patterns, for `fuzz/` alone.
//!
//! Not an interface: nothing here is promised to anybody. It exists because these parsers are private and the fuzzer is another crate.

use muster_archive::tree::TreeEntry;
use muster_stores::files::Patterns;

use crate::journal::Journal;

/// The journal in a text, and the text that it would be written as.
pub fn journal_again(text: &str) -> Option<(Journal, String)> {
    let journal = Journal::parse(text)?;
    let again = journal.text();
    Some((journal, again))
}

/// What of a listing a restore takes.
pub fn taken(listing: &[TreeEntry], patterns: Patterns) -> Vec<TreeEntry> {
    crate::plan::fuzzing::taken(listing, patterns)
}
