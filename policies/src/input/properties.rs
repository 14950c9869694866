//! Java properties, as magiconair/properties gives them: escapes, continuation lines, and `${key}` expanded from the file itself.
//!
//! What the environment holds is not looked at: a verdict must not depend on who runs it. So a `${key}` that the file does not
//! define expands to nothing, as it does there when the variable is not set.

use serde_json::{Map, Value};

/// Parses a properties file.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut keys: Vec<(String, String)> = Vec::new();
    let mut reader = Reader {
        chars: text.chars().peekable(),
        line: 1,
    };
    while let Some(key) = reader.key()? {
        let value = reader.value()?;
        match keys.iter_mut().find(|(known, _)| *known == key) {
            Some(known) => known.1 = value,
            None => keys.push((key, value)),
        }
    }
    let mut result = Map::new();
    for (key, value) in &keys {
        let expanded = expand(value, &keys, &mut vec![key.as_str()])?;
        result.insert(key.clone(), Value::String(expanded));
    }
    Ok(Value::Object(result))
}

/// Nesting of `${…}`, as the reader that Conftest uses bounds it.
const DEPTH: usize = 64;
/// Length of an expanded value.
const LONGEST: usize = 1 << 20;

fn expand<'a>(text: &str, keys: &'a [(String, String)], above: &mut Vec<&'a str>) -> Result<String, String> {
    if above.len() > DEPTH {
        return Err("expansion too deep".to_owned());
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let end = inner.find('}').ok_or("malformed expression: a ${ without its }")?;
        let name = &inner[..end];
        if above.contains(&name) {
            return Err(format!("circular reference: {} refers to itself", above.join(" -> ")));
        }
        if let Some((key, value)) = keys.iter().find(|(key, _)| key == name) {
            above.push(key);
            out.push_str(&expand(value, keys, above)?);
            above.pop();
        }
        if out.len() > LONGEST {
            return Err("an expanded value is longer than 1 MiB".to_owned());
        }
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

struct Reader<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.chars.next();
        self.line += usize::from(c == Some('\n'));
        c
    }

    fn skip_blanks(&mut self) {
        while self.chars.next_if(|c| matches!(c, ' ' | '\t' | '\u{c}')).is_some() {}
    }

    fn key(&mut self) -> Result<Option<String>, String> {
        loop {
            match self.chars.peek() {
                None => return Ok(None),
                Some('#' | '!') => while self.next().is_some_and(|c| c != '\n' && c != '\r') {},
                Some(c) if c.is_ascii_whitespace() => {
                    self.next();
                }
                Some(_) => break,
            }
        }
        let mut key = String::new();
        while let Some(c) = self.chars.peek().copied() {
            match c {
                '\\' => {
                    self.next();
                    self.escaped(&mut key)?;
                }
                ' ' | '\u{c}' | '\t' | '\r' | '\n' | ':' | '=' => break,
                _ => {
                    self.next();
                    key.push(c);
                }
            }
        }
        if key.is_empty() {
            return Err(format!("line {}: a value without a key", self.line));
        }
        Ok(Some(key))
    }

    fn value(&mut self) -> Result<String, String> {
        self.skip_blanks();
        self.chars.next_if(|c| matches!(c, ':' | '='));
        self.skip_blanks();
        let mut value = String::new();
        while let Some(c) = self.next() {
            match c {
                '\\' if matches!(self.chars.peek(), Some('\n' | '\r')) => {
                    if self.next() == Some('\r') {
                        self.chars.next_if_eq(&'\n');
                    }
                    self.skip_blanks();
                }
                '\\' => self.escaped(&mut value)?,
                '\n' | '\r' => break,
                _ => value.push(c),
            }
        }
        Ok(value)
    }

    fn escaped(&mut self, into: &mut String) -> Result<(), String> {
        match self.next() {
            None => return Err(format!("line {}: the file ends in an escape", self.line)),
            Some('f') => into.push('\u{c}'),
            Some('n') => into.push('\n'),
            Some('r') => into.push('\r'),
            Some('t') => into.push('\t'),
            Some('u') => {
                let mut code = 0;
                for _ in 0..4 {
                    let digit = self.next().and_then(|c| c.to_digit(16));
                    code = code * 16 + digit.ok_or_else(|| format!("line {}: invalid unicode literal", self.line))?;
                }
                into.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(c) => into.push(c),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_values_escapes_and_expansion() {
        let parsed = parse(
            "# comment\n! other=1\n  a.b = x \\\n     y\nurl=https\\://example.com/${a.b}\nc : \\u0041\\tb\nempty\nlast=v",
        )
        .unwrap();
        assert_eq!(
            parsed,
            json!({"a.b": "x y", "url": "https://example.com/x y", "c": "A\tb", "empty": "", "last": "v"})
        );
    }

    #[test]
    fn circles_and_growth_are_refused() {
        assert!(parse("a=${b}\nb=${a}\n").unwrap_err().contains("circular"));
        let mut bomb = "k0=0123456789\n".to_owned();
        for n in 1..40 {
            bomb.push_str(&format!("k{n}=${{k{}}}${{k{}}}\n", n - 1, n - 1));
        }
        assert!(parse(&bomb).is_err());
        assert!(parse("a=${b").is_err());
        assert!(parse("a=\\u12").is_err());
    }
}
