//! The table: every kind of object, what may happen to it, and what each command then says.
//!
//! It is data: `matrix.rs` executes it, `page.rs` writes it into `docs/damage.md`.

use std::collections::BTreeMap;

/// The commands, in the order in which they are run and of the codes in a row.
pub(super) const COMMANDS: [&str; 10] = [
    "verify",
    "snapshots",
    "status",
    "restore",
    "older",
    "saves",
    "rehearse",
    "read",
    "backup",
    "again",
];

/// What is run together, so that tests share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Trust,
    Logs,
    Points,
    Trees,
    Packs,
    Index,
    Local,
    Runs,
}

/// Some damages of one kind that everybody answers alike.
pub(super) struct Row {
    pub(super) group: Group,
    /// What is damaged.
    pub(super) kind: &'static str,
    /// On a host that never saw the repository.
    pub(super) fresh: bool,
    pub(super) damages: &'static str,
    /// Exit codes of [`COMMANDS`].
    pub(super) codes: &'static str,
    /// Files of the latest point that are lost; `""` stands for a part of the listing.
    pub(super) lost: &'static [&'static str],
    /// The same of the older point.
    pub(super) lost_older: &'static [&'static str],
    /// What that means.
    pub(super) means: &'static str,
    /// What to do next; what stands in the first backticks is what a command advises.
    pub(super) next: &'static str,
}

impl Row {
    pub(super) fn expected(&self) -> BTreeMap<&'static str, i32> {
        let codes = self.codes.split_whitespace().map(|code| code.parse().unwrap_or(-1));
        COMMANDS.into_iter().zip(codes).collect()
    }
}

impl Row {
    const fn codes(mut self, codes: &'static str) -> Self {
        self.codes = codes;
        self
    }

    const fn loses(mut self, latest: &'static [&'static str], older: &'static [&'static str]) -> Self {
        (self.lost, self.lost_older) = (latest, older);
        self
    }

    const fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    const fn say(mut self, means: &'static str, next: &'static str) -> Self {
        (self.means, self.next) = (means, next);
        self
    }
}

const fn row(group: Group, kind: &'static str, damages: &'static str) -> Row {
    Row {
        group,
        kind,
        fresh: false,
        damages,
        codes: "0 0 0 0 0 0 0 0 0 0",
        lost: &[],
        lost_older: &[],
        means: "",
        next: "",
    }
}

/// All of it.
pub(super) const TABLE: &[Row] = &[
    row(Group::Trust, "descriptor", "gone").codes("10 10 10 10 10 10 10 10 10 10").say("Nothing, but nobody can say whose repository this is: no command reads on.", "`mount it`, where a disk is not there; else put `muster.dsse` back from a copy"),
    row(Group::Trust, "descriptor", "cut flip").codes("7 7 7 7 7 7 7 7 7 7").say("Nothing, but no command reads on.", "`put it back from a copy of the repository`, or from an older version of the object in the bucket"),
    row(Group::Trust, "descriptor", "other").codes("12 12 12 12 12 12 12 12 12 12").say("Nothing: this is another repository's.", "`check [trust] root and [repository] url`; is another disk mounted here?"),
    row(Group::Trust, "key document, first", "gone cut flip other").codes("7 7 7 7 7 7 7 7 7 7").say("Nothing, but who may sign is not known.", "`put it back from a copy of the repository`, or from an older version of the object in the bucket"),
    row(Group::Trust, "key document, newest", "gone cut flip other").codes("7 7 7 7 7 7 7 7 7 7").say("Nothing, but who may sign is not known.", "`put it back from a copy of the repository`, or from an older version of the object in the bucket"),
    row(Group::Logs, "log checkpoint of the writer", "gone cut flip other older").codes("7 7 7 7 7 7 7 7 7 7").say("Nothing, but which points there are is not proven. An older one is a log that went back: this host remembers.", "`put it back from a copy of the repository`, or from an older version of the object in the bucket; until then a point that is named comes back with `--accept-unlogged`"),
    row(Group::Logs, "log checkpoint of the rehearser", "gone cut flip other older").codes("7 0 7 0 0 0 7 7 0 0").say("No data. Rehearsals are neither shown nor logged.", "`put it back from a copy of the repository`, or from an older version of the object in the bucket"),
    row(Group::Logs, "hash tile, full", "gone cut flip other").codes("7 0 0 0 0 0 0 7 0 0").say("Nothing: the entries are there, and tiles are made of them.", "put it back from a copy of the repository; until then it is named"),
    row(Group::Logs, "hash tile, partial", "gone cut flip other").codes("7 0 0 0 0 0 0 7 0 0").say("Nothing: the next entry writes a wider one.", "nothing"),
    row(Group::Logs, "hash tile of level 1", "gone cut flip other").codes("7 0 0 0 0 0 0 7 0 0").say("Nothing: it is made again of the tiles beneath it.", "put it back from a copy of the repository; until then it is named"),
    row(Group::Logs, "entry bundle, full", "gone cut flip other").codes("7 7 0 0 7 0 0 7 0 0").say("Which older points there are, as far as these entries name them. The latest is not concerned.", "`put it back from a copy of the repository`, or from an older version of the object in the bucket"),
    row(Group::Logs, "entry bundle, partial", "gone cut flip other").codes("7 7 7 7 7 7 7 7 7 7").say("The newest entries of the log: no point is proven without them.", "`put it back from a copy of the repository`, or from an older version of the object in the bucket; until then a point that is named comes back with `--accept-unlogged`"),
    row(Group::Logs, "superseded partial tile", "gone cut flip other").say("Nothing: nobody reads it again.", "nothing"),
    row(Group::Logs, "superseded partial bundle", "gone cut flip other").say("Nothing: nobody reads it again.", "nothing"),
    row(Group::Points, "manifest of the latest point", "gone cut flip other").codes("7 7 7 7 0 0 7 7 0 0").say("This point. Its data is there, and no manifest names it.", "`muster restore assets@OLDER --to DIR` gives the older point; the next backup stores again"),
    row(Group::Points, "manifest of an older point", "gone cut flip other").codes("7 7 0 0 7 0 0 7 0 0").say("This point alone.", "`muster verify --repository --read-data`; `muster snapshots` lists the others"),
    row(Group::Points, "public list of the latest point", "gone cut flip other").codes("7 0 0 0 0 0 0 7 0 0").say("Nothing: a restore does not need it. Without it nobody can say whether all objects are there, and the next backup leans on nothing.", "`muster snapshots`; `muster backup` makes a point with a list of its own"),
    row(Group::Points, "public list of an older point", "gone cut flip other").codes("7 0 0 0 0 0 0 7 0 0").say("Nothing: a restore does not need it.", "`muster snapshots`; `muster backup` makes a point with a list of its own"),
    row(Group::Points, "scorecard of the latest rehearsal", "gone cut flip other").codes("7 0 0 0 0 0 0 7 0 0").say("The evidence of one rehearsal.", "`muster snapshots`; `muster rehearse` makes new evidence"),
    row(Group::Trees, "tree index of the latest point", "gone cut").codes("7 0 0 7 0 0 4 7 0 0").say("This point, until it is stored again: nothing else leads to its files.", "`muster restore assets@OLDER --to DIR` gives the older point; the next backup stores again"),
    row(Group::Trees, "tree index of the latest point", "flip other").codes("0 0 0 7 0 0 4 7 0 0").say("The same.", "`muster restore assets@OLDER --to DIR` gives the older point; the next backup stores again"),
    row(Group::Trees, "tree index of an older point", "gone cut").codes("7 0 0 0 7 0 0 7 0 0").say("This point alone.", "`muster snapshots` lists the others"),
    row(Group::Trees, "tree index of an older point", "flip other").codes("0 0 0 0 7 0 0 7 0 0").say("The same.", "`muster snapshots` lists the others"),
    row(Group::Trees, "listing leaf of the latest point", "gone cut other").codes("7 0 0 7 0 0 4 7 0 0").loses(&[""], &[]).say("The files that the leaf lists; all others come back.", "`muster restore assets@OLDER --to DIR` gives the older point; the next backup stores again"),
    row(Group::Trees, "listing leaf of the latest point", "flip").codes("0 0 0 7 0 0 4 7 0 0").loses(&[""], &[]).say("The same.", "`muster restore assets@OLDER --to DIR` gives the older point; the next backup stores again"),
    row(Group::Trees, "extent map", "gone cut other").codes("7 0 0 7 0 0 4 7 0 0").loses(&["table"], &[]).say("Up to 1 GiB of one large file; all others come back.", "`muster restore assets@OLDER --to DIR` gives the older point; the next backup stores again"),
    row(Group::Trees, "extent map", "flip").codes("0 0 0 7 0 0 4 7 0 0").loses(&["table"], &[]).say("The same.", "`muster restore assets@OLDER --to DIR` gives the older point; the next backup stores again"),
    row(Group::Packs, "pack that later points lean on", "gone cut other").codes("7 0 0 7 7 0 4 7 0 0").loses(&["alone", "book", "deep/one", "file1", "file2", "file3", "file4", "file5", "file6", "file7", "table"], &["alone", "book", "deep/one", "file0", "file1", "file2", "file3", "file4", "file5", "file6", "file7", "table"]).say("What lies in it, in every point that leans on it.", "`muster verify --repository assets --read-data`, then `muster backup`: it stores again what is wrong"),
    row(Group::Packs, "pack of the latest run", "gone cut other").codes("7 0 0 7 0 0 4 7 0 0").loses(&["book", "file0", "table"], &[]).say("What that run stored; what did not change since comes back.", "`muster restore assets@OLDER --to DIR` gives the older point; the next backup stores again"),
    row(Group::Packs, "header of a pack", "flip").codes("0 0 0 0 0 0 0 7 0 0").say("Nothing: frames are found without it.", "`muster snapshots`; `muster backup` stores again what lies in the pack"),
    row(Group::Packs, "frame of one file", "flip").codes("0 0 0 7 7 0 4 7 0 0").loses(&["alone"], &["alone"]).say("64 KiB of one file, in each point that has them.", "`muster verify --repository assets --read-data`, then `muster backup`: it stores again what is wrong"),
    row(Group::Packs, "frame that a later point leans on", "flip").codes("0 0 0 7 7 0 4 7 0 0").loses(&["table"], &["table"]).say("A block in the point that stored it, its unchanged pages in those that lean on it.", "`muster verify --repository assets --read-data`, then `muster backup`: it stores again what is wrong"),
    row(Group::Packs, "frame of changed pages", "flip").codes("0 0 0 7 0 0 4 7 0 0").loses(&["table"], &[]).say("These pages; the pages around them come back.", "`muster restore assets@OLDER --to DIR` gives the older point; the next backup stores again"),
    row(Group::Packs, "directory of a pack", "flip").codes("0 0 0 0 0 0 0 7 0 0").say("Nothing: frames are found without it.", "`muster snapshots`; `muster backup` stores again what lies in the pack"),
    row(Group::Packs, "trailer of a pack", "flip").codes("0 0 0 0 0 0 0 7 0 0").say("Nothing: frames are found without it.", "`muster snapshots`; `muster backup` stores again what lies in the pack"),
    row(Group::Index, "writer's index: root", "gone cut flip other").say("Nothing: this host has it in its cache.", "nothing"),
    row(Group::Index, "writer's index: root", "gone cut flip other").fresh().say("Nothing, but the next backup reads and stores again what it would have known.", "nothing"),
    row(Group::Index, "writer's index: directory chunk", "gone cut flip other").say("Nothing: this host has it in its cache.", "nothing"),
    row(Group::Index, "writer's index: directory chunk", "gone cut flip other").fresh().say("Nothing, but the next backup reads and stores again what it would have known.", "nothing"),
    row(Group::Index, "writer's index: leaf", "gone cut flip").say("Nothing: this host has it in its cache.", "nothing"),
    row(Group::Index, "writer's index: leaf", "gone cut flip").fresh().say("Nothing, but the next backup reads and stores again what it would have known.", "nothing"),
    row(Group::Local, "index cache: root", "gone cut flip other").say("Nothing: the repository has it.", "nothing"),
    row(Group::Local, "index cache: directory chunk", "gone cut flip other").say("Nothing: the repository has it.", "nothing"),
    row(Group::Local, "index cache: leaf", "gone cut flip").say("Nothing: the repository has it.", "nothing"),
    row(Group::Local, "remembered heads of the writer's log", "gone older").say("Nothing, but a log that went back meanwhile is not noticed.", "nothing"),
    row(Group::Local, "remembered heads of the writer's log", "cut flip").codes("1 1 1 1 1 1 1 1 1 1").say("Nothing. Nobody goes on as if no head had been seen.", "`delete it to begin anew`, as the message says, where the repository is known not to have gone back"),
    row(Group::Local, "remembered heads of the writer's log", "other").codes("7 7 7 7 7 7 7 7 7 7").say("Nothing: the log seems to be gone.", "`put it back from a copy of the repository`, or from an older version of the object in the bucket"),
    row(Group::Local, "remembered key epoch", "gone cut flip older").say("Nothing, but an older key document in the place of the newest is not noticed by it.", "nothing"),
    row(Group::Local, "pin", "gone").codes("2 0 0 0 0 0 0 0 0 0").say("What was kept elsewhere is to be had from there.", "the pin from where it is kept"),
    row(Group::Local, "pin", "cut flip").codes("7 0 0 0 0 0 0 0 0 0").say("Nothing of the repository: the pin itself is wrong.", "the pin from where it is kept"),
    row(Group::Local, "pin", "older").say("Nothing: it proves less.", "nothing"),
    row(Group::Local, "keys/index.key", "gone other").say("Nothing, but the next backup finds unchanged blocks by their hashes, or stores again.", "nothing"),
    row(Group::Local, "keys/index.key", "cut flip").codes("0 0 0 0 0 0 0 0 1 0").say("Nothing, but no backup runs.", "`move it away`: the next backup makes another"),
    row(Group::Local, "journal of an interrupted backup", "other").say("Nothing: what an interrupted run left is put again.", "nothing"),
    row(Group::Local, "list of suspected objects", "other").say("Nothing, but what was found damaged is leaned on until it is found again.", "nothing"),
    row(Group::Runs, "wrapped run key of the latest run", "gone cut flip other").codes("7 0 0 7 0 0 4 7 0 0").say("What that run sealed.", "`muster restore assets@OLDER --to DIR` gives the older point; the next backup stores again"),
    row(Group::Runs, "wrapped run key of an older run", "gone cut flip other").codes("7 0 0 7 7 0 4 7 0 0").say("What that run sealed, in every point that leans on it.", "`muster verify --repository`, then `muster backup`: it stores again"),
];
