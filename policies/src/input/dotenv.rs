//! Environment files, as gotenv's strict reader gives them, except that the environment of whoever runs the check is not looked at:
//! a `$NAME` that the file itself does not define expands to nothing.

use serde_json::{Map, Value};

use super::places::Met;

/// Bytes of all values together: each may double those before it.
const EXPANDED: usize = 64 << 20;

/// Parses an environment file.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    read(text, &mut |_, _| {})
}

/// The same, telling on which line each variable stands.
pub(super) fn read(text: &str, met: &mut Met<'_>) -> Result<Value, String> {
    let mut env = Map::new();
    let mut room = EXPANDED.max(text.len() * 2);
    let normalised = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = normalised.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let mut line = line.trim().to_owned();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut open = unclosed_quote(&line);
        while let Some(quote) = open {
            let (_, next) = lines
                .next()
                .ok_or_else(|| format!("line {}: a quote is not closed", index + 1))?;
            line.push('\n');
            line.push_str(next);
            let closing = next.rfind(quote);
            if closing.is_some_and(|at| at == 0 || !next[..at].ends_with('\\')) {
                open = None;
            }
        }
        let (key, value) =
            assignment(&line, &env, &mut room).map_err(|reason| format!("line {}: {reason}", index + 1))?;
        if let Some(key) = key {
            met(&[&key], index + 1);
            env.insert(key, Value::String(value));
        }
    }
    Ok(Value::Object(env))
}

/// The quote with which a value begins and that the line does not close.
fn unclosed_quote(line: &str) -> Option<char> {
    let at = line.find('=').or_else(|| line.find(':'))?;
    let value = line[at + 1..].trim();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = &value[1..];
    match inner.rfind(quote) {
        Some(end) if !inner[..end].ends_with('\\') => None,
        _ => Some(quote),
    }
}

fn assignment(line: &str, env: &Map<String, Value>, room: &mut usize) -> Result<(Option<String>, String), String> {
    let strange = || format!("{line:?} is no assignment");
    let body = line
        .strip_prefix("export")
        .filter(|rest| rest.starts_with(char::is_whitespace))
        .map_or(line, str::trim_start);
    let end = body
        .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))
        .unwrap_or(body.len());
    let (key, rest) = body.split_at(end);
    if key.is_empty() {
        return Err(strange());
    }
    let after = rest.trim_start();
    let value = if let Some(value) = after.strip_prefix('=') {
        value
    } else if let Some(value) = after
        .strip_prefix(':')
        .filter(|value| value.is_empty() || value.starts_with(char::is_whitespace))
    {
        value
    } else if line.starts_with("export") && after.is_empty() {
        return if env.contains_key(key) {
            Ok((None, String::new()))
        } else {
            Err(format!("{line:?} exports a variable that is not set"))
        };
    } else {
        return Err(strange());
    };
    let value = value.trim();
    for quote in ['\'', '"'] {
        let Some(inner) = value.strip_prefix(quote) else {
            continue;
        };
        let end = inner.rfind(quote).ok_or_else(strange)?;
        let trailing = inner[end + 1..].trim_start();
        if !(trailing.is_empty() || trailing.starts_with('#')) {
            return Err(strange());
        }
        let inner = &inner[..end];
        let value = if quote == '"' {
            expand(&unescaped(inner), env, room)?
        } else {
            inner.to_owned()
        };
        return Ok((Some(key.to_owned()), value));
    }
    let bare = value.split('#').next().unwrap_or_default().trim();
    Ok((Some(key.to_owned()), expand(bare, env, room)?))
}

fn unescaped(text: &str) -> String {
    let text = text.replace("\\n", "\n").replace("\\r", "\r");
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\\' && chars.peek().is_some_and(|next| *next != '$') {
            out.extend(chars.next());
        } else {
            out.push(c);
        }
    }
    out
}

/// `$NAME` and `${NAME}` of upper-case names; `\$` is a dollar sign.
fn expand(text: &str, env: &Map<String, Value>, room: &mut usize) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        if let Some(before) = before.strip_suffix('\\') {
            out.push_str(before);
            out.push('$');
            rest = after;
            continue;
        }
        out.push_str(before);
        let braced = after.starts_with('{');
        let name_from = &after[usize::from(braced)..];
        let end = name_from
            .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
            .unwrap_or(name_from.len());
        let closed = braced && name_from[end..].starts_with('}');
        if end == 0 {
            out.push('$');
            rest = after;
            continue;
        }
        if let Some(Value::String(value)) = env.get(&name_from[..end]) {
            let left = room.checked_sub(value.len());
            *room = left.ok_or("its variables stand for too much data")?;
            out.push_str(value);
        }
        rest = &name_from[end + usize::from(closed)..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quotes_comments_exports_and_variables() {
        let parsed = parse(
            "# c\nA=1\nexport B = two words # why\nC: yaml\nD=\"x $A\\n${B}\\$A\"\nE='$A'\nF=\"two\nlines\"\nexport A\nG=\n",
        )
        .unwrap();
        assert_eq!(
            parsed,
            json!({"A": "1", "B": "two words", "C": "yaml", "D": "x 1\ntwo words$A", "E": "$A", "F": "two\nlines", "G": ""})
        );
    }

    #[test]
    fn the_environment_of_whoever_runs_it_is_not_looked_at() {
        assert!(std::env::var_os("PATH").is_some());
        assert_eq!(parse("A=$PATH\nB=\"${PATH}\"\n").unwrap(), json!({"A": "", "B": ""}));
    }

    #[test]
    fn what_is_no_assignment_is_refused_with_its_line() {
        assert!(parse("A=1\nwhat is this\n").unwrap_err().starts_with("line 2:"));
        assert!(parse("A=\"open\n").is_err());
        assert!(parse("export NOT_SET\n").is_err());
    }

    #[test]
    fn variables_that_double_each_other_are_refused_before_they_take_memory() {
        let mut text = "A=xxxxxxxxxx\n".to_owned();
        for _ in 0..60 {
            text += "A=$A$A\n";
        }
        assert!(parse(&text).unwrap_err().contains("too much data"));
        assert!(parse("A=x\nA=$A$A\nB=\"${A}\"\n").is_ok_and(|env| env["B"] == "xx"));
    }
}
