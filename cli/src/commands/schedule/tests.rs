//! The printed entries are read as the schedulers read them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::*;

const STORES: &str = r#"
[repository]
url = "file:///var/lib/muster"
[store.accounts]
kind = "postgres"
url = "postgresql://backup@db1/game"
objectives = { rpo = "1m" }
[store.assets]
kind = "files"
path = "/srv/game/assets"
[store.saves]
kind = "sqlite"
path = "/srv/game/saves.db"
objectives = { rpo = "1h" }
"#;

fn with_job<T>(body: impl FnOnce(&Job<'_>) -> T) -> T {
    let config = Config::parse(STORES, Path::new("/etc/muster/muster.toml")).unwrap();
    body(&Job {
        // `systemd-analyze verify` wants a program that exists.
        program: "/bin/true".into(),
        config_path: "/etc/muster/muster.toml".into(),
        config: &config,
    })
}

/// Sections and keys of a unit file; anything that is not one is an error.
fn read_unit(text: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut sections: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            current = Some(name.to_owned());
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("not a key: {line}"));
        sections
            .entry(current.clone().expect("a key before any section"))
            .or_default()
            .push((key.into(), value.into()));
    }
    sections
}

#[test]
fn systemd_itself_accepts_the_units() {
    let directory = tempfile::tempdir().unwrap();
    let units = with_job(systemd::units).unwrap();
    for (name, text) in &units {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .args(units.iter().map(|(name, _)| directory.path().join(name)))
        .output()
        .expect("systemd-analyze is needed: apt-get install systemd");
    let complaints = String::from_utf8_lossy(&output.stderr);
    // The manual page is not installed where the tests run.
    let complaints: Vec<&str> = complaints
        .lines()
        .filter(|line| !line.contains("man muster(1)"))
        .collect();
    assert!(
        complaints.iter().all(|line| !line.contains("muster-")),
        "{complaints:#?}"
    );
}

#[test]
fn every_store_has_a_confined_backup_that_runs_as_often_as_its_rpo_demands() {
    let units: BTreeMap<String, String> = with_job(systemd::units).unwrap().into_iter().collect();
    for (store, calendar) in [
        ("accounts", "*-*-* *:00/5:00"),
        ("assets", "*-*-* 02:00:00"),
        ("saves", "*-*-* *:00/30:00"),
    ] {
        let timer = read_unit(&units[&format!("muster-backup-{store}.timer")]);
        assert!(
            timer["Timer"].contains(&("OnCalendar".into(), calendar.into())),
            "{store}: {timer:?}"
        );
        let service = read_unit(&units[&format!("muster-backup-{store}.service")]);
        let get = |key: &str| {
            service["Service"]
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value.as_str())
        };
        assert_eq!(
            get("ExecStart"),
            Some(&*format!(
                "/bin/true --config /etc/muster/muster.toml --quiet backup {store}"
            ))
        );
        assert_eq!(get("SuccessExitStatus"), Some("11"));
        assert_eq!(get("NoNewPrivileges"), Some("yes"));
        assert_eq!(get("ProtectSystem"), Some("strict"));
        assert!(get("ReadWritePaths").unwrap().contains("/var/lib/muster"));
    }
    assert!(units["muster-backup-accounts.timer"].contains("# Snapshots alone cannot meet an RPO of 1m."));
    assert!(units.contains_key("muster-rehearse-saves.timer") && units.contains_key("muster-audit.timer"));
}

#[test]
fn calendars_are_ones_that_systemd_understands() {
    for (_, text) in with_job(systemd::units)
        .unwrap()
        .into_iter()
        .filter(|(name, _)| name.ends_with(".timer"))
    {
        let unit = read_unit(&text);
        let (_, calendar) = unit["Timer"]
            .iter()
            .find(|(key, _)| key == "OnCalendar")
            .unwrap()
            .clone();
        let output = Command::new("systemd-analyze")
            .args(["calendar", &calendar])
            .output()
            .expect("apt-get install systemd");
        assert!(
            output.status.success(),
            "{calendar}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn a_crontab_has_five_time_fields_a_user_and_a_command_for_every_store() {
    let text = with_job(|job| cron::table(job, "backup")).unwrap();
    let jobs: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("SHELL="))
        .collect();
    assert_eq!(jobs.len(), 7);
    for line in &jobs {
        let fields: Vec<&str> = line.split_whitespace().collect();
        for (field, (low, high)) in fields.iter().zip([(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]) {
            let number = field.strip_prefix("*/").unwrap_or(field);
            assert!(
                number == "*" || (low..=high).contains(&number.parse::<u32>().unwrap()),
                "{field} in {line}"
            );
        }
        assert_eq!(fields[5], "backup");
        assert_eq!(
            &fields[6..10],
            ["/bin/true", "--config", "/etc/muster/muster.toml", "--quiet"]
        );
        assert!(!line.contains("flock"));
    }
    assert!(
        jobs.iter()
            .any(|line| line.starts_with("*/30 * * * *") && line.contains("backup saves"))
    );
    assert!(with_job(|job| cron::table(job, "root; rm -rf /")).is_err());
}
