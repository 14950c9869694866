//! Who can read what: hosts that only write, recipients that come and go, and auditors without any key.

use std::fs;

use muster_testkit::damage::files_beneath;
use muster_testkit::env::TestEnv;
use muster_testkit::trees::{assert_same, noise};

use crate::env;

/// Two pairs of keys as `age-keygen` makes them.
pub(crate) const FIRST: [&str; 2] = [
    "AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZ9K4CN",
    "age15nsf9y4k28p83wth93tf7hafhvfajp45d2mge80ems45gz0c5gys3me64l",
];
const SECOND: [&str; 2] = [
    "AGE-SECRET-KEY-1QGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQ0N3JDM",
    "age1e6xn45wvkce7c7msc9upffw8dmxs9959q5xng369hgzcwrjc04vszex59m",
];
const MARK: &str = "the treasure lies beneath the old oak";

/// Configures a store `assets` whose archives are for `recipients`, on a host with this identity or none.
fn configure(env: &TestEnv, recipients: &[&str], identity: Option<&str>) {
    let mut lines = format!("url = \"file://{}\"\nrecipients = {recipients:?}", env.text("repo"));
    if let Some(identity) = identity {
        env.write("identity.age", format!("# a recovery key\n{identity}\n"));
        lines.push_str("\nidentity_file = \"identity.age\"");
    }
    env.configure_repository(&lines, "[store.assets]\nkind = \"files\"\npath = \"src\"");
}

/// A host that only writes: recipients' public keys, its own keys, the index key.
pub(crate) fn writer() -> TestEnv {
    let env = env();
    env.write("src/notes", format!("{MARK}\n").repeat(100));
    env.write("src/large", noise(20_000_000, 1));
    configure(&env, &[FIRST[1]], None);
    env.ok("init");
    env
}

fn backup(env: &TestEnv) -> (String, u64) {
    let taken = env.ok("backup --json").json();
    let store = &taken["stores"][0];
    (
        store["snapshot"].as_str().unwrap().to_owned(),
        store["added_bytes"].as_u64().unwrap(),
    )
}

#[test]
fn a_host_with_public_recipients_backs_up_incrementally_and_cannot_read_history() {
    let env = writer();
    let (first, whole) = backup(&env);
    let mut large = noise(20_000_000, 1);
    large[9_000_000] ^= 1;
    env.write("src/large", &large);
    let (_, added) = backup(&env);
    assert!(added * 50 < whole, "{added} bytes were added to {whole}");

    for line in [
        "restore assets --to back",
        &format!("restore assets@{first} --to back"),
        "ls assets",
    ] {
        env.run(line)
            .expect_code(12)
            .expect_error_to_name(&["identity_file", FIRST[1]]);
    }
    env.ok("verify --repository");
    env.ok("verify --repository --read-data");
    for object in files_beneath(&env.path("repo")) {
        let bytes = fs::read(env.path("repo").join(&object)).unwrap();
        for word in [MARK.as_bytes(), b"notes", b"large"] {
            let shown = bytes.windows(word.len()).any(|window| window == word);
            assert!(!shown, "{object} shows {:?}", String::from_utf8_lossy(word));
        }
    }

    configure(&env, &[FIRST[1]], Some(FIRST[0]));
    env.ok("restore assets --to back");
    assert_same(&env.path("src"), &env.path("back"));
    env.ok("verify --repository --read-data");
    env.ok("rehearse assets");
}

#[test]
fn a_recipient_reads_what_was_written_while_it_was_one() {
    let env = writer();
    let (alone, whole) = backup(&env);
    configure(&env, &[FIRST[1], SECOND[1]], None);
    let rotated = env.ok("keys rotate --json").json();
    assert_eq!((&rotated["epoch"], &rotated["changed"]), (&2.into(), &true.into()));
    assert_eq!(env.ok("keys rotate --json").json()["changed"], false);
    let (both, again) = backup(&env);
    assert!(
        again * 2 > whole,
        "what one of them cannot read is stored again, not {again} of {whole}"
    );
    let (_, leaned) = backup(&env);
    assert!(
        leaned * 50 < whole,
        "what both can read is leaned on, not {leaned} of {whole}"
    );
    configure(&env, &[SECOND[1]], None);
    env.ok("keys rotate");
    let (late, kept) = backup(&env);
    assert!(
        kept * 50 < whole,
        "what the remaining one can read is leaned on, not {kept} of {whole}"
    );

    let can = |identity: &str, snapshot: &str| {
        configure(&env, &[SECOND[1]], Some(identity));
        let _ = fs::remove_dir_all(env.path("back"));
        let outcome = env.run(&format!("restore assets@{snapshot} --to back"));
        if outcome.code == 0 {
            assert_same(&env.path("src"), &env.path("back"));
        } else {
            outcome.expect_code(12);
            return false;
        }
        true
    };
    assert_eq!(
        (can(FIRST[0], &alone), can(FIRST[0], &both), can(FIRST[0], &late)),
        (true, true, false)
    );
    assert_eq!(
        (can(SECOND[0], &alone), can(SECOND[0], &both), can(SECOND[0], &late)),
        (false, true, true)
    );
}

#[test]
fn losing_every_index_costs_time_and_no_data() {
    let env = writer();
    let (_, whole) = backup(&env);
    fs::remove_dir_all(env.path("repo/index")).unwrap();
    fs::remove_dir_all(env.path(".muster")).unwrap();
    fs::remove_file(env.path("keys/index.key")).unwrap();
    let (_, again) = backup(&env);
    assert!(again * 2 > whole, "{again} of {whole}");
    let (_, leaned) = backup(&env);
    assert!(leaned * 50 < whole, "{leaned} of {whole}");
    configure(&env, &[FIRST[1]], Some(FIRST[0]));
    env.ok("restore assets --to back");
    assert_same(&env.path("src"), &env.path("back"));
}

#[test]
fn a_configuration_neither_weakens_the_root_s_word_nor_pretends_to_encrypt() {
    let env = writer();
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    backup(&env);
    env.run("ls assets").expect_code(12);

    let plain = self::env();
    plain.write("src/a", MARK);
    plain.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    plain.ok("init");
    configure(&plain, &[FIRST[1]], None);
    plain
        .run("backup")
        .expect_code(2)
        .expect_error_to_name(&["recipients", "muster keys rotate"]);
    assert!(!plain.path("repo/snapshots").exists());
}

#[test]
fn the_profile_sees_whether_archives_are_encrypted_in_both_directions() {
    let verdict = |env: &TestEnv| {
        let _ = fs::remove_file(env.path("bundle.tar"));
        let audit = env.run("audit --profile dr-baseline --out bundle.tar --json").json();
        let results = audit["results"].as_array().unwrap().clone();
        let rule = results.iter().find(|result| result["rule"] == "DR-304").unwrap();
        rule["verdict"].as_str().unwrap().to_owned()
    };
    let env = env();
    env.write("src/a", MARK);
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    env.ok("backup");
    assert_eq!(verdict(&env), "warn");
    configure(&env, &[FIRST[1]], None);
    env.ok("keys rotate");
    assert_eq!(verdict(&env), "warn", "its newest point is still in the clear");
    env.ok("backup");
    assert_eq!(verdict(&env), "pass");
}

#[test]
fn an_encrypted_database_is_rehearsed_where_an_identity_is_at_hand() {
    let env = crate::sqlite::saves("wal", "");
    let stores =
        "[store.saves]\nkind = \"sqlite\"\npath = \"saves.db\"\nchecks = [\"select count(*) = 20000 from move\"]";
    let [identity, recipient] = FIRST;
    let lines = format!("url = \"file://{}\"\nrecipients = [{recipient:?}]", env.text("sealed"));
    env.configure_repository(&lines, stores);
    env.ok("init");
    env.ok("backup");
    env.run("rehearse")
        .expect_code(12)
        .expect_error_to_name(&["identity_file", recipient]);
    env.write("recovery.age", identity);
    env.configure_repository(&format!("{lines}\nidentity_file = \"recovery.age\""), stores);
    let rehearsed = env.ok("rehearse --json").json();
    assert_eq!(rehearsed["rehearsals"][0]["verdict"], "PASS");
}

#[test]
fn an_object_that_another_stands_for_or_that_was_altered_is_named_and_never_restored_as_good() {
    let env = writer();
    backup(&env);
    env.write("src/large", noise(20_000_000, 2));
    backup(&env);
    configure(&env, &[FIRST[1]], Some(FIRST[0]));
    let restore = || {
        let _ = fs::remove_dir_all(env.path("back"));
        env.run("restore assets --to back")
    };
    let objects = files_beneath(&env.path("repo"));
    for kind in ["packs/", "trees/", "runs/"] {
        let of_kind: Vec<_> = objects.iter().filter(|object| object.starts_with(kind)).collect();
        let (first, last) = (of_kind[0], of_kind[of_kind.len() - 1]);
        assert_ne!(first, last);
        for object in [first, last] {
            let path = env.path("repo").join(object);
            let good = fs::read(&path).unwrap();
            let other = fs::read(env.path("repo").join(if object == first { last } else { first })).unwrap();
            let mut flipped = good.clone();
            flipped[good.len() / 2] ^= 1;
            for bad in [flipped, other] {
                fs::write(&path, bad).unwrap();
                let name = object.rsplit('/').nth(usize::from(kind == "runs/")).unwrap();
                let found = env.run("verify --repository --read-data").expect_code(7);
                assert!(found.stdout.contains(name), "{object} is not named: {}", found.stdout);
                let outcome = restore();
                if outcome.code == 0 {
                    assert_same(&env.path("src"), &env.path("back"));
                } else {
                    outcome.expect_code(7);
                }
            }
            fs::write(&path, good).unwrap();
        }
    }
    restore().expect_code(0);
}
