//! The journal of a backup that was interrupted: whatever becomes of it, the next backup is whole.

use std::fs;

use muster_testkit::damage::{Harm, files_beneath};
use muster_testkit::env::TestEnv;
use muster_testkit::trees::{assert_same, noise};

use super::world::copy;

/// A host whose backup put all packs and no manifest, and the name of the journal that it left.
fn interrupted() -> (TestEnv, String) {
    let env = crate::env();
    env.write("src/large", noise(80_000_000, 1));
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    // Where the folder of lists is to be made something else stands: the run ends when all packs are put and noted.
    env.write("repo/lists", "in the way");
    env.run("backup").expect_code(1);
    fs::remove_file(env.path("repo/lists")).unwrap();
    let left = files_beneath(&env.path(".muster"));
    let journal = left.iter().find(|name| name.contains("/journal/")).unwrap();
    (env, format!(".muster/{journal}"))
}

#[test]
fn whatever_becomes_of_the_journal_of_an_interrupted_backup_the_next_one_is_whole() {
    let (origin, journal) = interrupted();
    let length = fs::metadata(origin.path(&journal)).unwrap().len();
    let harms = [
        None,
        Some(Harm::Gone),
        Some(Harm::Cut),
        Some(Harm::Flip(Some(20))),
        Some(Harm::Flip(Some(60))),
        Some(Harm::Flip(Some(length - 5))),
        Some(Harm::Replace(b"MUSTJRNL of something else".to_vec())),
        Some(Harm::Replace(Vec::new())),
    ];
    for harm in harms {
        let env = crate::env();
        for folder in ["repo", "keys", ".muster"] {
            copy(&origin.path(folder), &env.path(folder));
        }
        let source = origin.text("src");
        env.configure(&format!("[store.assets]\nkind = \"files\"\npath = \"{source}\""));
        if let Some(harm) = &harm {
            harm.to(&env.path(&journal));
        }
        let backup = env.ok("backup --json").json();
        let added = backup["stores"][0]["added_bytes"].as_u64().unwrap();
        assert!(
            harm.is_some() || added < 20_000_000,
            "{added} bytes although all was there"
        );
        env.ok("restore assets --to back");
        assert_same(&origin.path("src"), &env.path("back"));
        env.ok("verify --repository --read-data");
        let left = files_beneath(&env.path(".muster"));
        assert!(left.iter().all(|name| !name.contains("/journal/")), "{left:?}");
    }
}
