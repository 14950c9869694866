//! The repository that the matrix damages: two stores, two points of each, a full log tile, two key documents, files that are found by
//! maps and frames that a later point leans on. Built once, copied for each cell.
//!
//! Invariant: what is damaged is found by reading the repository, never by its order on the disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use muster_archive::object_store::{self, S3Options};
use muster_archive::tree::{Content, Extent, NodeKind, TreeEntry};
use muster_archive::{Identities, Manifest, Point, Repository, layout};
use muster_signing::{Digest, PublicKey, Role, SecretKey};
use muster_testkit::damage::files_beneath;
use muster_testkit::env::TestEnv;
use muster_testkit::trees::noise;

use crate::encryption::FIRST;

/// Blocks of a file that changes page by page.
const BLOCKS: usize = 36;
const BLOCK: usize = 65_536;
const PAGE: usize = 8192;

/// One thing that can be damaged.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// From the top of the test's folder.
    pub(super) path: String,
    /// Another valid object of its kind, from the top of the folder.
    pub(super) other: Option<String>,
    /// What it was earlier.
    pub(super) older: Option<String>,
    /// The byte of which a bit is flipped; else the one in the middle.
    pub(super) at: Option<u64>,
    /// What a message may call it.
    pub(super) names: Vec<String>,
}

/// A whole repository and what lies where in it.
pub(super) struct World {
    pub(super) env: TestEnv,
    pub(super) older: String,
    pub(super) places: BTreeMap<&'static str, Place>,
    sealed: bool,
}

impl World {
    /// In the clear, or sealed to a recipient whose identity is at hand.
    pub(super) fn build(sealed: bool) -> Self {
        let env = TestEnv::in_memory(env!("CARGO_BIN_EXE_muster"));
        fill(&env);
        configure(&env, &env, sealed);
        if sealed {
            env.write("identity.age", FIRST[0]);
        }
        env.ok("init");
        env.ok("backup");
        env.ok("rehearse assets");
        copy(&env.path("repo"), &env.path("earlier/repo"));
        copy(&env.path(".muster"), &env.path("earlier/state"));
        copy(&env.path("src"), &env.path("src-older"));
        env.write("pin-older.txt", env.ok("ledger show --checkpoint").stdout);
        env.ok("keys generate pruner");
        env.ok("init");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(fill_a_tile(&env));
        change(&env);
        env.ok("backup");
        env.ok("rehearse assets");
        env.write("pin.txt", env.ok("ledger show --checkpoint").stdout);
        elsewhere(&env);
        let (older, places) = runtime.block_on(find(&env, sealed));
        Self {
            env,
            older,
            places,
            sealed,
        }
    }

    /// A copy with a repository, keys and local state of its own. The stores stay where they are.
    pub(super) fn copied(&self) -> TestEnv {
        let cell = TestEnv::in_memory(env!("CARGO_BIN_EXE_muster"));
        for folder in ["repo", "keys", ".muster"] {
            copy(&self.env.path(folder), &cell.path(folder));
        }
        for file in ["pin.txt", "identity.age"] {
            if let Ok(bytes) = fs::read(self.env.path(file)) {
                cell.write(file, bytes);
            }
        }
        configure(&cell, &self.env, self.sealed);
        cell
    }
}

pub(super) fn copy(from: &Path, to: &Path) {
    for name in files_beneath(from) {
        fs::create_dir_all(to.join(&name).parent().unwrap()).unwrap();
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

/// Configures `cell` for the stores of `stores`.
fn configure(cell: &TestEnv, stores: &TestEnv, sealed: bool) {
    let mut repository = format!("url = \"file://{}\"", cell.text("repo"));
    if sealed {
        repository.push_str(&format!(
            "\nrecipients = [\"{}\"]\nidentity_file = \"identity.age\"",
            FIRST[1]
        ));
    }
    let (src, saves) = (stores.text("src"), stores.text("saves.db"));
    cell.configure_repository(
        &repository,
        &format!(
            "[store.assets]\nkind = \"files\"\npath = \"{src}\"\n\n[store.saves]\nkind = \"sqlite\"\npath = \"{saves}\""
        ),
    );
}

fn fill(env: &TestEnv) {
    for number in 0..8 {
        env.write(
            &format!("src/file{number}"),
            format!("file {number}, first\n").repeat(20),
        );
    }
    env.write("src/deep/one", "one");
    env.write("src/alone", noise(100_000, 1));
    env.write("src/table", noise(BLOCKS * BLOCK, 2));
    env.write("src/book", noise(BLOCKS * BLOCK, 3));
    let database = rusqlite::Connection::open(env.path("saves.db")).unwrap();
    database
        .execute_batch("create table move(id integer primary key, what text); insert into move(what) values ('first')")
        .unwrap();
}

/// Every second page of two files, one small file, and a row.
fn change(env: &TestEnv) {
    for (name, seed) in [("src/table", 4), ("src/book", 5)] {
        let mut bytes = fs::read(env.path(name)).unwrap();
        let new = noise(bytes.len(), seed);
        for start in (0..bytes.len()).step_by(2 * PAGE) {
            bytes[start..start + PAGE].copy_from_slice(&new[start..start + PAGE]);
        }
        env.write(name, bytes);
    }
    env.write("src/file0", "changed");
    let database = rusqlite::Connection::open(env.path("saves.db")).unwrap();
    database
        .execute("insert into move(what) values ('second')", [])
        .unwrap();
}

/// Another repository, for valid objects that do not belong.
fn elsewhere(env: &TestEnv) {
    let other = TestEnv::in_memory(env!("CARGO_BIN_EXE_muster"));
    other.write("src/a", "a");
    other.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    other.ok("init");
    other.ok("backup");
    copy(&other.path("repo"), &env.path("elsewhere/repo"));
    copy(&other.path("keys"), &env.path("elsewhere/keys"));
}

async fn open(env: &TestEnv) -> Repository {
    let (url, options) = (format!("file://{}", env.text("repo")), S3Options::default());
    let place = object_store::open(&url, &options).await.unwrap();
    let root = PublicKey::from_pem(&fs::read_to_string(env.path("keys/root.pub")).unwrap()).unwrap();
    Repository::open(place, Some(&root), &env.path(".muster"))
        .await
        .unwrap()
}

/// Logs one configuration after another until a bundle and a tile are full.
async fn fill_a_tile(env: &TestEnv) {
    let repository = open(env).await;
    let pem = fs::read_to_string(env.path("keys/signing.pem")).unwrap();
    let key = SecretKey::from_pem(&pem).unwrap();
    for number in 0..256 {
        let stores = BTreeMap::from([(format!("store{number}"), "files".to_owned())]);
        let none = serde_json::Value::Null;
        repository
            .log_configuration(&stores, &none, &none, &key, &Counting)
            .await
            .unwrap();
    }
}

/// A clock that stands, and bytes that nothing here needs to be random.
struct Counting;

impl muster_archive::Edge for Counting {
    fn now_ms(&self) -> u64 {
        1_764_000_000_000
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// What a snapshot of `assets` consists of.
struct Parts {
    manifest: Manifest,
    object: String,
    leaf: Digest,
    entries: Vec<TreeEntry>,
}

impl Parts {
    async fn of(repository: &Repository, point: &Point) -> Self {
        let manifest = repository.manifest(point).await.unwrap().0.value;
        let index = repository.tree_index(&manifest).await.unwrap();
        let [leaf] = index.leaves[..] else { panic!("a leaf") };
        Self {
            object: layout::manifest(&point.store, &point.snapshot),
            entries: repository.read_leaf(&leaf).await.unwrap(),
            manifest,
            leaf,
        }
    }

    fn content(&self, path: &str) -> &Content {
        let entry = self.entries.iter().find(|entry| entry.path == path.as_bytes()).unwrap();
        let NodeKind::File { content, .. } = &entry.kind else {
            panic!("{path} is a file")
        };
        content
    }

    fn map(&self, path: &str) -> Digest {
        let Content::Maps(maps) = self.content(path) else {
            panic!("{path} has a map")
        };
        maps[0]
    }

    fn run(&self) -> Option<String> {
        let run = self.manifest.encryption.as_ref()?.runs.last()?;
        Some(layout::run_key(&run.run, run.epoch))
    }
}

async fn find(env: &TestEnv, sealed: bool) -> (String, BTreeMap<&'static str, Place>) {
    let mut repository = open(env).await;
    if sealed {
        repository = repository.with_identities(Identities::read(&env.path("identity.age")).unwrap());
    }
    let points = repository.points().await.unwrap().remove("assets").unwrap();
    let [older_point, newest_point] = &points[..] else {
        panic!("two points")
    };
    let (older, newest) = (
        Parts::of(&repository, older_point).await,
        Parts::of(&repository, newest_point).await,
    );
    let mut places = Places(BTreeMap::new());
    places.documents(&older, &newest);
    places.logs(env, &repository);
    places.trees(&older, &newest);
    let Content::Inline(alone) = newest.content("alone") else {
        panic!("few extents")
    };
    let table = repository.read_map(&newest.map("table")).await.unwrap();
    places.packs(env, alone, &table);
    places.local(env, &repository, &newest);
    (older_point.snapshot.clone(), places.0)
}

struct Places(BTreeMap<&'static str, Place>);

impl Places {
    /// An object of the repository, called by its name or by the last part of it.
    fn add(&mut self, kind: &'static str, object: &str, other: Option<&str>) -> &mut Place {
        let place = Place {
            path: format!("repo/{object}"),
            other: other.map(|other| format!("repo/{other}")),
            names: vec![object.to_owned(), object.rsplit('/').next().unwrap().to_owned()],
            ..Place::default()
        };
        self.0.insert(kind, place);
        self.0.get_mut(kind).unwrap()
    }

    fn documents(&mut self, older: &Parts, newest: &Parts) {
        let descriptor = self.add("descriptor", layout::DESCRIPTOR, None);
        descriptor.other = Some("elsewhere/repo/muster.dsse".to_owned());
        let (first, second) = (layout::key_document(1), layout::key_document(2));
        let document = |epoch| format!("key document of epoch {epoch}");
        self.add("key document, first", &first, Some(&second))
            .names
            .push(document(1));
        self.add("key document, newest", &second, Some(&first))
            .names
            .push(document(2));
        self.add("manifest of the latest point", &newest.object, Some(&older.object));
        self.add("manifest of an older point", &older.object, Some(&newest.object));
        let list = |parts: &Parts| layout::list(&parts.manifest.list.root);
        self.add("public list of the latest point", &list(newest), Some(&list(older)));
        self.add("public list of an older point", &list(older), Some(&list(newest)));
        if let (Some(late), Some(early)) = (newest.run(), older.run()) {
            // A wrapped key is called by its run.
            let called = |object: &str| object.split('/').nth(1).unwrap().to_owned();
            self.add("wrapped run key of the latest run", &late, Some(&early)).names = vec![called(&late)];
            self.add("wrapped run key of an older run", &early, Some(&late)).names = vec![called(&early)];
        }
    }

    fn logs(&mut self, env: &TestEnv, repository: &Repository) {
        let objects = files_beneath(&env.path("repo/ledger"));
        let key = |role| repository.keys().keys(role)[0].id().to_string();
        let (writer, rehearser) = (key(Role::Writer), key(Role::Rehearser));
        let of = |key: &str, wanted: &dyn Fn(&str) -> bool| {
            let mut found: Vec<_> = objects
                .iter()
                .filter(|name| name.starts_with(key) && wanted(name))
                .collect();
            // The widest partial one is the one at the right edge.
            found.sort_by_key(|name| name.rsplit('/').next().unwrap().parse::<u32>().unwrap_or(0));
            format!("ledger/{}", found.last().unwrap())
        };
        let mut add = |kind, part: &str| {
            // A full one ends so; a partial one is of this folder.
            let holds = |name: &str| name.ends_with(part) || part.ends_with('/') && name.contains(part);
            let (path, other) = (
                of(&writer, &holds),
                of(&rehearser, &|name| name.contains("tile/entries/000")),
            );
            let other = match part.contains("entries") {
                true => other,
                false => of(&rehearser, &|name| name.contains("tile/0/000")),
            };
            let incarnation = path.split('/').nth(2).unwrap().to_owned();
            self.add(kind, &path, Some(&other)).names.push(incarnation);
        };
        add("superseded partial tile", "tile/0/000.p/");
        add("superseded partial bundle", "tile/entries/000.p/");
        add("hash tile, full", "tile/0/000");
        add("hash tile, partial", "tile/0/001.p/");
        add("hash tile of level 1", "tile/1/000.p/");
        add("entry bundle, full", "tile/entries/000");
        add("entry bundle, partial", "tile/entries/001.p/");
        let checkpoint = |key: &str| of(key, &|name| name.ends_with("/checkpoint"));
        for (kind, of, other) in [
            ("log checkpoint of the writer", &writer, &rehearser),
            ("log checkpoint of the rehearser", &rehearser, &writer),
        ] {
            let path = checkpoint(of);
            let place = self.add(kind, &path, Some(&checkpoint(other)));
            place.older = Some(format!("earlier/repo/{path}"));
            place.names = vec![path.split('/').nth(2).unwrap().to_owned()];
        }
        let scorecards = files_beneath(&env.path("repo/rehearsals"));
        let [early, late] = &scorecards[..] else {
            panic!("two scorecards")
        };
        self.add(
            "scorecard of the latest rehearsal",
            &format!("rehearsals/{late}"),
            Some(&format!("rehearsals/{early}")),
        );
    }

    fn trees(&mut self, older: &Parts, newest: &Parts) {
        let root = |parts: &Parts| layout::tree(&parts.manifest.tree.root);
        self.add("tree index of the latest point", &root(newest), Some(&root(older)));
        self.add("tree index of an older point", &root(older), Some(&root(newest)));
        let leaf = |parts: &Parts| layout::tree(&parts.leaf);
        self.add("listing leaf of the latest point", &leaf(newest), Some(&leaf(older)));
        let map = |path| layout::tree(&newest.map(path));
        self.add("extent map", &map("table"), Some(&map("book")));
    }

    fn packs(&mut self, env: &TestEnv, alone: &[Extent], table: &[Extent]) {
        let first = alone[0].location.unwrap();
        let holds = |leaned: bool| {
            let fits = |extent: &&Extent| extent.location.is_some_and(|at| (at.pack == first.pack) == leaned);
            table.iter().find(fits).unwrap()
        };
        let (leaned, changed) = (holds(true), holds(false));
        let (early, late) = (layout::pack(&first.pack), layout::pack(&changed.location.unwrap().pack));
        self.add("pack that later points lean on", &early, Some(&late));
        self.add("pack of the latest run", &late, Some(&early));
        let middle = |extent: &Extent| {
            let at = extent.location.unwrap();
            u64::from(at.offset + at.within) + extent.length / 2
        };
        let length = fs::metadata(env.path(format!("repo/{early}"))).unwrap().len();
        self.add("header of a pack", &early, None).at = Some(20);
        self.add("frame of one file", &early, None).at = Some(middle(&alone[0]));
        self.add("frame that a later point leans on", &early, None).at = Some(middle(leaned));
        self.add("frame of changed pages", &late, None).at = Some(middle(changed));
        self.add("directory of a pack", &early, None).at = Some(length - 24);
        self.add("trailer of a pack", &early, None).at = Some(length - 2);
    }

    fn local(&mut self, env: &TestEnv, repository: &Repository, newest: &Parts) {
        let state = format!(".muster/{}", repository.id());
        let cached = files_beneath(&env.path(format!("{state}/index/assets")));
        let root = newest.manifest.index.as_ref().unwrap().root.hex();
        let of_kind = |kind: u8, folder: &str| {
            let is_it = |name: &&String| fs::read(env.path(format!("{folder}/{name}"))).unwrap()[8] == kind;
            files_beneath(&env.path(folder)).iter().find(is_it).cloned()
        };
        for (kind, local, number) in [
            ("writer's index: root", "index cache: root", 1),
            ("writer's index: directory chunk", "index cache: directory chunk", 2),
            ("writer's index: leaf", "index cache: leaf", 3),
        ] {
            let folder = format!("{state}/index/assets");
            let name = if number == 1 {
                root.clone()
            } else {
                of_kind(number, &folder).unwrap()
            };
            assert!(cached.contains(&name), "{name} is cached");
            let other = of_kind(number, "repo/index/saves").map(|name| format!("index/saves/{name}"));
            let object = format!("index/assets/{}/{name}", &name[..2]);
            let place = self.add(kind, &object, other.as_deref()).clone();
            let place = Place {
                path: format!("{folder}/{name}"),
                ..place
            };
            self.0.insert(local, place);
        }
        let heads = |role| format!("heads/{}.json", repository.keys().keys(role)[0].id());
        let mut local = |kind, path: String, other: Option<String>, older: Option<String>| {
            // A log is called by its key.
            let name = path.rsplit('/').next().unwrap();
            let names = vec![name.trim_end_matches(".json").to_owned()];
            let place = Place {
                path,
                other,
                older,
                names,
                at: None,
            };
            self.0.insert(kind, place);
        };
        local(
            "remembered heads of the writer's log",
            format!("{state}/{}", heads(Role::Writer)),
            Some(format!("{state}/{}", heads(Role::Rehearser))),
            Some(format!("earlier/state/{}/{}", repository.id(), heads(Role::Writer))),
        );
        local(
            "remembered key epoch",
            format!("{state}/epoch"),
            None,
            Some(format!("earlier/state/{}/epoch", repository.id())),
        );
        local("pin", "pin.txt".to_owned(), None, Some("pin-older.txt".to_owned()));
        local(
            "keys/index.key",
            "keys/index.key".to_owned(),
            Some("elsewhere/keys/index.key".to_owned()),
            None,
        );
        local(
            "journal of an interrupted backup",
            format!("{state}/journal/assets"),
            Some("pin.txt".to_owned()),
            None,
        );
        local(
            "list of suspected objects",
            format!("{state}/suspects"),
            Some("pin.txt".to_owned()),
            None,
        );
    }
}
