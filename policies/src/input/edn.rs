//! EDN, as Conftest gives it: every scalar is text, a keyword with its colon, `nil` as `<nil>`; sets and lists are arrays, a tagged
//! value is its value.

use serde_json::{Map, Value};

/// Nesting that is followed.
const DEPTH: usize = 128;

/// Parses one EDN value.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?.ok_or_else(|| reader.refuse("a value is missing"))?;
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn refuse(&self, reason: &str) -> String {
        let line = 1 + self.text[..self.at].matches('\n').count();
        format!("line {line}: {reason}")
    }

    fn skip(&mut self, depth: usize) -> Result<(), String> {
        loop {
            match self.peek() {
                Some(c) if c.is_whitespace() || c == ',' => {
                    self.next();
                }
                Some(';') => while self.next().is_some_and(|c| c != '\n') {},
                Some('#') if self.rest().starts_with("#_") => {
                    self.at += 2;
                    self.value(depth + 1)?;
                }
                _ => return Ok(()),
            }
        }
    }

    /// The next value; `None` before a closing bracket or at the end.
    fn value(&mut self, depth: usize) -> Result<Option<Value>, String> {
        if depth > DEPTH {
            return Err(self.refuse(&format!("more than {DEPTH} values in each other")));
        }
        self.skip(depth)?;
        Ok(match self.peek() {
            None | Some(')' | ']' | '}') => None,
            Some('(') => Some(self.list(')', depth)?),
            Some('[') => Some(self.list(']', depth)?),
            Some('{') => Some(self.map(depth)?),
            Some('"') => Some(self.string()?),
            Some('\\') => Some(self.character()?),
            Some('#') => {
                self.next();
                if self.peek() == Some('{') {
                    Some(self.list('}', depth)?)
                } else {
                    self.word();
                    self.value(depth + 1)?
                }
            }
            Some(_) => Some(self.atom()?),
        })
    }

    fn list(&mut self, end: char, depth: usize) -> Result<Value, String> {
        self.next();
        let mut items = Vec::new();
        while let Some(item) = self.value(depth + 1)? {
            items.push(item);
        }
        self.close(end)?;
        Ok(Value::Array(items))
    }

    fn map(&mut self, depth: usize) -> Result<Value, String> {
        self.next();
        let mut map = Map::new();
        while let Some(key) = self.value(depth + 1)? {
            let key = match key {
                Value::String(key) => key,
                other => other.to_string(),
            };
            let value = self
                .value(depth + 1)?
                .ok_or_else(|| self.refuse(&format!("the key {key} has no value")))?;
            map.insert(key, value);
        }
        self.close('}')?;
        Ok(Value::Object(map))
    }

    fn close(&mut self, end: char) -> Result<(), String> {
        if self.next() == Some(end) {
            Ok(())
        } else {
            Err(self.refuse(&format!("{end} is missing")))
        }
    }

    fn string(&mut self) -> Result<Value, String> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next().ok_or_else(|| self.refuse("a text is not closed"))? {
                '"' => return Ok(Value::String(text)),
                '\\' => match self.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('u') => {
                        let code = self.rest().get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                        let code = code.ok_or_else(|| self.refuse("no such character"))?;
                        self.at += 4;
                        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    Some(c) => text.push(c),
                    None => return Err(self.refuse("a text is not closed")),
                },
                c => text.push(c),
            }
        }
    }

    fn character(&mut self) -> Result<Value, String> {
        self.next();
        let first = self.next().ok_or_else(|| self.refuse("a character is missing"))?;
        let word = format!("{first}{}", self.word());
        Ok(Value::String(match word.as_str() {
            "newline" => "\n".to_owned(),
            "space" => " ".to_owned(),
            "tab" => "\t".to_owned(),
            "return" => "\r".to_owned(),
            _ => word,
        }))
    }

    fn word(&mut self) -> String {
        let end = self
            .rest()
            .find(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | ';'))
            .unwrap_or(self.rest().len());
        let word = self.rest()[..end].to_owned();
        self.at += end;
        word
    }

    fn atom(&mut self) -> Result<Value, String> {
        let word = self.word();
        Ok(match word.as_str() {
            "nil" => Value::String("<nil>".to_owned()),
            "" => return Err(self.refuse("a value is missing")),
            _ => Value::String(word),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_every_kind() {
        let parsed =
            parse("; c\n{:a [1 2.5 nil true], :b #{x} \"k\" #inst \"2020\" :c \\newline #_ignored :d (sym \"t\\n\")}")
                .unwrap();
        assert_eq!(
            parsed,
            json!({":a": ["1", "2.5", "<nil>", "true"], ":b": ["x"], "k": "2020", ":c": "\n", ":d": ["sym", "t\n"]})
        );
    }

    #[test]
    fn what_is_open_or_deep_is_refused() {
        assert!(parse("{:a 1").is_err());
        assert!(parse("{:a}").unwrap_err().starts_with("line 1"));
        assert!(parse(&"[".repeat(10_000)).is_err());
        assert!(parse("").is_err());
    }
}
