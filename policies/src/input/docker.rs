//! Dockerfiles, as BuildKit's parser and Conftest's wrapping of it give them.
//!
//! One document: a list with one list of commands, each `{Cmd, SubCmd, JSON, Flags, Value, Stage}`; a comment stands as a command
//! `comment` before the instruction that follows it. Source of the facts: BuildKit `frontend/dockerfile/parser` (line continuation,
//! escape directive, heredocs, which instructions take flags or JSON form), Conftest `parser/docker`.

use serde_json::{Value, json};

use super::places::Met;

/// What an instruction's arguments look like.
#[derive(Clone, Copy, PartialEq)]
enum Arguments {
    /// One string, or a JSON list.
    MaybeJson,
    /// Words, or a JSON list.
    MaybeJsonList,
    /// Words.
    Words,
    /// One string.
    Text,
    /// `name=value` pairs, or the old `name value`.
    Pairs,
    /// Words, of which each may be `name=value`.
    NamesOrPairs,
    /// Another instruction.
    Instruction,
    /// `NONE`, or `CMD` and a command.
    Health,
}

fn arguments_of(name: &str) -> Option<Arguments> {
    Some(match name {
        "add" | "copy" | "volume" => Arguments::MaybeJsonList,
        "arg" => Arguments::NamesOrPairs,
        "cmd" | "entrypoint" | "run" | "shell" => Arguments::MaybeJson,
        "env" | "label" => Arguments::Pairs,
        "expose" | "from" => Arguments::Words,
        "healthcheck" => Arguments::Health,
        "maintainer" | "stopsignal" | "user" | "workdir" => Arguments::Text,
        "onbuild" => Arguments::Instruction,
        _ => return None,
    })
}

/// Parses a Dockerfile.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    read(text, &mut |_, _| {})
}

/// The same, telling on which line each command stands.
pub(super) fn read(text: &str, met: &mut Met<'_>) -> Result<Value, String> {
    let mut lines = Lines::new(text);
    let mut commands = Vec::new();
    let mut comments: Vec<(usize, String)> = Vec::new();
    let mut stages = 0usize;
    while let Some((number, line)) = lines.instruction(&mut comments)? {
        let escape = lines.escape;
        let at = |reason: &str| format!("line {number}: {reason}");
        let (name, rest) = split_name(&line);
        let lower = name.to_ascii_lowercase();
        let kind = arguments_of(&lower).ok_or_else(|| at(&format!("unknown instruction: {name}")))?;
        stages += usize::from(lower == "from");
        let stage = stages.saturating_sub(1);
        for (line, comment) in comments.drain(..) {
            met(&["0", &commands.len().to_string()], line);
            commands.push(json!({"Cmd": "comment", "SubCmd": "", "JSON": false, "Flags": null, "Value": [comment], "Stage": stage}));
        }
        let parsed = command(kind, rest, escape).map_err(|reason| at(&reason))?;
        if parsed.value.is_empty() && parsed.sub.is_empty() && !parsed.json {
            return Err(at(&format!(
                "{} requires at least one argument",
                name.to_ascii_uppercase()
            )));
        }
        lines.skip_heredocs(&line, &lower)?;
        met(&["0", &commands.len().to_string()], number);
        commands.push(json!({
            "Cmd": lower,
            "SubCmd": parsed.sub,
            "JSON": parsed.json,
            "Flags": parsed.flags,
            "Value": Some(parsed.value).filter(|value| !value.is_empty()),
            "Stage": stage,
        }));
    }
    if commands.is_empty() {
        return Err("file with no instructions".to_owned());
    }
    Ok(json!([commands]))
}

struct Parsed {
    sub: String,
    json: bool,
    flags: Vec<String>,
    value: Vec<String>,
}

fn command(kind: Arguments, rest: &str, escape: char) -> Result<Parsed, String> {
    let (flags, rest) = flags(rest, escape);
    let mut parsed = Parsed {
        sub: String::new(),
        json: false,
        flags,
        value: Vec::new(),
    };
    match kind {
        Arguments::MaybeJson | Arguments::MaybeJsonList => {
            if let Some(list) = json_list(rest)? {
                parsed.json = true;
                parsed.value = list;
            } else if kind == Arguments::MaybeJson {
                parsed.value = text(rest);
            } else {
                parsed.value = words(rest);
            }
        }
        Arguments::Words => parsed.value = words(rest),
        Arguments::Text => parsed.value = text(rest),
        Arguments::Pairs => parsed.value = pairs(rest, escape)?,
        Arguments::NamesOrPairs => parsed.value = split_words(rest, escape),
        Arguments::Instruction => {
            let (name, rest) = split_name(rest);
            let lower = name.to_ascii_lowercase();
            let kind = arguments_of(&lower).ok_or_else(|| format!("unknown instruction: {name}"))?;
            match lower.as_str() {
                "onbuild" => return Err("chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned()),
                "maintainer" | "from" => return Err(format!("{name} isn't allowed as an ONBUILD trigger")),
                _ => {}
            }
            let inner = command(kind, rest, escape)?;
            parsed.sub = name.to_owned();
            parsed.json = inner.json;
            parsed.value = inner.value;
        }
        Arguments::Health => {
            let (what, rest) = split_name(rest);
            if !what.is_empty() {
                parsed.value.push(what.to_owned());
            }
            if let Some(list) = json_list(rest)? {
                parsed.json = true;
                parsed.value.extend(list);
            } else {
                parsed.value.extend(text(rest));
            }
        }
    }
    Ok(parsed)
}

fn split_name(line: &str) -> (&str, &str) {
    let line = line.trim();
    line.split_once(char::is_whitespace)
        .map_or((line, ""), |(name, rest)| (name, rest.trim_start()))
}

fn text(rest: &str) -> Vec<String> {
    if rest.is_empty() {
        Vec::new()
    } else {
        vec![rest.to_owned()]
    }
}

fn words(rest: &str) -> Vec<String> {
    rest.split_whitespace().map(str::to_owned).collect()
}

fn json_list(rest: &str) -> Result<Option<Vec<String>>, String> {
    if !rest.starts_with('[') {
        return Ok(None);
    }
    let Ok(Value::Array(items)) = serde_json::from_str(rest) else {
        return Ok(None);
    };
    let text = |item| match item {
        Value::String(text) => Ok(text),
        _ => Err("when using JSON array syntax, arrays must be comprised of strings only".to_owned()),
    };
    items.into_iter().map(text).collect::<Result<_, _>>().map(Some)
}

/// Leading `--name` words.
fn flags(rest: &str, escape: char) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = rest.trim_start();
    while rest.starts_with("--") {
        let end = flag_end(rest, escape);
        let word = unquoted(&rest[..end], escape);
        rest = rest[end..].trim_start();
        if word == "--" {
            break;
        }
        flags.push(word);
    }
    (flags, rest)
}

/// Where the first flag ends: there an escape holds within either quotes.
fn flag_end(text: &str, escape: char) -> usize {
    end(text, escape, true)
}

/// Where the first word ends: at white space outside quotes.
fn word_end(text: &str, escape: char) -> usize {
    end(text, escape, false)
}

fn end(text: &str, escape: char, in_both: bool) -> usize {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), c) if c == escape => escaped = true,
            (Some(_), c) if c == escape && in_both => escaped = true,
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}

/// A flag without its quotes and escapes.
fn unquoted(word: &str, escape: char) -> String {
    let mut out = String::with_capacity(word.len());
    let mut quote = None;
    let mut letters = word.chars();
    while let Some(c) = letters.next() {
        match (quote, c) {
            (_, c) if c == escape => out.extend(letters.next()),
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (_, c) => out.push(c),
        }
    }
    out
}

/// Words that keep their quotes.
fn split_words(rest: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = rest.trim_start();
    while !rest.is_empty() {
        let end = word_end(rest, escape);
        words.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    words
}

/// `a=b c=d` gives name, value and separator of each; `a b c` one name and the rest.
fn pairs(rest: &str, escape: char) -> Result<Vec<String>, String> {
    let words = split_words(rest, escape);
    let Some(first) = words.first() else {
        return Ok(Vec::new());
    };
    if !first.contains('=') {
        let (name, value) = split_name(rest);
        if value.is_empty() {
            return Err(format!("{name} must have two arguments"));
        }
        return Ok(vec![name.to_owned(), value.to_owned(), String::new()]);
    }
    let mut values = Vec::new();
    for word in words {
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| format!("syntax error - can't find = in {word:?}: it must be of the form name=value"))?;
        values.extend([name.to_owned(), value.to_owned(), "=".to_owned()]);
    }
    Ok(values)
}

/// The file's lines, joined where they continue.
struct Lines<'a> {
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    escape: char,
    /// The directives so far, while there may be one more: lines `# name=value` before everything else.
    directives: Option<Vec<String>>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            lines: text.lines().enumerate(),
            escape: '\\',
            directives: Some(Vec::new()),
        }
    }

    /// The next instruction and the line on which it begins; comments on the way are gathered, and begin anew behind an empty one.
    fn instruction(&mut self, comments: &mut Vec<(usize, String)>) -> Result<Option<(usize, String)>, String> {
        let mut began: Option<usize> = None;
        let mut joined = String::new();
        while let Some((index, raw)) = self.lines.next() {
            let line = if began.is_none() { raw.trim_start() } else { raw };
            let is_directive = self
                .directive(line)
                .map_err(|why| format!("line {}: {why}", index + 1))?;
            if line.trim_start().starts_with('#') {
                // Its first byte goes, whatever it is.
                let comment = raw.get(1..).unwrap_or_default().trim();
                match (began, comment) {
                    (None, "") => comments.clear(),
                    (None, comment) if !is_directive => comments.push((index + 1, comment.to_owned())),
                    _ => {}
                }
                continue;
            }
            if line.trim().is_empty() {
                continue;
            }
            let start = *began.get_or_insert(index + 1);
            let trimmed = line.trim_end_matches([' ', '\t']);
            let continued = trimmed.strip_suffix(self.escape);
            match continued.filter(|before| !before.ends_with(self.escape)) {
                Some(continued) => joined.push_str(continued),
                None => {
                    joined.push_str(line);
                    return Ok(Some((start, joined)));
                }
            }
        }
        Ok(began.map(|start| (start, joined)))
    }

    /// Whether a line is a directive. The first line that is none ends them.
    fn directive(&mut self, line: &str) -> Result<bool, String> {
        let Some(seen) = &mut self.directives else {
            return Ok(false);
        };
        let parts = line
            .strip_prefix('#')
            .and_then(|rest| rest.trim_start().split_once('='));
        let parts = parts.map(|(name, value)| (name.trim_end().to_ascii_lowercase(), value.trim()));
        match parts {
            Some((name, value)) if matches!(name.as_str(), "syntax" | "escape" | "check") && !value.is_empty() => {
                if seen.contains(&name) {
                    return Err(format!("only one {name} parser directive can be used"));
                }
                if name == "escape" {
                    self.escape = match value {
                        "`" => '`',
                        "\\" => '\\',
                        other => return Err(format!("invalid escape token '{other}' does not match ` or \\")),
                    };
                }
                seen.push(name);
                Ok(true)
            }
            _ => {
                self.directives = None;
                Ok(false)
            }
        }
    }

    /// Passes over the bodies of the here-documents that an instruction opens.
    fn skip_heredocs(&mut self, line: &str, name: &str) -> Result<(), String> {
        if !matches!(name, "add" | "copy" | "run") {
            return Ok(());
        }
        for word in split_words(line, self.escape) {
            let Some(rest) = word.find("<<").map(|at| &word[at + 2..]) else {
                continue;
            };
            let tabs = rest.starts_with('-');
            let end = unquoted(rest.trim_start_matches('-'), '\\');
            if end.is_empty() || !end.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                continue;
            }
            let closed = self.lines.by_ref().any(|(_, line)| {
                let line = if tabs { line.trim_start_matches('\t') } else { line };
                line == end
            });
            if !closed {
                return Err(format!("unterminated heredoc: {end} is missing"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(text: &str) -> Vec<Value> {
        parse(text).unwrap()[0].as_array().unwrap().clone()
    }

    #[test]
    fn stages_flags_and_json_form_are_told() {
        let commands = commands(
            "# syntax=docker/dockerfile:1\nFROM --platform=linux/amd64 golang:1.13 AS base\n# copy it\nCOPY --from=base /a \\\n  /b .\nFROM base\nCMD [\"a\", \"b c\"]\nRUN echo hello   world\n",
        );
        assert_eq!(
            commands[0],
            json!({"Cmd": "from", "SubCmd": "", "JSON": false, "Flags": ["--platform=linux/amd64"], "Value": ["golang:1.13", "AS", "base"], "Stage": 0})
        );
        assert_eq!(commands[1]["Value"], json!(["copy it"]));
        assert_eq!(commands[2]["Value"], json!(["/a", "/b", "."]));
        assert_eq!(commands[4]["Stage"], 1);
        assert_eq!(commands[4]["JSON"], true);
        assert_eq!(commands[5]["Value"], json!(["echo hello   world"]));
    }

    #[test]
    fn pairs_onbuild_and_healthcheck_have_their_own_forms() {
        let commands = commands(
            "FROM a\nENV A=1 B=\"two words\"\nLABEL old style\nONBUILD RUN x y\nHEALTHCHECK --interval=5s CMD curl -f\nHealthcheck none\n",
        );
        assert_eq!(commands[1]["Value"], json!(["A", "1", "=", "B", "\"two words\"", "="]));
        assert_eq!(commands[2]["Value"], json!(["old", "style", ""]));
        assert_eq!(
            (&commands[3]["SubCmd"], &commands[3]["Value"]),
            (&json!("RUN"), &json!(["x y"]))
        );
        assert_eq!(commands[4]["Value"], json!(["CMD", "curl -f"]));
        assert_eq!(commands[5]["Value"], json!(["none"]));
    }

    #[test]
    fn a_heredoc_is_no_instruction_and_strange_words_are_refused_with_their_line() {
        assert_eq!(
            commands("FROM a\nRUN <<EOF\nnot an instruction\nEOF\nUSER b\n").len(),
            3
        );
        assert!(parse("FROM a\n\nFRUM b\n").unwrap_err().starts_with("line 3:"));
        assert!(parse("").is_err());
    }

    #[test]
    fn comments_directives_and_escapes_are_buildkits() {
        let values = |text: &str| -> Vec<(Value, Value)> {
            commands(text)
                .iter()
                .map(|c| (c["Cmd"].clone(), c["Value"].clone()))
                .collect()
        };
        let comment = |text: &str| (json!("comment"), json!([text]));
        assert_eq!(
            values("# syntax=a\n# escape=`\n# first=1\n\n  # deep\nFROM a\n# gone\n#\n# kept\n\nENV A=C:\\x\\ B=2\n"),
            [
                comment("first=1"),
                comment("# deep"),
                (json!("from"), json!(["a"])),
                comment("kept"),
                (json!("env"), json!(["A", "C:\\x\\", "=", "B", "2", "="])),
            ]
        );
        assert_eq!(
            values("RUN echo \\\\\nFROM a\nCMD []\nCOPY --from=\"a b\" --x='y' z .\n"),
            [
                (json!("run"), json!(["echo \\\\"])),
                (json!("from"), json!(["a"])),
                (json!("cmd"), json!(null)),
                (json!("copy"), json!(["z", "."])),
            ]
        );
        assert_eq!(
            commands("COPY --from=\"a b\" --x='y\\'' z .")[0]["Flags"],
            json!(["--from=a b", "--x=y'"])
        );
        assert!(parse("CMD [1]\n").unwrap_err().contains("strings only"));
        assert!(
            parse("# escape=x\nFROM a\n")
                .unwrap_err()
                .contains("line 1: invalid escape")
        );
    }

    #[test]
    fn instructions_in_each_other_are_refused() {
        assert!(
            parse("FROM a\nONBUILD ONBUILD RUN b\n")
                .unwrap_err()
                .contains("chaining")
        );
        assert!(parse("FROM a\nONBUILD FROM b\n").unwrap_err().contains("trigger"));
        let deep = format!("FROM a\n{}RUN b\n", "ONBUILD ".repeat(500_000));
        assert!(parse(&deep).is_err());
    }
}
