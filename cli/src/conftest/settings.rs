//! What holds for a setting: the flag, else `CONFTEST_…` in the environment, else the configuration file, else the default.

use std::collections::BTreeMap;

use serde_json::Value;

use super::flags::{Flag, Takes, Typed, truth, values};

/// Endings of `conftest.…` in the working directory, in the order in which they are looked for.
const ENDINGS: [&str; 8] = ["json", "toml", "yaml", "yml", "properties", "dotenv", "env", "ini"];

/// All settings of one command.
pub(super) struct Settings<'a> {
    flags: &'a [Flag],
    typed: &'a Typed,
    environment: &'a [(String, String)],
    file: BTreeMap<String, Value>,
}

impl<'a> Settings<'a> {
    /// Reads the configuration file: the one that is named, else `conftest.toml` or its like here, else none.
    ///
    /// # Errors
    /// A named file that is not there; one that cannot be read.
    pub(super) fn read(
        flags: &'a [Flag],
        typed: &'a Typed,
        environment: &'a [(String, String)],
    ) -> Result<Self, String> {
        let mut settings = Self {
            flags,
            typed,
            environment,
            file: BTreeMap::new(),
        };
        let named = settings.text("config-file");
        let usual = || {
            let names = ENDINGS.iter().map(|ending| format!("conftest.{ending}"));
            names.into_iter().find(|name| std::path::Path::new(name).is_file())
        };
        let Some(path) = Some(named).filter(|path| !path.is_empty()).or_else(usual) else {
            return Ok(settings);
        };
        let failed = |why: String| format!("read in config: error reading config: {why}");
        match muster_policies::conftest::configuration_file(&path).map_err(|error| failed(error.to_string()))? {
            Value::Object(keys) => {
                settings.file = keys
                    .into_iter()
                    .map(|(key, value)| (key.to_lowercase(), value))
                    .collect();
                Ok(settings)
            }
            Value::Null => Ok(settings),
            _ => Err(failed(format!("While parsing config: {path} holds no keys"))),
        }
    }

    fn flag(&self, name: &str) -> Option<&Flag> {
        self.flags.iter().find(|flag| flag.name == name)
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let name = format!("CONFTEST_{}", name.replace('-', "_").to_uppercase());
        let found = self
            .environment
            .iter()
            .find(|(key, value)| *key == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// A setting's values.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let flag = self.flag(name);
        if let Some(given) = flag.and_then(|flag| self.typed.flags.get(flag.name)) {
            return given.clone();
        }
        let is_list = flag.is_some_and(|flag| flag.takes == Takes::List);
        let part = |text: &str| match is_list {
            true => text.split(',').map(str::to_owned).collect(),
            false => vec![text.to_owned()],
        };
        if let Some(value) = self.variable(name) {
            return part(value);
        }
        match self.file.get(name) {
            Some(Value::Array(items)) => items.iter().map(told).collect(),
            Some(Value::String(text)) if text.is_empty() => Vec::new(),
            Some(Value::String(text)) => part(text),
            Some(value) => vec![told(value)],
            None => flag.map(|flag| values(flag.default)).unwrap_or_default(),
        }
    }

    /// A setting with one value; empty if nobody gave any.
    pub(super) fn text(&self, name: &str) -> String {
        self.list(name).into_iter().next().unwrap_or_default()
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        truth(&self.text(name)).unwrap_or(false)
    }
}

fn told(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::flags::{list, read, switch, text};
    use super::*;

    const FLAGS: &[Flag] = &[
        list("policy", "policy", ""),
        text("config-file", "", ""),
        text("output", "stdout", ""),
        switch("no-color", ""),
    ];

    #[test]
    fn a_flag_beats_the_environment_the_file_and_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("conftest.toml");
        std::fs::write(&file, "Policy = [\"file\"]\noutput = \"tap\"\nno-color = \"true\"\n").unwrap();
        let settings = |line: &[&str], variables: &[(&str, &str)]| {
            let mut line: Vec<String> = line.iter().map(|&word| word.to_owned()).collect();
            line.extend(["--config-file".to_owned(), file.display().to_string()]);
            let typed = read(FLAGS, &line).unwrap();
            let variables: Vec<_> = variables.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect();
            let settings = Settings::read(FLAGS, &typed, &variables).unwrap();
            (
                settings.list("policy"),
                settings.text("output"),
                settings.is_on("no-color"),
            )
        };
        let from = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(settings(&[], &[]), (from(&["file"]), "tap".to_owned(), true));
        let variables = [
            ("CONFTEST_POLICY", "a,b"),
            ("CONFTEST_OUTPUT", ""),
            ("CONFTEST_NO_COLOR", "false"),
        ];
        assert_eq!(settings(&[], &variables), (from(&["a", "b"]), "tap".to_owned(), false));
        assert_eq!(
            settings(&["--policy", "flag", "--output=json"], &variables),
            (from(&["flag"]), "json".to_owned(), false)
        );
        let typed = read(FLAGS, &["--config-file=nowhere.toml".to_owned()]).unwrap();
        assert_eq!(
            Settings::read(FLAGS, &typed, &[]).err().unwrap(),
            "read in config: error reading config: open nowhere.toml: no such file or directory"
        );
    }
}
