//! The loop: each row of the table, each damage in it, a copy of the repository, and what every command makes of it.
//!
//! Invariant: a command that tells of damage names the object and says what to type next; and what it does not list as lost is there
//! byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use muster_testkit::damage::{Harm, files_beneath};
use muster_testkit::env::{Outcome, TestEnv};

use super::table::{COMMANDS, Group, Row, TABLE};
use super::world::{Place, World};

/// Holds the product to all rows of some groups; says every difference at once.
pub(super) fn hold(groups: &[Group], sealed: bool) {
    let world = World::build(sealed);
    let mut wrong = Vec::new();
    // What a host has in its cache is not asked for, sealed or not.
    let again = |row: &&Row| !sealed || row.group != Group::Index || row.fresh;
    let rows = TABLE.iter().filter(|row| groups.contains(&row.group)).filter(again);
    for row in rows {
        let place = world
            .places
            .get(row.kind)
            .unwrap_or_else(|| panic!("no {} in the repository", row.kind));
        for damage in row.damages.split(' ') {
            Cell {
                world: &world,
                row,
                place,
                damage,
                env: world.copied(),
                wrong: &mut wrong,
            }
            .hold();
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

struct Cell<'a> {
    world: &'a World,
    row: &'a Row,
    place: &'a Place,
    damage: &'a str,
    env: TestEnv,
    wrong: &'a mut Vec<String>,
}

impl Cell<'_> {
    fn hold(mut self) {
        if self.row.fresh {
            fs::remove_dir_all(self.env.path(".muster")).unwrap();
        } else {
            // What a host saw of a repository at this address is part of what it can advise.
            self.env.ok("snapshots");
        }
        self.harm().to(&self.env.path(&self.place.path));
        let expected = self.row.expected();
        let mut codes = BTreeMap::new();
        let mut told = String::new();
        for command in COMMANDS {
            let outcome = self.env.run(&self.line(command));
            let said = format!("{}\n{}", outcome.stdout, outcome.stderr);
            codes.insert(command, outcome.code);
            if matches!(command, "restore" | "older" | "saves" | "again") {
                self.compare(command, &outcome);
            }
            if outcome.code == expected[command] && outcome.code != 0 {
                self.demand_words(command, outcome.code, &said);
            }
            told.push_str(&format!("--- {command}: exit {}\n{said}\n", outcome.code));
        }
        if codes != expected {
            let line = |codes: &BTreeMap<&str, i32>| COMMANDS.map(|command| codes[command].to_string()).join(" ");
            self.note(format!("{}, not {}\n{told}", line(&codes), line(&expected)));
        }
        let hint = self.row.next.split('`').nth(1).unwrap_or_default();
        let hint = hint.replace("OLDER", &self.world.older).replace(" --to DIR", " --to");
        if !hint.is_empty() && !told.contains(&hint) {
            self.note(format!("nobody advises `{hint}`\n{told}"));
        }
    }

    fn harm(&self) -> Harm {
        let read = |path: &Option<String>| {
            let path = path
                .as_ref()
                .unwrap_or_else(|| panic!("{}: no {}", self.row.kind, self.damage));
            Harm::Replace(fs::read(self.world.env.path(path)).unwrap())
        };
        match self.damage {
            "gone" => Harm::Gone,
            "cut" => Harm::Cut,
            "flip" => Harm::Flip(self.place.at),
            "other" => read(&self.place.other),
            "older" => read(&self.place.older),
            unknown => panic!("no damage {unknown}"),
        }
    }

    fn line(&self, command: &str) -> String {
        let older = &self.world.older;
        match command {
            "verify" if self.row.kind == "pin" => "verify --repository --pin pin.txt".to_owned(),
            "verify" => "verify --repository".to_owned(),
            "read" => "verify --repository --read-data".to_owned(),
            "restore" => "restore assets --to back/restore --json".to_owned(),
            "older" => format!("restore assets@{older} --to back/older --json"),
            "saves" => "restore saves --to back/saves --json".to_owned(),
            "rehearse" => "rehearse assets".to_owned(),
            "again" => "restore assets --to back/again --json".to_owned(),
            other => other.to_owned(),
        }
    }

    /// What came back is what was there, but for what is listed as lost; and that is no more than the table says.
    fn compare(&mut self, command: &str, outcome: &Outcome) {
        let (lost, listed) = lost(outcome);
        let may_lose = match command {
            "restore" => self.row.lost,
            "older" => self.row.lost_older,
            _ => &[],
        };
        let may_lose: BTreeSet<String> = may_lose.iter().map(|path| (*path).to_owned()).collect();
        // Where an object is cut depends on what lies before the cut.
        let right = match self.damage {
            "cut" => lost.is_subset(&may_lose) && lost.is_empty() == may_lose.is_empty(),
            _ => lost == may_lose,
        };
        if outcome.code == 7 && listed && !right {
            self.note(format!("{command} lost {lost:?}, not {may_lose:?}"));
        }
        let back = self.env.path(format!("back/{command}"));
        let source = match command {
            "saves" => return,
            "older" => self.world.env.path("src-older"),
            _ => self.world.env.path("src"),
        };
        if !back.exists() && outcome.code != 0 {
            return;
        }
        for name in files_beneath(&source) {
            let same = fs::read(source.join(&name)).ok() == fs::read(back.join(&name)).ok();
            if !(same || lost.contains("") || listed && lost.contains(&name)) {
                self.note(format!("{command}: {name} came back different and is not listed"));
            }
        }
    }

    /// Damage is called by its name, and nobody is left without a next step; of a host's own files the message itself says what to do.
    fn demand_words(&mut self, command: &str, code: i32, said: &str) {
        let named = self.place.names.iter().any(|name| said.contains(name));
        if matches!(code, 4 | 7) && !named {
            self.note(format!("{command} does not name {:?}:\n{said}", self.place.names));
        }
        let advised = said.contains("try: ") || !self.place.path.starts_with("repo/");
        if !advised {
            self.note(format!("{command} advises nothing:\n{said}"));
        }
    }

    fn note(&mut self, what: String) {
        let (kind, damage) = (self.row.kind, self.damage);
        self.wrong.push(format!("{kind} / {damage}: {what}"));
    }
}

/// The files in `lost[]`, and whether there was such a list.
fn lost(outcome: &Outcome) -> (BTreeSet<String>, bool) {
    let Ok(document) = serde_json::from_str::<serde_json::Value>(&outcome.stdout) else {
        return (BTreeSet::new(), false);
    };
    let Some(lost) = document["lost"].as_array() else {
        return (BTreeSet::new(), false);
    };
    let path = |lost: &serde_json::Value| lost["path"].as_str().unwrap().to_owned();
    (lost.iter().map(path).collect(), true)
}
