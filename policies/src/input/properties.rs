//! Java properties, as magiconair/properties gives them: escapes, continuation lines, and `${key}` expanded from the file itself.
//!
//! What the environment holds is not looked at: a verdict must not depend on who runs it. So a `${key}` that the file does not
//! define expands to nothing, as it does there when the variable is not set.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::places::Met;

/// Parses a properties file.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    read(text, &mut |_, _| {})
}

/// The same, telling on which line each key stands.
pub(super) fn read(text: &str, met: &mut Met<'_>) -> Result<Value, String> {
    let mut keys: HashMap<String, String> = HashMap::new();
    let mut order = Vec::new();
    let mut reader = Reader {
        chars: text.chars().peekable(),
        line: 1,
        begun: 1,
    };
    while let Some(key) = reader.key()? {
        met(&[&key], reader.begun);
        let value = reader.value()?;
        if keys.insert(key.clone(), value).is_none() {
            order.push(key);
        }
    }
    let mut expander = Expander {
        keys: &keys,
        steps: STEPS,
        room: EXPANDED.max(text.len() * 2),
    };
    let mut result = Map::new();
    for key in order {
        let Some((own, value)) = keys.get_key_value(&key) else {
            continue;
        };
        let expanded = expander.expand(value, &mut vec![own.as_str()])?;
        result.insert(key, Value::String(expanded));
    }
    Ok(Value::Object(result))
}

/// Nesting of `${…}`, as the reader that Conftest uses bounds it.
const DEPTH: usize = 64;
/// Length of an expanded value.
const LONGEST: usize = 1 << 20;
/// Bytes that are expanded in a file: each value may double those that it names.
const EXPANDED: usize = 64 << 20;
/// How many `${…}` are followed in a file: each may stand for nothing, and be named by two.
const STEPS: usize = 1 << 20;

struct Expander<'a> {
    keys: &'a HashMap<String, String>,
    steps: usize,
    room: usize,
}

impl<'a> Expander<'a> {
    fn expand(&mut self, text: &str, above: &mut Vec<&'a str>) -> Result<String, String> {
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
            if let Some((key, value)) = self.keys.get_key_value(name) {
                let much = "expressions stand for too much data";
                self.steps = self.steps.checked_sub(1).ok_or(much)?;
                above.push(key);
                let expanded = self.expand(value, above)?;
                above.pop();
                self.room = self.room.checked_sub(expanded.len()).ok_or(much)?;
                out.push_str(&expanded);
            }
            if out.len() > LONGEST {
                return Err("an expanded value is longer than 1 MiB".to_owned());
            }
            rest = &inner[end + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }
}

struct Reader<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
    /// The line of the last key.
    begun: usize,
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
        self.begun = self.line;
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
    fn the_environment_of_whoever_runs_it_is_not_looked_at() {
        assert!(std::env::var_os("PATH").is_some());
        assert_eq!(parse("a = x${PATH}\n").unwrap(), json!({"a": "x"}));
    }

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

    #[test]
    fn expressions_that_double_each_other_are_refused_before_they_take_time_or_memory() {
        let chain = |end: &str| {
            let links = (0..60).map(|n| format!("a{n}=${{a{0}}}${{a{0}}}\n", n + 1));
            links.collect::<String>() + &format!("a60={end}\n")
        };
        assert!(parse(&chain("")).unwrap_err().contains("too much data"));
        assert!(parse(&chain("x")).is_err());
        let wide: String = (0..1000).map(|n| format!("k{n}=${{big}}\n")).collect();
        let wide = format!("big={}\n{wide}", "x".repeat(1 << 19));
        assert!(parse(&wide).unwrap_err().contains("too much data"));
    }
}
