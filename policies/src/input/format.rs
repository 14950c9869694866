//! Which format a file is in: by its name as Conftest tells it, or by the name that `--parser` gives.
//!
//! Invariant: every parser here takes text and a bound, and expands nothing from outside the file: no include, no environment.

use serde_json::Value;

use super::{
    Reading, apart, cyclonedx, docker, dotenv, edn, hcl, hcl1, ignore, ini, jsonc, nginx, properties, settings, size,
    spdx, xml,
};

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    CycloneDx,
    Dockerfile,
    Dotenv,
    Edn,
    Hcl1,
    Hcl2,
    Ignore,
    Ini,
    Json,
    Jsonc,
    Jsonnet,
    Mariadb,
    Nginx,
    PgHba,
    Postgres,
    Properties,
    Redis,
    Spdx,
    Textproto,
    Toml,
    Xml,
    Yaml,
}

/// The longest text in a format in which nobody writes long ones, in bytes: what is made of it may take fifty times as much.
const MOST_TEXT: usize = 32 << 20;

/// Names of formats, as `--parser` takes them.
const NAMES: &[(&str, Format)] = &[
    ("cyclonedx", Format::CycloneDx),
    ("dockerfile", Format::Dockerfile),
    ("dotenv", Format::Dotenv),
    ("edn", Format::Edn),
    ("hcl1", Format::Hcl1),
    ("hcl2", Format::Hcl2),
    ("ignore", Format::Ignore),
    ("ini", Format::Ini),
    ("json", Format::Json),
    ("jsonc", Format::Jsonc),
    ("jsonnet", Format::Jsonnet),
    ("mariadb", Format::Mariadb),
    ("nginx", Format::Nginx),
    ("pg_hba", Format::PgHba),
    ("postgresql", Format::Postgres),
    ("properties", Format::Properties),
    ("redis", Format::Redis),
    ("spdx", Format::Spdx),
    ("textproto", Format::Textproto),
    ("toml", Format::Toml),
    ("xml", Format::Xml),
    ("yaml", Format::Yaml),
];

/// What a name means to Conftest.
pub(crate) enum Named {
    Format(Format),
    /// A format of Conftest for which there is no parser here.
    Without(&'static str),
    /// No format: this word.
    Unknown(String),
}

/// Formats that muster has and Conftest does not.
const OWN: &[&str] = &["mariadb", "pg_hba", "postgresql", "redis"];

/// Endings of Protocol Buffers in text.
const TEXTPROTO: &[&str] = &["textproto", "textpb"];

/// Formats of Conftest for which there is no parser here.
const WITHOUT: &[&str] = &["cue", "groovy", "hocon", "vcl"];

impl Format {
    /// The format that a file's name announces.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        if name == "dockerfile" || name.starts_with("dockerfile.") || extension == "dockerfile" {
            return Some(Self::Dockerfile);
        }
        if name == ".env" || name.starts_with(".env.") || extension == "env" {
            return Some(Self::Dotenv);
        }
        match name.as_str() {
            "nginx.conf" => return Some(Self::Nginx),
            "postgresql.conf" | "postgresql.auto.conf" => return Some(Self::Postgres),
            "pg_hba.conf" => return Some(Self::PgHba),
            "redis.conf" | "valkey.conf" => return Some(Self::Redis),
            _ => {}
        }
        match extension {
            "yml" => Some(Self::Yaml),
            "hcl" | "tf" | "tfvars" => Some(Self::Hcl2),
            "tfstate" => Some(Self::Json),
            "gitignore" | "dockerignore" => Some(Self::Ignore),
            "cnf" => Some(Self::Mariadb),
            extension if TEXTPROTO.contains(&extension) => Some(Self::Textproto),
            _ => NAMES
                .iter()
                .find(|(name, _)| *name == extension)
                .map(|(_, format)| *format),
        }
    }

    /// The format of this name.
    ///
    /// # Errors
    /// One that is not known, naming those that are; one that Conftest knows and muster does not.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        if let Some((_, format)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(*format);
        }
        if WITHOUT.contains(&name) {
            return Err(format!(
                "there is no parser for {name} here; convert the files to JSON first"
            ));
        }
        Err(format!(
            "no such parser: {name}; there are {}",
            Self::names().join(", ")
        ))
    }

    /// What there is, by the names that `--parser` takes.
    pub(crate) fn names() -> Vec<&'static str> {
        NAMES.iter().map(|(name, _)| *name).collect()
    }

    /// The format that `--parser` of Conftest means.
    pub(crate) fn named_by_conftest(name: &str) -> Named {
        let found = NAMES.iter().find(|(known, _)| *known == name && !OWN.contains(known));
        match (found, WITHOUT.iter().find(|known| **known == name)) {
            (Some((_, format)), _) => Named::Format(*format),
            (None, Some(known)) => Named::Without(known),
            (None, None) => Named::Unknown(name.to_owned()),
        }
    }

    /// The format that a path announces to Conftest; that of `-` is YAML.
    pub(crate) fn of_conftest(path: &str) -> Named {
        if path == "-" {
            return Named::Format(Self::Yaml);
        }
        let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let format = match (name.as_str(), extension) {
            ("dockerfile", _) | (_, "dockerfile") => "dockerfile",
            (name, _) if name.starts_with("dockerfile.") => "dockerfile",
            (_, "yml") => "yaml",
            (_, "hcl" | "tf" | "tfvars") => "hcl2",
            (_, "gitignore" | "dockerignore") => "ignore",
            (".env", _) | (_, "env") => "dotenv",
            (name, _) if name.starts_with(".env.") => "dotenv",
            ("nginx.conf", _) => "nginx",
            ("jenkinsfile", _) => "groovy",
            (name, _) if name.starts_with("jenkinsfile.") => "groovy",
            (_, extension) if TEXTPROTO.contains(&extension) => "textproto",
            (_, extension) => extension,
        };
        Self::named_by_conftest(format)
    }

    /// Why a file of this name cannot be read, when its name announces a format without a parser.
    pub(crate) fn refused(path: &str) -> Option<String> {
        let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let format = match extension {
            _ if name == "jenkinsfile" || name.starts_with("jenkinsfile.") => "groovy",
            _ => WITHOUT.iter().copied().find(|name| *name == extension)?,
        };
        Self::named(format).err()
    }

    /// Whether files of this format become `data`.
    pub(crate) fn is_data(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }

    /// The one document of a text in a format without several.
    pub(super) fn document(self, text: &str, reading: &Reading<'_>) -> Result<Value, String> {
        let large = matches!(
            self,
            Self::CycloneDx | Self::Json | Self::Jsonc | Self::Spdx | Self::Yaml
        );
        if text.len() > MOST_TEXT && !large {
            return Err(format!("{} bytes, the limit of this format is {MOST_TEXT}", text.len()));
        }
        match self {
            Self::CycloneDx => cyclonedx::parse(text),
            Self::Dockerfile => docker::parse(text),
            Self::Dotenv => dotenv::parse(text),
            Self::Edn => edn::parse(text),
            Self::Hcl1 => hcl1::parse(text),
            Self::Hcl2 => hcl::parse(text),
            Self::Ignore => Ok(ignore::parse(text)),
            Self::Ini => ini::parse(text),
            Self::Json | Self::Yaml => json(text),
            Self::Jsonc => json(&jsonc::plain(text)?),
            Self::Jsonnet | Self::Textproto => apart::document(self, text, reading),
            Self::Mariadb => settings::mariadb(text, &mut |_, _| {}),
            Self::Nginx => nginx::parse(text),
            Self::PgHba => settings::hba(text, &mut |_, _| {}),
            Self::Postgres => settings::postgres(text, &mut |_, _| {}),
            Self::Properties => properties::parse(text),
            Self::Redis => settings::redis(text, &mut |_, _| {}),
            Self::Spdx => spdx::parse(text),
            Self::Toml => toml(text),
            Self::Xml => xml::parse(text),
        }
    }
}

fn json(text: &str) -> Result<Value, String> {
    size::json(text)?;
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// TOML; a date becomes text, as Go writes it: what has no zone is taken for UTC, what has no day for that of year 0.
fn toml(text: &str) -> Result<Value, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error
            .span()
            .map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        format!("line {line}: {}", error.message())
    })?;
    Ok(plain(toml::Value::Table(table)))
}

fn plain(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(truth) => Value::Bool(truth),
        toml::Value::Datetime(time) => Value::String(rfc3339(time)),
        toml::Value::Array(items) => items.into_iter().map(plain).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, plain(value))).collect(),
    }
}

fn rfc3339(time: toml::value::Datetime) -> String {
    let (year, month, day) = time.date.map_or((0, 1, 1), |date| (date.year, date.month, date.day));
    let clock = time.time.map(|time| {
        let fraction = format!(".{:09}", time.nanosecond.unwrap_or(0));
        let fraction = fraction.trim_end_matches('0').trim_end_matches('.').to_owned();
        let second = time.second.unwrap_or(0);
        format!("{:02}:{:02}:{second:02}{fraction}", time.hour, time.minute)
    });
    let zone = match time.offset {
        None | Some(toml::value::Offset::Z | toml::value::Offset::Custom { minutes: 0 }) => "Z".to_owned(),
        Some(toml::value::Offset::Custom { minutes }) => {
            let sign = if minutes < 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
        }
    };
    let clock = clock.unwrap_or_else(|| "00:00:00".to_owned());
    format!("{year:04}-{month:02}-{day:02}T{clock}{zone}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_announce_formats_as_conftest_tells_them() {
        for (name, format) in [
            ("Dockerfile", Some(Format::Dockerfile)),
            ("a/Dockerfile.debug", Some(Format::Dockerfile)),
            ("dev.dockerfile", Some(Format::Dockerfile)),
            (".env.prod", Some(Format::Dotenv)),
            ("main.tf", Some(Format::Hcl2)),
            ("x.TFVARS", Some(Format::Hcl2)),
            (".dockerignore", Some(Format::Ignore)),
            ("etc/nginx.conf", Some(Format::Nginx)),
            ("pg_hba.conf", Some(Format::PgHba)),
            ("a.conf", None),
            ("plain", None),
        ] {
            assert_eq!(Format::of(name), format, "{name}");
        }
    }

    #[test]
    fn a_format_without_a_parser_is_refused_by_name() {
        assert!(Format::refused("x/Jenkinsfile").unwrap().contains("groovy"));
        assert!(Format::named("cue").unwrap_err().contains("cue"));
        assert!(
            Format::named("yamll").unwrap_err().contains("yaml,")
                || Format::named("yamll").unwrap_err().ends_with("yaml")
        );
        assert_eq!(Format::refused("a.json"), None);
    }

    #[test]
    fn toml_and_json_with_comments_are_values() {
        assert_eq!(
            Format::Toml
                .document(
                    "a = 1\nb = [1.5, true]\nc = 2026-01-02\n[d]\ne = \"x\"\n",
                    &Reading::default()
                )
                .unwrap(),
            json!({"a": 1, "b": [1.5, true], "c": "2026-01-02T00:00:00Z", "d": {"e": "x"}})
        );
        assert!(
            Format::Toml
                .document("a = 1\nb =\n", &Reading::default())
                .unwrap_err()
                .starts_with("line 2")
        );
        assert_eq!(
            Format::Jsonc
                .document("{/* c */\"a\": [1,],}", &Reading::default())
                .unwrap(),
            json!({"a": [1]})
        );
    }

    #[test]
    fn dates_of_toml_are_what_go_writes() {
        let text =
            "a = 1979-05-27T00:32:00.500-07:00\nb = 1979-05-27T07:32:00\nc = 07:32:00\nd = 1979-05-27 07:32:00+00:00\n";
        assert_eq!(
            Format::Toml.document(text, &Reading::default()).unwrap(),
            json!({
                "a": "1979-05-27T00:32:00.5-07:00", "b": "1979-05-27T07:32:00Z", "c": "0000-01-01T07:32:00Z",
                "d": "1979-05-27T07:32:00Z",
            })
        );
    }
}
