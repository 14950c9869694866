//! House rules as tests: what `docs/style.md` and `docs/architecture.md` promise of the source tree itself.
//!
//! Each check returns the places that break it, and each has a companion that shows it turning red on a made-up offender:
//! a rule that cannot fail is not a rule.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a house rule that cannot be read fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A crate may depend on these crates of ours and on no other.
const ARROWS: &[(&str, &[&str])] = &[
    ("muster-signing", &[]),
    ("muster-stores", &[]),
    ("muster-policies", &[]),
    ("muster-archive", &["muster-signing"]),
    ("muster-evidence", &["muster-signing"]),
    ("muster-backup", &["muster-archive", "muster-signing", "muster-stores"]),
    ("muster-restore", &["muster-archive", "muster-signing", "muster-stores"]),
    (
        "muster",
        &[
            "muster-archive",
            "muster-backup",
            "muster-evidence",
            "muster-policies",
            "muster-restore",
            "muster-signing",
            "muster-stores",
        ],
    ),
    ("muster-testkit", &["muster-archive", "muster-signing"]),
    ("muster-tests", &[]),
    (
        "muster-fuzz",
        &[
            "muster-archive",
            "muster-evidence",
            "muster-policies",
            "muster-restore",
            "muster-signing",
            "muster-stores",
        ],
    ),
];

const LONGEST_FILE: usize = 600;
const LONGEST_LIB_RS: usize = 60;

#[test]
fn crates_depend_in_one_direction() {
    let found = cargo_metadata()["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let normal = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|d| d["kind"].is_null());
            let ours = normal
                .map(|d| d["name"].as_str().unwrap())
                .filter(|name| name.starts_with("muster"));
            (
                package["name"].as_str().unwrap().to_owned(),
                ours.map(str::to_owned).collect(),
            )
        })
        .collect();
    assert_none(wrong_arrows(&found));

    let backwards = BTreeMap::from([(
        "muster-evidence".to_owned(),
        BTreeSet::from(["muster-archive".to_owned()]),
    )]);
    assert_eq!(wrong_arrows(&backwards).len(), 1);
    let newcomer = BTreeMap::from([("muster-utils".to_owned(), BTreeSet::new())]);
    assert_eq!(wrong_arrows(&newcomer).len(), 1, "a crate without a row in ARROWS");
}

fn wrong_arrows(found: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (package, dependencies) in found {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| name == package) else {
            wrong.push(format!("{package}: say in ARROWS what it may depend on"));
            continue;
        };
        for dependency in dependencies.iter().filter(|d| !allowed.contains(&d.as_str())) {
            wrong.push(format!("{package} must not depend on {dependency}"));
        }
    }
    wrong
}

#[test]
fn each_member_takes_the_workspace_lints() {
    let mut wrong = Vec::new();
    for package in cargo_metadata()["packages"].as_array().unwrap() {
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        if !takes_workspace_lints(&std::fs::read_to_string(&manifest).unwrap()) {
            wrong.push(format!("{}: add [lints] workspace = true", shown(&manifest)));
        }
    }
    assert_none(wrong);
    assert!(!takes_workspace_lints("[package]\nname = \"x\"\n"));
    assert!(!takes_workspace_lints("[lints.rust]\nunsafe_code = \"allow\"\n"));
}

fn takes_workspace_lints(manifest: &str) -> bool {
    manifest
        .parse::<toml::Table>()
        .unwrap()
        .get("lints")
        .and_then(|lints| lints.get("workspace"))
        == Some(&toml::Value::Boolean(true))
}

#[test]
fn each_rust_file_opens_with_what_it_is_and_stays_short() {
    let mut wrong = Vec::new();
    for file in rust_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        wrong.extend(shape_problems(&shown(&file), &text));
    }
    assert_none(wrong);
    assert_eq!(shape_problems("a/src/x.rs", "use std::fs;\n").len(), 1);
    assert_eq!(
        shape_problems("a/src/x.rs", &format!("//! X.\n{}", "\n".repeat(LONGEST_FILE))).len(),
        1
    );
    assert_eq!(
        shape_problems("a/src/lib.rs", &format!("//! X.\n{}", "\n".repeat(LONGEST_LIB_RS))).len(),
        1
    );
}

fn shape_problems(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = text.lines().count();
    let limit = if path.ends_with("src/lib.rs") {
        LONGEST_LIB_RS
    } else {
        LONGEST_FILE
    };
    if lines > limit {
        wrong.push(format!("{path}: {lines} lines, {limit} at most: split it by concept"));
    }
    if !text.starts_with("//! ") {
        wrong.push(format!(
            "{path}: must begin with `//! ` and say what it is, its invariant and why it exists"
        ));
    }
    wrong
}

#[test]
fn product_code_neither_panics_on_purpose_nor_prints() {
    let mut wrong = Vec::new();
    let test_modules: BTreeSet<PathBuf> = rust_files().iter().flat_map(|file| test_only_modules(file)).collect();
    let product = |file: &PathBuf| is_product(&shown(file)) && !test_modules.contains(file);
    for file in rust_files().into_iter().filter(product) {
        let text = std::fs::read_to_string(&file).unwrap();
        wrong.extend(forbidden_words(&shown(&file), product_lines(&text)));
    }
    assert_none(wrong);

    let offender = "//! X.\nfn f() { g().unwrap(); println!(\"{}\", 1); }\n#[allow(dead_code)]\nfn h() {}\n";
    assert_eq!(forbidden_words("a/src/x.rs", product_lines(offender)).len(), 3);
    assert_eq!(
        forbidden_words("cli/src/ui.rs", product_lines("//! X.\nprintln!();\n")).len(),
        0
    );
    let in_tests = "//! X.\n#[cfg(test)]\nmod tests {\n    fn f() { g().unwrap(); }\n}\n";
    assert_eq!(forbidden_words("a/src/x.rs", product_lines(in_tests)).len(), 0);
}

fn is_product(path: &str) -> bool {
    path.contains("/src/") && !path.starts_with("tests/") && !path.ends_with("/tests.rs") && !path.contains("/tests/")
}

/// Files that their parent declares as `#[cfg(test)] mod name;`.
fn test_only_modules(parent: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(parent).unwrap();
    let declared = text.split("#[cfg(test)]\nmod ").skip(1);
    let names = declared.filter_map(|rest| rest.lines().next()?.strip_suffix(';'));
    let file = |name: &str| format!("{name}.rs");
    names
        .flat_map(|name| {
            [
                parent.with_file_name(file(name)),
                parent.with_extension("").join(file(name)),
            ]
        })
        .collect()
}

/// The lines before the file's own test module, numbered from 1, comments left out.
fn product_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim_start()))
        .take_while(|(_, line)| *line != "#[cfg(test)]")
        .filter(|(_, line)| !line.starts_with("//"))
}

fn forbidden_words<'a>(path: &str, lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<String> {
    let may_print = path.starts_with("cli/src/ui");
    let mut wrong = Vec::new();
    for (number, line) in lines {
        let mut forbid = |word: &str, instead: &str| {
            let at_word = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if line.match_indices(word).any(|(at, _)| at_word(at)) {
                wrong.push(format!("{path}:{number}: `{word}`: {instead}"));
            }
        };
        forbid("#[allow(", "use #[expect(lint, reason = \"…\")]");
        forbid("#![allow(", "use #[expect(lint, reason = \"…\")]");
        if line.contains(".unwrap()") {
            forbid("unwrap()", "return an error");
        }
        if !may_print {
            for printing in ["println!", "eprintln!", "print!", "eprint!", "dbg!"] {
                forbid(printing, "return a value or send an event: only cli/src/ui.rs prints");
            }
        }
    }
    wrong
}

#[test]
fn every_path_named_in_the_documents_exists() {
    let mut wrong = Vec::new();
    for file in documents() {
        let text = std::fs::read_to_string(&file).unwrap();
        for path in named_paths(&text) {
            let beside = file.parent().unwrap().join(&path);
            if !root().join(&path).exists() && !beside.exists() {
                wrong.push(format!("{}: names `{path}`, which does not exist", shown(&file)));
            }
        }
    }
    assert_none(wrong);
    assert_eq!(
        named_paths("see `archive/src/no_such.rs`, `cli/` and `ls -l`, [x](docs/gone.md#part), `packs/<id>`"),
        ["archive/src/no_such.rs", "cli/", "docs/gone.md"]
    );
}

/// Paths in backticks or link targets that speak of this repository: they begin with one of its folders, or end like one of its files.
fn named_paths(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2); // fenced blocks show commands and files of the reader's
    let mut paths = Vec::new();
    for part in prose {
        let ticked = part.split('`').skip(1).step_by(2);
        let linked = part
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', '#', ' ']).next());
        paths.extend(
            ticked
                .chain(linked)
                .filter(|word| is_repository_path(word))
                .map(str::to_owned),
        );
    }
    paths
}

fn is_repository_path(word: &str) -> bool {
    const FOLDERS: &[&str] = &[
        "signing/",
        "stores/",
        "archive/",
        "backup/",
        "restore/",
        "policies/",
        "evidence/",
        "cli/",
        "tests/",
        "docs/",
        "fuzz/",
        "bench/",
        "ci/",
        "deploy/",
    ];
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let known = FOLDERS.iter().any(|folder| word.starts_with(folder));
    let document = [".md", ".rs"].iter().any(|ending| word.ends_with(ending)) && word.contains('/');
    plain && (known || document) && !word.starts_with('/')
}

const MAP_BEGINS: &str = "<!-- code map: MUSTER_BLESS=1 cargo nextest run -p muster-tests code_map -->\n";
const MAP_ENDS: &str = "<!-- end of the code map -->";

#[test]
fn the_code_map_shows_every_file_and_what_it_says_of_itself() {
    let path = root().join("docs/architecture.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page
        .split_once(MAP_BEGINS)
        .expect("docs/architecture.md has the first marker");
    let (map, after) = rest
        .split_once(MAP_ENDS)
        .expect("docs/architecture.md has the last marker");
    let sources = rust_files().into_iter().filter(|file| !file.ends_with("tests.rs"));
    let files = sources
        .map(|file| (shown(&file), first_sentence(&std::fs::read_to_string(&file).unwrap())))
        .collect();
    let drawn = code_map(&files);
    if std::env::var_os("MUSTER_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{MAP_BEGINS}{drawn}{MAP_ENDS}{after}")).unwrap();
    } else {
        assert!(
            map == drawn,
            "the code map is out of date: MUSTER_BLESS=1 cargo nextest run -p muster-tests code_map"
        );
    }
    assert_eq!(
        first_sentence("//! Packs, and\n//! frames. More.\n//!\n//! Else.\nuse x;\n"),
        "Packs, and frames"
    );
}

/// A table per crate, folders before files as they sort.
fn code_map(files: &BTreeMap<String, String>) -> String {
    let mut map = String::new();
    let mut section = "";
    for (path, sentence) in files {
        let folder = path
            .split("/src/")
            .next()
            .filter(|folder| *folder != path)
            .unwrap_or(if path.starts_with("fuzz/") { "fuzz" } else { "tests" });
        if folder != section {
            map.push_str(&format!("\n### `{folder}/`\n\n| file | what it is |\n| --- | --- |\n"));
            section = folder;
        }
        map.push_str(&format!("| `{path}` | {} |\n", sentence.replace('|', "\\|")));
    }
    map + "\n"
}

fn first_sentence(text: &str) -> String {
    let header = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let paragraph: Vec<&str> = header.take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    let sentence = paragraph.split(". ").next().unwrap_or_default();
    sentence.trim_end_matches('.').to_owned()
}

#[test]
fn documents_name_no_machine() {
    let mut wrong = Vec::new();
    let sources = rust_files()
        .into_iter()
        .chain(documents())
        .chain(files_with(&["toml", "yml", "yaml", "rego", "py"]));
    for file in sources.filter(|file| shown(file) != "tests/tidy.rs") {
        let Ok(text) = std::fs::read_to_string(&file) else {
            continue;
        };
        wrong.extend(machine_names(&shown(&file), &text));
    }
    assert_none(wrong);
    assert_eq!(
        machine_names("x.md", "see /work/main/cli\nand /root/.cargo\nand /home/jo/muster\n").len(),
        3
    );
    assert_eq!(
        machine_names("x.md", "see /srv/game and /var/lib/muster, home/x\n").len(),
        0
    );
}

fn machine_names(path: &str, text: &str) -> Vec<String> {
    const MACHINE: &[&str] = &["/work/", "/root/", "/home/", "/Users/", "/workspace/"];
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(index, line)| {
            MACHINE
                .iter()
                .filter(|name| line.contains(*name))
                .map(move |name| (index + 1, name))
        })
        .map(|(number, name)| format!("{path}:{number}: `{name}` belongs to one machine"))
        .collect()
}

#[test]
fn no_test_is_forgotten_or_switched_off() {
    let main = std::fs::read_to_string(root().join("tests/e2e/main.rs")).unwrap();
    let mut wrong = forgotten_modules(&main, names_in(&root().join("tests/e2e")));
    for file in rust_files().into_iter().filter(|file| shown(file) != "tests/tidy.rs") {
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, _) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.trim_start().starts_with("#[ignore"))
        {
            wrong.push(format!(
                "{}:{}: a test that cannot run fails and says what to install",
                shown(&file),
                number + 1
            ));
        }
    }
    assert_none(wrong);
    assert_eq!(
        forgotten_modules("mod backup;\n", vec!["backup".into(), "lost".into(), "main".into()]).len(),
        1
    );
}

fn forgotten_modules(main: &str, modules: Vec<String>) -> Vec<String> {
    let declared = |name: &str| main.lines().any(|line| line.trim() == format!("mod {name};"));
    let forgotten = modules.into_iter().filter(|name| name != "main" && !declared(name));
    forgotten
        .map(|name| format!("tests/e2e/{name}: not declared in tests/e2e/main.rs, so it never runs"))
        .collect()
}

#[test]
fn every_decision_is_dated_and_says_what_was_given_up() {
    let mut wrong = Vec::new();
    for file in documents()
        .into_iter()
        .filter(|file| shown(file).starts_with("docs/decisions/"))
    {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        wrong.extend(decision_problems(&name, &text));
    }
    assert_none(wrong);
    assert_eq!(decision_problems("0001-x.md", "# X\n").len(), 4);
}

fn decision_problems(name: &str, text: &str) -> Vec<String> {
    let dated = name.len() > 11
        && name[..10].chars().enumerate().all(|(at, c)| {
            if at == 4 || at == 7 {
                c == '-'
            } else {
                c.is_ascii_digit()
            }
        });
    let date = (!dated).then(|| format!("docs/decisions/{name}: name it YYYY-MM-DD-title.md"));
    let missing = ["## Choice", "## Why", "## Given up"]
        .into_iter()
        .filter(|heading| !text.contains(heading));
    date.into_iter()
        .chain(missing.map(|heading| format!("docs/decisions/{name}: no section `{heading}`")))
        .collect()
}

fn assert_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Every file that git knows or would take, so that neither `target/` nor ignored scratch counts.
fn repository_files() -> Vec<PathBuf> {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files: apt-get install git");
    assert!(
        listing.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&listing.stderr)
    );
    let names = String::from_utf8(listing.stdout).unwrap();
    names
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(|name| root().join(name))
        .filter(|path| path.is_file())
        .collect()
}

fn files_with(extensions: &[&str]) -> Vec<PathBuf> {
    let wanted = |path: &PathBuf| {
        path.extension()
            .is_some_and(|e| extensions.contains(&e.to_string_lossy().as_ref()))
    };
    repository_files().into_iter().filter(wanted).collect()
}

fn rust_files() -> Vec<PathBuf> {
    let files = files_with(&["rs"]);
    assert!(files.len() > 10, "the walk found only {} files", files.len());
    files
}

fn documents() -> Vec<PathBuf> {
    let files = files_with(&["md"]);
    assert!(files.len() > 5, "the walk found only {} documents", files.len());
    files
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect()
}

fn cargo_metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}
