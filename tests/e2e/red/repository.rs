//! Rules about the repository itself: what it lacks, where it lies, and who may sign.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

use muster_signing::{KeyDocument, PublicKey, Role, SecretKey};
use muster_testkit::ceph::Ceph;
use muster_testkit::damage::Damage;
use muster_testkit::env::{Outcome, TestEnv};
use muster_testkit::wire::Wire;

use super::{Audit, Shown, beneath};
use crate::env;
use crate::files::assets;

/// What is shown here.
pub(super) const RULES: &[&str] = &["DR-301", "DR-302", "DR-303", "DR-304", "DR-305", "DR-306", "DR-307"];

/// Nothing encrypts yet: there is no right set-up to show beside the wrong one.
const NEVER_RIGHT: &[&str] = &["DR-304"];

#[test]
fn rules_about_the_repository_are_seen_red_and_right_on_disk_and_s3() {
    let mut shown = Shown::default();
    let env = assets("");
    env.write("src/a", "a");
    let points = ["first", "second"].map(|_| {
        let taken = env.ok("backup --json").json();
        taken["stores"][0]["snapshot"].as_str().unwrap().to_owned()
    });
    let at_first = Audit::of(&env);
    shown.red(&at_first, "repository", "warn", &["DR-302", "DR-303", "DR-304"]);
    shown.right(&at_first, "repository", "pass", &["DR-301", "DR-306"]);
    shown.right(&at_first, "repository", "not_applicable", &["DR-305"]);

    left_out(&env, &mut shown);
    missing_manifests(&env, &points, &mut shown);
    missing_role(&env, &mut shown);
    fs::rename(env.path("keys/root.pem"), env.path("root.pem")).unwrap();
    shown.right(&Audit::of(&env), "repository", "pass", &["DR-303"]);
    another_host(&mut shown);
    shown.demand(RULES, NEVER_RIGHT);
}

/// The store that was backed up is no longer configured here.
fn left_out(env: &TestEnv, shown: &mut Shown) {
    let whole = fs::read_to_string(env.path("muster.toml")).unwrap();
    env.write("muster.toml", whole.replace("[store.assets]", "[store.others]"));
    let without = Audit::of(env);
    shown.red(&without, "repository", "warn", &["DR-307"]);
    without.expect_words("repository", "assets", &["DR-307"]);
    env.write("muster.toml", whole);
    shown.right(&Audit::of(env), "repository", "pass", &["DR-307"]);
}

fn missing_manifests(env: &TestEnv, [older, newest]: &[String; 2], shown: &mut Shown) {
    let manifest = |point: &str| env.path(format!("repo/snapshots/assets/{point}.dsse"));
    let taken_away = Damage::Remove.to(&manifest(older));
    let without_older = Audit::of(env);
    shown.red(&without_older, "repository", "fail", &["DR-301"]);
    without_older.expect("assets", "pass", &["DR-001"]);
    drop(taken_away);
    let taken_away = Damage::Remove.to(&manifest(newest));
    let without_newest = Audit::of(env);
    shown.red(&without_newest, "repository", "fail", &["DR-301"]);
    without_newest.expect("assets", "unknown", &["DR-001"]);
    drop(taken_away);
    Audit::of(env).expect("repository", "pass", &["DR-301"]);
}

/// The root signs a key document in which nobody may rehearse; `init` then vouches for the rehearser again.
fn missing_role(env: &TestEnv, shown: &mut Shown) {
    let root = SecretKey::from_pem(&fs::read_to_string(env.path("keys/root.pem")).unwrap()).unwrap();
    let first = fs::read(env.path("repo/keys/00000001.dsse")).unwrap();
    let public: PublicKey = root.public();
    let payload = muster_signing::inspect(&first).unwrap().payload;
    let repository = KeyDocument::parse(&payload).unwrap().repository;
    let first = KeyDocument::verify_chain(&[(1, first)], &public, &repository).unwrap();
    let mut second = KeyDocument::next(&first, &first.created);
    second.keys.retain(|entry| entry.role != Role::Rehearser);
    env.write("repo/keys/00000002.dsse", second.seal(&root).unwrap());
    shown.red(&Audit::of(env), "repository", "fail", &["DR-306"]);
    env.ok("init");
    Audit::of(env).expect("repository", "pass", &["DR-306"]);
}

/// A gateway at an address of this host, seen from here and from a host of its own behind a cable.
fn another_host(shown: &mut Shown) {
    let ceph = Ceph::server();
    let cable = Cable::new();
    let gateway = Wire::at(cable.near, ceph.address(), &[]);
    let env = env();
    env.write("src/a", "a");
    let repository = format!(
        "url = \"{}\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\npath_style = true",
        ceph.fresh_url(),
        gateway.url()
    );
    env.configure_repository(&repository, "[store.assets]\nkind = \"files\"\npath = \"src\"");
    let run = |mut command: Command| {
        command.envs(ceph.environment());
        Outcome::of(command)
    };
    let muster = |line: &str| {
        let mut command = env.command();
        command.args(line.split_whitespace());
        command
    };
    run(muster("init")).expect_code(0);
    run(muster("backup")).expect_code(0);
    let here = Audit::from(run(muster("audit --json")));
    shown.red(&here, "repository", "warn", &["DR-302", "DR-305"]);
    let elsewhere = ["ip", "netns", "exec", &cable.name];
    let there = Audit::from(run(beneath(&elsewhere, &env, "audit --json")));
    shown.right(&there, "repository", "pass", &["DR-302"]);
}

/// A network of its own, with one cable to this host's. Gone with the value.
struct Cable {
    name: String,
    near: Ipv4Addr,
}

impl Cable {
    fn new() -> Self {
        let number = std::process::id();
        let name = format!("mtest{number}");
        let first = u32::from(Ipv4Addr::new(10, 219, 0, 0)) + number % 16_000 * 4;
        let [near, far] = [first + 1, first + 2].map(Ipv4Addr::from);
        ip(&format!("netns add {name}"));
        let cable = Self { name, near };
        let (name, plug) = (&cable.name, format!("mt{number}"));
        ip(&format!("link add {plug}a type veth peer name {plug}b netns {name}"));
        ip(&format!("addr add {near}/30 dev {plug}a"));
        ip(&format!("link set {plug}a up"));
        ip(&format!("-n {name} addr add {far}/30 dev {plug}b"));
        ip(&format!("-n {name} link set {plug}b up"));
        cable
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn ip(line: &str) {
    let output = Command::new("ip").args(line.split(' ')).output();
    let output = output.unwrap_or_else(|error| panic!("ip {line}: {error}: apt-get install iproute2"));
    assert!(
        output.status.success(),
        "ip {line}: {} (these tests run as root)",
        String::from_utf8_lossy(&output.stderr)
    );
}
