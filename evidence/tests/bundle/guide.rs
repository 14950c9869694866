//! The guide inside a bundle, run as it stands: a shell, OpenSSL and sha256sum must find what muster finds.

use std::{path::Path, process::Output};

use super::*;

/// The code blocks of VERIFY.md, in order.
fn guide(bundle: &[u8]) -> String {
    let text = String::from_utf8(members(bundle)["VERIFY.md"].clone()).unwrap();
    text.split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

pub(super) fn extract(bundle: &[u8], folder: &Path) {
    fs::write(folder.join("BUNDLE.tar"), bundle).unwrap();
    let output = Command::new("tar")
        .args(["-xf", "BUNDLE.tar"])
        .current_dir(folder)
        .output();
    let output = output.expect("this test needs tar: apt-get install tar");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    fs::remove_file(folder.join("BUNDLE.tar")).unwrap();
}

fn sh(script: &str, folder: &Path, root: &Path) -> Output {
    Command::new("sh")
        .args(["-c", script])
        .current_dir(folder)
        .env("ROOT", root)
        .output()
        .unwrap()
}

fn needs_openssl() {
    let version = Command::new("openssl").arg("version").output();
    version.expect("this test needs openssl: apt-get install openssl");
}

#[test]
fn the_guide_inside_verifies_with_openssl_and_sha256sum_alone() {
    needs_openssl();
    let (bundle, scratch) = (sealed(), tempfile::tempdir().unwrap());
    let (folder, held) = (scratch.path().join("bundle"), scratch.path().join("held.pub"));
    fs::create_dir(&folder).unwrap();
    fs::write(&held, root().to_pem()).unwrap();
    extract(&bundle, &folder);

    let output = sh(&guide(&bundle), &folder, &held);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("Signature Verified Successfully\nevery check passed\n"));

    // The two lines that the guide gives to run all blocks at once.
    let text = fs::read_to_string(folder.join("VERIFY.md")).unwrap();
    let introduction = text.split("\n```sh\n").next().unwrap();
    let indented: Vec<_> = introduction
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .collect();
    let [extracting, running] = indented[..] else {
        panic!("{indented:?}")
    };
    let running = running.replace("/path/to/the/root.pub/that/you/hold", held.to_str().unwrap());
    let output = sh(&format!("{extracting}\n{running}"), &folder, Path::new(""));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let other = scratch.path().join("other.pub");
    fs::write(&other, key(Role::Writer).public().to_pem()).unwrap();
    assert!(
        !sh(&guide(&bundle), &folder, &other).status.success(),
        "another root than the one that one holds"
    );
    assert!(
        !sh(&format!("unset ROOT\n{}", guide(&bundle)), &folder, &held)
            .status
            .success(),
        "no root"
    );
}

#[test]
fn the_guide_inside_does_without_what_is_not_there() {
    needs_openssl();
    let (folder, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let held = scratch.path().join("held.pub");
    fs::write(&held, root().to_pem()).unwrap();
    extract(&minimal(), folder.path());
    let output = sh(&guide(&minimal()), folder.path(), &held);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_guide_inside_finds_what_muster_finds() {
    needs_openssl();
    let (bundle, scratch) = (sealed(), tempfile::tempdir().unwrap());
    let held = scratch.path().join("held.pub");
    fs::write(&held, root().to_pem()).unwrap();
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    for name in members(&bundle).into_keys() {
        let mut changed = members(&bundle);
        changed.insert(name.clone(), b"other".to_vec());
        cases.push((format!("{name} altered"), as_tar(&changed)));
        let covered = !name.starts_with("statement.dsse") && name != "SHA256SUMS";
        if covered {
            cases.push((format!("{name} altered and summed"), summed(changed)));
        }
    }
    let mut more = members(&bundle);
    more.insert("inputs/more".to_owned(), b"more".to_vec());
    cases.push(("a file added".to_owned(), as_tar(&more)));
    cases.push(("a file added and summed".to_owned(), summed(more)));
    for role in [Role::Writer, Role::Root] {
        let mut members = members(&bundle);
        members.insert("trust/auditor.pub".to_owned(), key(role).public().to_pem().into_bytes());
        cases.push((format!("signed by the {role}"), resigned(members, &key(role), |_| ())));
    }
    let card = format!("rehearsals/accounts-{REHEARSAL}.dsse.json");
    for role in [Role::Writer, Role::Auditor] {
        let honest = inspect(&members(&bundle)[&card]).unwrap().payload;
        let mut members = members(&bundle);
        members.insert(card.clone(), seal(payload::SCORECARD, &honest, &key(role)));
        let pem = key(role).public().to_pem().into_bytes();
        members.insert(format!("trust/signers/{}.pub", key(role).public().id()), pem);
        cases.push((
            format!("a scorecard by the {role}"),
            resigned(members, &key(Role::Auditor), |_| ()),
        ));
    }
    let mut cut = members(&bundle);
    cut.retain(|name, _| !name.starts_with("trust/keys-00000001"));
    cases.push((
        "the first key document cut off".to_owned(),
        resigned(cut, &key(Role::Auditor), |_| ()),
    ));

    for (i, (why, bundle)) in cases.iter().enumerate() {
        assert!(!verify_bundle(bundle, Some(&root())).valid, "muster: {why}");
        let folder = scratch.path().join(i.to_string());
        fs::create_dir(&folder).unwrap();
        extract(bundle, &folder);
        let output = sh(&guide(&sealed()), &folder, &held);
        assert!(!output.status.success(), "the guide: {why}");
        assert!(
            !String::from_utf8_lossy(&output.stdout).contains("every check passed"),
            "the guide: {why}"
        );
    }
}
