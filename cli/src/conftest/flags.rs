//! Flags as Conftest's own parser reads them: anywhere among the arguments, `--name value`, `--name=value`, `-n value`, `-nvalue`, `-n=value`.
//!
//! A list takes values parted by commas, and each further use adds to it; `--switch=false` turns a switch off.

use std::collections::BTreeMap;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Text,
    List,
}

/// One flag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) short: Option<char>,
    pub(super) takes: Takes,
    pub(super) default: &'static str,
    pub(super) help: &'static str,
}

/// A switch.
pub(super) const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        short: None,
        takes: Takes::Nothing,
        default: "false",
        help,
    }
}

/// A flag with one value.
pub(super) const fn text(name: &'static str, default: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        short: None,
        takes: Takes::Text,
        default,
        help,
    }
}

/// A flag with many.
pub(super) const fn list(name: &'static str, default: &'static str, help: &'static str) -> Flag {
    Flag {
        name,
        short: None,
        takes: Takes::List,
        default,
        help,
    }
}

/// The same flag, with one letter for a name too.
pub(super) const fn short(flag: Flag, letter: char) -> Flag {
    Flag {
        short: Some(letter),
        ..flag
    }
}

/// What was typed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Typed {
    /// The values of each flag that was given.
    pub(super) flags: BTreeMap<&'static str, Vec<String>>,
    /// All that is no flag.
    pub(super) arguments: Vec<String>,
    /// Whether help was asked for.
    pub(super) help: bool,
}

/// Reads arguments.
///
/// # Errors
/// A flag that there is not; a value that is missing or does not fit.
pub(super) fn read(flags: &[Flag], arguments: &[String]) -> Result<Typed, String> {
    let mut typed = Typed::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            typed.arguments.extend(rest.cloned());
            break;
        }
        if let Some(long) = argument.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let Some(flag) = flags.iter().find(|flag| flag.name == name) else {
                if name == "help" {
                    typed.help = true;
                    continue;
                }
                return Err(format!("unknown flag: --{name}"));
            };
            let value = match (flag.takes, value) {
                (_, Some(value)) => value,
                (Takes::Nothing, None) => "true".to_owned(),
                (_, None) => rest
                    .next()
                    .cloned()
                    .ok_or(format!("flag needs an argument: --{name}"))?,
            };
            typed.set(flag, value)?;
        } else if let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            read_letters(flags, letters, &mut rest, &mut typed)?;
        } else {
            typed.arguments.push(argument.clone());
        }
    }
    Ok(typed)
}

/// `-hp dir`: letters up to the first that takes a value; what stands behind it is that value.
fn read_letters<'a>(
    flags: &[Flag],
    letters: &str,
    rest: &mut impl Iterator<Item = &'a String>,
    typed: &mut Typed,
) -> Result<(), String> {
    let mut left = letters;
    while let Some(letter) = left.chars().next() {
        left = &left[letter.len_utf8()..];
        let Some(flag) = flags.iter().find(|flag| flag.short == Some(letter)) else {
            if letter == 'h' {
                typed.help = true;
                continue;
            }
            return Err(format!("unknown shorthand flag: '{letter}' in -{letters}"));
        };
        if flag.takes == Takes::Nothing && !left.starts_with('=') {
            typed.set(flag, "true".to_owned())?;
            continue;
        }
        let value = match left.strip_prefix('=').unwrap_or(left) {
            "" if !left.starts_with('=') => rest
                .next()
                .cloned()
                .ok_or(format!("flag needs an argument: '{letter}' in -{letters}"))?,
            value => value.to_owned(),
        };
        return typed.set(flag, value);
    }
    Ok(())
}

impl Typed {
    fn set(&mut self, flag: &Flag, value: String) -> Result<(), String> {
        match flag.takes {
            Takes::Nothing => {
                let Some(truth) = truth(&value) else {
                    return Err(format!(
                        "invalid argument \"{value}\" for \"--{}\" flag: strconv.ParseBool: parsing \"{value}\": invalid syntax",
                        flag.name
                    ));
                };
                self.flags.insert(flag.name, vec![truth.to_string()]);
            }
            Takes::Text => drop(self.flags.insert(flag.name, vec![value])),
            Takes::List => self.flags.entry(flag.name).or_default().extend(values(&value)),
        }
        Ok(())
    }
}

/// A truth as Go reads it.
pub(super) fn truth(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Values parted by commas; in double quotes a comma means itself, and `""` a quote.
pub(super) fn values(text: &str) -> Vec<String> {
    let mut values = Vec::new();
    if text.is_empty() {
        return values;
    }
    let mut value = String::new();
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                value.push('"');
            }
            '"' if quoted || value.is_empty() => quoted = !quoted,
            ',' if !quoted => values.push(std::mem::take(&mut value)),
            c => value.push(c),
        }
    }
    values.push(value);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        short(list("policy", "policy", ""), 'p'),
        short(text("output", "stdout", ""), 'o'),
        switch("trace", ""),
    ];

    fn typed(line: &str) -> Result<Typed, String> {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        read(FLAGS, &arguments)
    }

    #[test]
    fn flags_stand_anywhere_and_in_every_spelling() {
        for line in [
            "a.yaml --policy x --policy y -o tap b.yaml --trace",
            "-p x,y a.yaml b.yaml -otap --trace=true",
            "--policy=x -p=y -o=tap --trace -- a.yaml b.yaml",
        ] {
            let typed = typed(line).unwrap();
            assert_eq!(typed.flags["policy"], ["x", "y"], "{line}");
            assert_eq!(typed.flags["output"], ["tap"], "{line}");
            assert_eq!(typed.flags["trace"], ["true"], "{line}");
            assert_eq!(typed.arguments, ["a.yaml", "b.yaml"], "{line}");
        }
        assert!(typed("-h").unwrap().help && typed("x --help").unwrap().help);
        assert_eq!(values("a,\"b,c\",\"d\"\"e\""), ["a", "b,c", "d\"e"]);
    }

    #[test]
    fn what_does_not_fit_is_said_in_the_words_of_the_original() {
        for (line, why) in [
            ("--polcy x", "unknown flag: --polcy"),
            ("-x", "unknown shorthand flag: 'x' in -x"),
            ("--output", "flag needs an argument: --output"),
            ("-p", "flag needs an argument: 'p' in -p"),
            (
                "--trace=maybe",
                "invalid argument \"maybe\" for \"--trace\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
            ),
        ] {
            assert_eq!(typed(line).unwrap_err(), why);
        }
    }
}
