//! INI files, as go-ini and Conftest's typing of its values give them.
//!
//! Sections become objects; what Go's `ParseFloat` takes is a number, what its `ParseBool` takes a boolean, all else text. The keys
//! before the first section (go-ini's `DEFAULT`) are left out, as Conftest leaves them out. Source of the facts: go-ini `parser.go`.

use serde_json::{Map, Number, Value};

use super::places::Met;

/// Parses an INI file.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    read(text, &mut |_, _| {})
}

/// The same, telling on which line each section and key stands.
pub(super) fn read(text: &str, met: &mut Met<'_>) -> Result<Value, String> {
    let mut sections = Map::new();
    let mut section = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let end = rest
                .rfind(']')
                .ok_or_else(|| format!("line {}: unclosed section: {line}", index + 1))?;
            section = rest[..end].trim().to_owned();
            if section.is_empty() {
                return Err(format!("line {}: a section without a name", index + 1));
            }
            met(&[&section], index + 1);
            sections
                .entry(section.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            continue;
        }
        let (key, rest) = key(line).map_err(|reason| format!("line {}: {reason}", index + 1))?;
        let value = value(rest, &mut lines).map_err(|reason| format!("line {}: {reason}", index + 1))?;
        if section.is_empty() || section == "DEFAULT" {
            continue;
        }
        met(&[&section, &key], index + 1);
        if let Some(Value::Object(keys)) = sections.get_mut(&section) {
            keys.insert(key, typed(value));
        }
    }
    sections.remove("DEFAULT");
    Ok(Value::Object(sections))
}

fn key(line: &str) -> Result<(String, &str), String> {
    for quote in ["\"\"\"", "\"", "`"] {
        if let Some(rest) = line.strip_prefix(quote) {
            let end = rest
                .find(quote)
                .ok_or_else(|| format!("missing closing key quote: {line}"))?;
            let after = &rest[end + quote.len()..];
            let at = after
                .find(['=', ':'])
                .ok_or_else(|| format!("key-value delimiter not found: {line}"))?;
            return Ok((rest[..end].trim().to_owned(), &after[at + 1..]));
        }
    }
    match line.find(['=', ':']) {
        None => Err(format!("key-value delimiter not found: {line}")),
        Some(0) => Err(format!("empty key name: {line}")),
        Some(at) => Ok((line[..at].trim().to_owned(), &line[at + 1..])),
    }
}

fn value<'a>(rest: &str, lines: &mut impl Iterator<Item = (usize, &'a str)>) -> Result<String, String> {
    let rest = rest.trim_start();
    for quote in ["\"\"\"", "`"] {
        let Some(open) = rest.strip_prefix(quote) else { continue };
        if let Some(end) = open.rfind(quote) {
            return Ok(open[..end].to_owned());
        }
        let mut value = format!("{open}\n");
        for (_, line) in lines.by_ref() {
            if let Some(end) = line.rfind(quote) {
                value.push_str(&line[..end]);
                return Ok(value);
            }
            value.push_str(line);
            value.push('\n');
        }
        return Err("missing closing quote of a value".to_owned());
    }
    let line = rest.trim_end();
    if let Some(begin) = line.strip_suffix('\\') {
        let mut value = begin.to_owned();
        for (_, line) in lines.by_ref() {
            let line = line.trim();
            value.push_str(line.strip_suffix('\\').unwrap_or(line));
            if !line.ends_with('\\') {
                break;
            }
        }
        return Ok(value);
    }
    let line = line.find(['#', ';']).map_or(line, |at| line[..at].trim_end());
    for quote in ['\'', '"'] {
        if let Some(inner) = line.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote))
            && !inner.contains(quote)
        {
            return Ok(inner.to_owned());
        }
    }
    Ok(line.to_owned())
}

/// The value as Conftest types it.
fn typed(text: String) -> Value {
    if let Some(number) = go_float(&text) {
        return number;
    }
    match text.as_str() {
        "t" | "T" | "true" | "TRUE" | "True" => Value::Bool(true),
        "f" | "F" | "false" | "FALSE" | "False" => Value::Bool(false),
        _ => Value::String(text),
    }
}

/// What Go's `strconv.ParseFloat` takes, of which JSON can hold all but infinities and NaN.
fn go_float(text: &str) -> Option<Value> {
    let starts_right = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    if !starts_right || text.ends_with(['_', 'e', 'E']) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be whole and small just before"
    )]
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return Some(Value::from(number as i64));
    }
    Number::from_f64(number).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sections_hold_typed_values_and_what_stands_before_them_is_left_out() {
        let parsed = parse(
            "a = 1\n[auth]\ndelay=10\nratio: 2.5\non = true\nname = \"x y\" # why\n;c\npath=a;b\n long = a \\\n b\n[empty]\n",
        )
        .unwrap();
        assert_eq!(
            parsed,
            json!({"auth": {"delay": 10, "ratio": 2.5, "on": true, "name": "x y", "path": "a", "long": "a b"}, "empty": {}})
        );
    }

    #[test]
    fn a_line_that_is_none_is_refused_with_its_number() {
        assert!(parse("[a]\nnothing\n").unwrap_err().starts_with("line 2:"));
        assert!(parse("[a\n").is_err());
        assert!(parse("[a]\n=b\n").is_err());
    }
}
