//! Catalogues: what a framework asks for, control by control, in words of our own.
//!
//! A catalogue is data and holds no rule: rules name the controls that they speak for, and `view` sorts rules and their results by
//! them. A control that no rule speaks for stands in it like any other, so that silence is never taken for a pass. Whatever is read
//! is bounded first, though it comes with the binary.

mod view;

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::sources::PolicyError;

pub use view::{ControlView, FrameworkView, RuleView, Standing, Unlisted, framework_report, framework_rules};

/// The catalogues that are compiled in: framework, path and text.
const CATALOGUES: [(&str, &str, &str); 4] = [
    (
        "nist-800-53",
        "catalogues/nist-800-53.toml",
        include_str!("../catalogues/nist-800-53.toml"),
    ),
    (
        "iso-27001",
        "catalogues/iso-27001.toml",
        include_str!("../catalogues/iso-27001.toml"),
    ),
    ("soc2", "catalogues/soc2.toml", include_str!("../catalogues/soc2.toml")),
    (
        "eu-dora",
        "catalogues/eu-dora.toml",
        include_str!("../catalogues/eu-dora.toml"),
    ),
];

const MAX_BYTES: usize = 256 << 10;
const MAX_CONTROLS: usize = 1000;
const MAX_ID: usize = 24;
const MAX_LINE: usize = 200;

/// What a framework asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalogue {
    /// The name by which rules and the command line know it.
    pub(crate) framework: String,
    pub(crate) title: String,
    /// Which text is meant, with its version.
    pub(crate) source: String,
    /// Which part of it the catalogue covers.
    pub(crate) scope: String,
    /// Its controls, in the framework's own order.
    #[serde(rename = "control")]
    pub(crate) controls: Vec<Control>,
}

/// One control.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Control {
    /// As the framework numbers it.
    pub(crate) id: String,
    /// What it asks for.
    pub(crate) title: String,
    /// What muster can show for it; empty: nothing.
    #[serde(default)]
    pub(crate) shows: String,
    /// What must be shown by other means.
    pub(crate) not_shown: String,
}

/// The names of the frameworks.
pub fn frameworks() -> Vec<&'static str> {
    CATALOGUES.iter().map(|(name, ..)| *name).collect()
}

/// The file of a framework's catalogue as `(path, text)`, for a bundle to carry.
///
/// # Errors
/// A framework that muster does not know; the error lists those that it does.
pub fn catalogue_source(framework: &str) -> Result<(&'static str, &'static str), PolicyError> {
    let unknown = || PolicyError::UnknownFramework {
        name: framework.to_owned(),
        known: frameworks().join(", "),
    };
    let found = CATALOGUES.iter().find(|(name, ..)| *name == framework);
    found.map(|(_, path, text)| (*path, *text)).ok_or_else(unknown)
}

/// A framework's place among the frameworks; unknown ones come last.
pub(crate) fn place(framework: &str) -> usize {
    CATALOGUES
        .iter()
        .position(|(name, ..)| *name == framework)
        .unwrap_or(CATALOGUES.len())
}

pub(crate) fn catalogue(framework: &str) -> Result<Catalogue, PolicyError> {
    let (path, text) = catalogue_source(framework)?;
    parse(framework, text).map_err(|why| PolicyError::refused(path, None, why))
}

fn parse(framework: &str, text: &str) -> Result<Catalogue, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("longer than {MAX_BYTES} bytes"));
    }
    let catalogue: Catalogue = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    if catalogue.framework != framework {
        return Err(format!("it is the catalogue of {}", catalogue.framework));
    }
    if catalogue.controls.is_empty() || catalogue.controls.len() > MAX_CONTROLS {
        return Err(format!(
            "{} controls: one to {MAX_CONTROLS} are possible",
            catalogue.controls.len()
        ));
    }
    for (name, line) in [
        ("title", &catalogue.title),
        ("source", &catalogue.source),
        ("scope", &catalogue.scope),
    ] {
        is_line(line).map_err(|why| format!("{name}: {why}"))?;
    }
    let mut seen = BTreeSet::new();
    for control in &catalogue.controls {
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '(' | ')');
        let id = &control.id;
        if id.is_empty() || id.len() > MAX_ID || !id.chars().all(named) {
            return Err(format!("{id:?} is no id of a control"));
        }
        if !seen.insert(id) {
            return Err(format!("control {id} stands in it twice"));
        }
        is_line(&control.title).map_err(|why| format!("control {id}: title: {why}"))?;
        is_line(&control.not_shown).map_err(|why| format!("control {id}: not_shown: {why}"))?;
        if !control.shows.is_empty() {
            is_line(&control.shows).map_err(|why| format!("control {id}: shows: {why}"))?;
        }
    }
    Ok(catalogue)
}

fn is_line(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.len() > MAX_LINE || text.chars().any(char::is_control) {
        return Err(format!("it is not one line of at most {MAX_LINE} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "framework = \"f\"\ntitle = \"F\"\nsource = \"s\"\nscope = \"all\"\n";

    fn with(control: &str) -> Result<Catalogue, String> {
        parse("f", &format!("{HEAD}[[control]]\n{control}"))
    }

    #[test]
    fn every_catalogue_in_the_binary_can_be_read() {
        for name in frameworks() {
            let read = catalogue(name).unwrap();
            assert!(read.controls.len() > 20, "{name}");
        }
        let error = catalogue("eu-dore").unwrap_err().to_string();
        assert!(
            error.contains("eu-dore") && error.contains("nist-800-53, iso-27001, soc2, eu-dora"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_catalogue_is_refused_by_name() {
        let whole = "id = \"1(a)\"\ntitle = \"t\"\nnot_shown = \"n\"\n";
        assert_eq!(with(whole).unwrap().controls[0].shows, "");
        let refused = |text: Result<Catalogue, String>, word: &str| {
            let why = text.unwrap_err();
            assert!(why.contains(word), "{why}");
        };
        refused(with("id = \"1\"\ntitle = \"t\"\n"), "not_shown");
        refused(
            with("id = \"1\"\ntitle = \"\"\nnot_shown = \"n\"\n"),
            "title: it is empty",
        );
        refused(with("id = \"1\"\ntitle = \"t\"\nnot_shown = \"n\\nm\"\n"), "one line");
        refused(
            with("id = \"1\"\ntitle = \"t\"\nnot_shown = \"n\"\nshows = \" \"\n"),
            "shows: it is empty",
        );
        refused(with("id = \"1 2\"\ntitle = \"t\"\nnot_shown = \"n\"\n"), "no id");
        refused(with(&format!("{whole}text = \"x\"\n")), "unknown field");
        refused(with(&format!("{whole}[[control]]\n{whole}")), "twice");
        refused(with(&whole.replace('n', &"n".repeat(300))), "");
        refused(parse("g", &format!("{HEAD}[[control]]\n{whole}")), "of f");
        refused(parse("f", &format!("control = []\n{HEAD}")), "0 controls");
        refused(parse("f", &"#".repeat(MAX_BYTES + 1)), "longer");
        let many: String = (0..=MAX_CONTROLS)
            .map(|i| format!("[[control]]\nid = \"{i}\"\ntitle = \"t\"\nnot_shown = \"n\"\n"))
            .collect();
        refused(parse("f", &format!("{HEAD}{many}")), "1001 controls");
    }
}
