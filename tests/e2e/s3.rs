//! What a repository in a bucket costs in requests, counted on the wire before a real S3 server.

use muster_testkit::ceph::Ceph;
use muster_testkit::env::Outcome;
use muster_testkit::proxy::{Deed, Proxy};
use muster_testkit::trees::{assert_same, noise};

use crate::env;

const MIB: usize = 1 << 20;
/// Of data that does not compress.
const DATA: usize = 160 * MIB;

/// So many requests for packs per GiB of packs, at most: what deploy/README.md promises.
const PUTS_PER_GIB: usize = 64;
const GETS_PER_GIB: usize = 320;

#[test]
fn packs_go_and_come_in_few_requests() {
    let ceph = Ceph::server();
    let (url, proxy) = (ceph.fresh_url(), Proxy::before(ceph.address(), |_| Deed::Pass));
    let env = env();
    for file in 0..4 {
        env.write(&format!("src/{file}"), noise(DATA / 4, file));
    }
    env.write("src/small", "small");
    env.configure_repository(
        &format!(
            "url = \"{url}\"\nendpoint = \"{}\"\nregion = \"us-east-1\"",
            proxy.url()
        ),
        "[store.assets]\nkind = \"files\"\npath = \"src\"",
    );
    let run = |line: &str| {
        let mut command = env.command();
        command.args(line.split_whitespace()).envs(ceph.environment());
        Outcome::of(command).expect_code(0)
    };
    let asked = |method: &str, what: &str| {
        let heads = proxy.heads();
        let lines = heads.iter().filter_map(|head| head.lines().next());
        lines
            .filter(|line| line.starts_with(method) && line.contains(what))
            .count()
    };
    run("init");
    run("backup");
    let puts = asked("PUT ", "/packs/");
    assert!(
        (1..=DATA * PUTS_PER_GIB / (1 << 30)).contains(&puts),
        "{puts} PUTs of packs"
    );
    // Everything else together: the log, its head, the manifest, trees, lists and the question whether the server still is what it was.
    let others = asked("PUT ", "/") - puts;
    assert!(others <= 64, "{others} other PUTs");

    let before = asked("", "/");
    run("backup");
    let nothing_new = asked("", "/") - before;
    assert!(nothing_new <= 64, "{nothing_new} requests where nothing changed");

    run("restore assets --to back");
    assert_same(&env.path("src"), &env.path("back"));
    let gets = asked("GET ", "/packs/");
    assert!(
        (1..=DATA * GETS_PER_GIB / (1 << 30)).contains(&gets),
        "{gets} GETs of packs"
    );
}
