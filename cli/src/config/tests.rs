//! What a configuration says, and what it may not say.

use super::*;

const WHOLE: &str = r#"
[repository]
url = "s3://bucket/prefix"
endpoint = "http://127.0.0.1:17480"
region = "us-east-1"
path_style = true
profile = "backup"

[signing]
key = "keys/signing.pem"
auditor = "/elsewhere/auditor.pem"

[trust]
root = "trust/root.pub"

[state]
dir = "/var/lib/muster-state"

[limits]
memory = "128MiB"

[store.accounts]
kind = "postgres"
url = "postgresql://backup@db1/game"
password_file = "secret/accounts"
objectives = { rpo = "1m", rto = "15m" }
checks = ["select count(*) > 0 from account"]

[store.saves]
kind = "sqlite"
path = "saves.db"

[store.assets]
kind = "files"
path = "/srv/game/assets"
exclude = ["*.tmp"]
"#;

fn parse(text: &str) -> Result<Config, CommandError> {
    Config::parse(text, Path::new("/etc/muster/muster.toml"))
}

fn refused(text: &str) -> (String, Vec<String>) {
    let error = parse(text).unwrap_err();
    assert_eq!(error.exit().code(), 2, "{}", error.message());
    (error.message(), error.hints().to_vec())
}

fn with_store(lines: &str) -> String {
    format!("[repository]\nurl = \"file:///r\"\n{lines}")
}

#[test]
fn every_documented_key_is_read_and_paths_are_relative_to_the_file() {
    let config = parse(WHOLE).unwrap();
    assert_eq!(config.repository.endpoint.as_deref(), Some("http://127.0.0.1:17480"));
    assert_eq!(config.repository.path_style, Some(true));
    assert_eq!(config.keys.writer, Path::new("/etc/muster/keys/signing.pem"));
    assert_eq!(config.keys.rehearser, Path::new("/etc/muster/keys/rehearser.pem"));
    assert_eq!(config.keys.auditor, Path::new("/elsewhere/auditor.pem"));
    assert_eq!(config.keys.root, Path::new("/etc/muster/keys/root.pem"));
    assert_eq!(config.trust_root, Path::new("/etc/muster/trust/root.pub"));
    assert_eq!(config.state, Path::new("/var/lib/muster-state"));
    assert_eq!(config.memory, 128 << 20);
    assert_eq!(
        config
            .stores
            .iter()
            .map(|store| store.name.as_str())
            .collect::<Vec<_>>(),
        ["accounts", "assets", "saves"]
    );
    let accounts = config.store("accounts").unwrap();
    assert_eq!(accounts.objectives.rpo, Some(Duration::from_secs(60)));
    assert_eq!(accounts.objectives.rto, Some(Duration::from_secs(900)));
    assert_eq!(
        accounts.kind,
        StoreKind::Postgres {
            url: "postgresql://backup@db1/game".into(),
            password_file: Some("/etc/muster/secret/accounts".into())
        }
    );
    assert_eq!(
        config.store("saves").unwrap().kind,
        StoreKind::Sqlite {
            path: "/etc/muster/saves.db".into()
        }
    );
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let config = parse("[repository]\nurl = \"file:repo\"\n").unwrap();
    assert_eq!(config.repository.url, "file:///etc/muster/repo");
    assert_eq!(config.keys.writer, Path::new("/etc/muster/keys/signing.pem"));
    assert_eq!(config.trust_root, Path::new("/etc/muster/keys/root.pub"));
    assert_eq!(config.state, Path::new("/etc/muster/.muster"));
    assert_eq!(config.memory, 256 << 20);
}

#[test]
fn the_template_is_a_configuration_and_so_is_what_it_comments_out() {
    parse(&TEMPLATE.replace("@URL@", "file:///var/lib/muster")).unwrap();
    let shown: String = TEMPLATE
        .replace("@URL@", "file:///var/lib/muster")
        .lines()
        .filter(|line| !line.starts_with("# url = \"s3") && !line.starts_with("# endpoint"))
        .filter(|line| {
            ![
                "# region",
                "# path_style",
                "# profile",
                "# recipients",
                "# identity_file",
            ]
            .iter()
            .any(|key| line.starts_with(key))
        })
        .map(|line| match line.strip_prefix("# ") {
            Some(code) if code.starts_with('[') || code.contains(" = ") => format!("{code}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_eq!(parse(&shown).unwrap().stores.len(), 3);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let (message, hints) = refused(&with_store(
        "[store.a]\nkind = \"sqlite\"\npath = \"/a\"\nobjectves = { rpo = \"1m\" }\n",
    ));
    assert_eq!(
        message,
        "/etc/muster/muster.toml:6: unknown key \"objectves\" in [store.a]"
    );
    assert_eq!(hints, ["did you mean \"objectives\"?"]);
    let (message, hints) = refused("[repositry]\nurl = \"file:///r\"\n");
    assert!(
        message.contains("unknown key \"repositry\" in the top level"),
        "{message}"
    );
    assert_eq!(hints, ["did you mean \"repository\"?"]);
    let (message, _) = refused(&with_store(
        "[store.a]\nkind = \"sqlite\"\npath = \"/a\"\nobjectives = { rpm = \"1m\" }\n",
    ));
    assert!(
        message.contains("unknown key \"rpm\" in [store.a] objectives"),
        "{message}"
    );
}

#[test]
fn a_key_of_another_kind_of_store_is_unknown() {
    let (message, _) = refused(&with_store(
        "[store.a]\nkind = \"sqlite\"\npath = \"/a\"\nexclude = []\n",
    ));
    assert!(message.contains("unknown key \"exclude\" in [store.a]"), "{message}");
}

#[test]
fn recipients_are_public_keys_of_age_each_named_once() {
    let config = |recipients: &str| {
        let text =
            format!("[repository]\nurl = \"file:///r\"\nrecipients = {recipients}\nidentity_file = \"id.age\"\n");
        Config::parse(&text, Path::new("/etc/m/muster.toml"))
    };
    let someone = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let good = config(&format!("[\"{someone}\"]")).unwrap();
    assert_eq!(good.recipients.unwrap(), [someone]);
    assert_eq!(good.identity_file.unwrap(), Path::new("/etc/m/id.age"));
    assert!(config("[]").unwrap().recipients.unwrap().is_empty());
    for bad in ["[\"age1x\"]".to_owned(), format!("[\"{someone}\", \"{someone}\"]")] {
        let error = config(&bad).unwrap_err().message();
        assert!(error.contains("recipients"), "{error}");
    }
}

#[test]
fn a_key_that_promises_what_this_version_cannot_do_is_refused() {
    for (key, text) in [
        (
            "retention",
            "[repository]\nurl = \"file:///r\"\nretention = { last = 7 }\n",
        ),
        (
            "copy",
            "[repository]\nurl = \"file:///r\"\n[[repository.copy]]\nurl = \"file:///c\"\n",
        ),
        (
            "inventory",
            "[repository]\nurl = \"file:///r\"\n[inventory]\nfile = \"i.toml\"\n",
        ),
    ] {
        let (message, hints) = refused(text);
        assert!(
            message.contains(&format!("\"{key}\" in ")) && message.contains("cannot be honoured"),
            "{message}"
        );
        assert!(hints[0].starts_with(&format!("remove \"{key}\"")), "{hints:?}");
    }
}

#[test]
fn a_kind_of_a_later_version_is_refused_by_name() {
    let (message, _) = refused(&with_store("[store.a]\nkind = \"redis\"\nurl = \"redis://x\"\n"));
    assert!(message.contains("kind = \"redis\" is not in this version"), "{message}");
    let (_, hints) = refused(&with_store("[store.a]\nkind = \"postgress\"\nurl = \"x\"\n"));
    assert_eq!(hints, ["did you mean \"postgres\"?"]);
}

#[test]
fn what_is_missing_or_malformed_is_named_with_its_place() {
    assert!(
        refused("[store.a]\nkind = \"sqlite\"\npath = \"/a\"\n")
            .0
            .contains("repository")
    );
    assert!(refused("[repository]\nendpoint = \"x\"\n").0.contains("url"));
    assert!(
        refused(&with_store("[store.a]\nkind = \"sqlite\"\n"))
            .0
            .contains("[store.a] has no \"path\"")
    );
    assert!(
        refused(&with_store("[store.a]\npath = \"/a\"\n"))
            .0
            .contains("[store.a] has no \"kind\"")
    );
    assert!(
        refused(&with_store("[store.\"../x\"]\nkind = \"sqlite\"\n"))
            .0
            .contains("cannot be the name of a store")
    );
    assert!(
        refused("[repository\nurl = 1\n")
            .0
            .starts_with("/etc/muster/muster.toml:1")
    );
    assert!(
        refused("[repository]\nurl = 1\n")
            .0
            .starts_with("/etc/muster/muster.toml:2")
    );
    let (message, _) = refused(&with_store(
        "[store.a]\nkind = \"sqlite\"\npath = \"/a\"\nobjectives = { rpo = \"soon\" }\n",
    ));
    assert!(
        message.contains("[store.a] objectives.rpo: \"soon\" is not a duration"),
        "{message}"
    );
    assert!(
        refused("[repository]\nurl = \"ftp://x\"\n")
            .0
            .contains("neither file:///… nor s3://…")
    );
    assert!(
        refused("[repository]\nurl = \"file:///r\"\n[limits]\nmemory = \"1MiB\"\n")
            .0
            .contains("too few")
    );
}

#[test]
fn a_secret_in_a_url_is_refused_and_never_repeated() {
    for url in [
        "postgresql://backup:hunter2@db1/game",
        "postgresql://db1/game?user=x&password=hunter2",
    ] {
        let (message, hints) = refused(&with_store(&format!(
            "[store.a]\nkind = \"postgres\"\nurl = \"{url}\"\n"
        )));
        assert!(
            message.contains("url carries a password") && !message.contains("hunter2"),
            "{message}"
        );
        assert!(hints.iter().any(|hint| hint.contains("PGPASSFILE")));
    }
    let (message, _) = refused("[repository]\nurl = \"s3://AKIA:hunter2@bucket/x\"\n");
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn a_store_that_is_not_there_names_the_nearest_one() {
    let error = parse(WHOLE).unwrap().store("acounts").unwrap_err();
    assert_eq!(error.exit().code(), 2);
    assert_eq!(error.hints(), ["did you mean \"accounts\"?"]);
}

#[test]
fn an_object_lock_names_its_mode_and_days_and_needs_a_server() {
    let config = |url: &str, lock: &str| {
        let text = format!("[repository]\nurl = \"{url}\"\nobject_lock = {lock}\n");
        Config::parse(&text, Path::new("/etc/m/muster.toml"))
    };
    let lock = config("s3://b/p", "{ mode = \"compliance\", days = 35 }")
        .unwrap()
        .repository
        .object_lock
        .unwrap();
    assert_eq!((lock.mode.as_str(), lock.days), ("compliance", 35));
    for (url, lock) in [
        ("file:///r", "{ mode = \"compliance\", days = 35 }"),
        ("s3://b", "{ mode = \"complaint\", days = 35 }"),
        ("s3://b", "{ mode = \"governance\", days = 0 }"),
        ("s3://b", "{ mode = \"governance\", days = 40000 }"),
        ("s3://b", "{ mode = \"governance\" }"),
    ] {
        let error = config(url, lock).unwrap_err().message();
        assert!(error.contains("object_lock") || error.contains("days"), "{error}");
    }
}
