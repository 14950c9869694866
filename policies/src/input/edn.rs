//! EDN, as Conftest gives it: vectors and lists are arrays, maps objects, text is text, and all else is how Go prints what the reader of
//! Conftest makes of it: a keyword with its colon, `nil` as `<nil>`, a character as its number, a set as `map[a:true]`.
//!
//! Source of the facts: Conftest `parser/edn`, go-edn `decode.go` and `types.go`, Go's `fmt`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::builtins::decimal;

/// Nesting that is followed.
const DEPTH: usize = 128;

/// Parses one EDN value.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?.ok_or_else(|| reader.refuse("a value is missing"))?;
    value.cleaned()
}

/// A value as go-edn has it.
#[derive(Debug, Clone, PartialEq)]
enum Edn {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Keyword(String),
    /// A symbol, or what has its text already: a point in time, bytes, a large number.
    Plain(String),
    List(Vec<Edn>),
    Map(Vec<(Edn, Edn)>),
    Set(Vec<Edn>),
    Tag(String, Box<Edn>),
}

impl Edn {
    /// Conftest's cleaning.
    fn cleaned(&self) -> Result<Value, String> {
        Ok(match self {
            Self::List(items) => items.iter().map(Self::cleaned).collect::<Result<_, _>>()?,
            Self::Map(pairs) => {
                let mut object = Map::new();
                for (key, value) in pairs {
                    object.insert(key.as_key()?, value.cleaned()?);
                }
                Value::Object(object)
            }
            other => Value::String(other.shown()?),
        })
    }

    /// As Go's `%v`.
    fn shown(&self) -> Result<String, String> {
        Ok(match self {
            Self::Nil => "<nil>".to_owned(),
            Self::Bool(truth) => truth.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => decimal(*number, 21),
            Self::Text(text) | Self::Plain(text) => text.clone(),
            Self::Keyword(name) => format!(":{name}"),
            Self::List(items) => {
                let items = items.iter().map(Self::shown).collect::<Result<Vec<_>, _>>()?;
                format!("[{}]", items.join(" "))
            }
            Self::Map(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| (key, value.shown()));
                go_map(pairs.collect())?
            }
            Self::Set(items) => go_map(items.iter().map(|item| (item, Ok("true".to_owned()))).collect())?,
            Self::Tag(name, value) => format!("#{name} {}", value.shown()?),
        })
    }

    /// As a key: a collection would be shown by its address.
    fn as_key(&self) -> Result<String, String> {
        match self {
            Self::List(_) | Self::Map(_) | Self::Set(_) => Err("a collection as a key has no text".to_owned()),
            other => other.shown(),
        }
    }

    /// The order in which Go prints a map; between kinds it has none.
    fn rank(&self) -> (u8, f64, String) {
        let text = || self.as_key().unwrap_or_default();
        match self {
            Self::Nil => (0, 0.0, String::new()),
            Self::Bool(truth) => (1, f64::from(u8::from(*truth)), String::new()),
            #[expect(clippy::cast_precision_loss, reason = "an order among printed numbers")]
            Self::Int(number) => (2, *number as f64, text()),
            Self::Float(number) => (3, *number, String::new()),
            Self::Text(_) => (4, 0.0, text()),
            Self::Keyword(_) => (5, 0.0, text()),
            _ => (6, 0.0, text()),
        }
    }
}

/// `map[a:1 b:2]`, each key once, the last of several.
fn go_map(pairs: Vec<(&Edn, Result<String, String>)>) -> Result<String, String> {
    let mut shown: Vec<(&Edn, String)> = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        shown.push((key, format!("{}:{}", key.as_key()?, value?)));
    }
    shown.sort_by(|(a, _), (b, _)| {
        let ((a, x, s), (b, y, t)) = (a.rank(), b.rank());
        a.cmp(&b).then(x.total_cmp(&y)).then(s.cmp(&t))
    });
    shown.reverse();
    shown.dedup_by(|(a, _), (b, _)| a == b);
    shown.reverse();
    let shown: Vec<String> = shown.into_iter().map(|(_, text)| text).collect();
    Ok(format!("map[{}]", shown.join(" ")))
}

/// As Go prints a `big.Int` that is not behind a pointer: its sign and its words.
fn big(digits: &str) -> String {
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, digits.trim_start_matches('+')),
    };
    let mut words: Vec<u64> = Vec::new();
    for digit in digits.bytes() {
        let mut carry = u128::from(digit - b'0');
        for word in &mut words {
            let product = u128::from(*word) * 10 + carry;
            *word = u64::try_from(product & u128::from(u64::MAX)).unwrap_or(0);
            carry = product >> 64;
        }
        if carry > 0 {
            words.push(u64::try_from(carry).unwrap_or(0));
        }
    }
    let words: Vec<String> = words.iter().map(u64::to_string).collect();
    format!("{{{negative} [{}]}}", words.join(" "))
}

/// `#inst`: a time as Go prints it.
fn instant(text: &str) -> Result<String, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| format!("{text:?} is no time"))?;
    let (hours, minutes, _) = time.offset().as_hms();
    let zone = match (hours, minutes) {
        (0, 0) => "+0000 UTC".to_owned(),
        _ => {
            let sign = if hours < 0 || minutes < 0 { '-' } else { '+' };
            let zone = format!("{sign}{:02}{:02}", hours.unsigned_abs(), minutes.unsigned_abs());
            format!("{zone} {zone}")
        }
    };
    let fraction = format!(".{:09}", time.nanosecond());
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    let (hour, minute, second) = time.to_hms();
    Ok(format!(
        "{} {hour:02}:{minute:02}:{second:02}{fraction} {zone}",
        time.date()
    ))
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
    fn value(&mut self, depth: usize) -> Result<Option<Edn>, String> {
        if depth > DEPTH {
            return Err(self.refuse(&format!("more than {DEPTH} values in each other")));
        }
        self.skip(depth)?;
        Ok(match self.peek() {
            None | Some(')' | ']' | '}') => None,
            Some('(') => Some(Edn::List(self.list(')', depth)?)),
            Some('[') => Some(Edn::List(self.list(']', depth)?)),
            Some('{') => Some(self.map(depth)?),
            Some('"') => Some(self.string()?),
            Some('\\') => Some(self.character()?),
            Some('#') => {
                self.next();
                if self.peek() == Some('{') {
                    Some(Edn::Set(self.list('}', depth)?))
                } else {
                    let tag = self.word();
                    let value = self
                        .value(depth + 1)?
                        .ok_or_else(|| self.refuse("a tag is on nothing"))?;
                    Some(self.tagged(tag, value)?)
                }
            }
            Some(_) => Some(self.atom()?),
        })
    }

    fn list(&mut self, end: char, depth: usize) -> Result<Vec<Edn>, String> {
        self.next();
        let mut items = Vec::new();
        while let Some(item) = self.value(depth + 1)? {
            items.push(item);
        }
        self.close(end)?;
        Ok(items)
    }

    fn map(&mut self, depth: usize) -> Result<Edn, String> {
        self.next();
        let mut pairs = Vec::new();
        while let Some(key) = self.value(depth + 1)? {
            let value = self
                .value(depth + 1)?
                .ok_or_else(|| self.refuse("a key has no value"))?;
            pairs.push((key, value));
        }
        self.close('}')?;
        Ok(Edn::Map(pairs))
    }

    fn tagged(&self, tag: String, value: Edn) -> Result<Edn, String> {
        match (tag.as_str(), &value) {
            ("inst", Edn::Text(text)) => instant(text).map(Edn::Plain).map_err(|why| self.refuse(&why)),
            ("base64", Edn::Text(text)) => {
                let bytes = STANDARD.decode(text).map_err(|_| self.refuse("#base64 is none"))?;
                let bytes: Vec<String> = bytes.iter().map(u8::to_string).collect();
                Ok(Edn::Plain(format!("[{}]", bytes.join(" "))))
            }
            ("inst" | "base64", _) => Err(self.refuse(&format!("#{tag} stands on a text"))),
            _ => Ok(Edn::Tag(tag, Box::new(value))),
        }
    }

    fn close(&mut self, end: char) -> Result<(), String> {
        if self.next() == Some(end) {
            Ok(())
        } else {
            Err(self.refuse(&format!("{end} is missing")))
        }
    }

    fn string(&mut self) -> Result<Edn, String> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next().ok_or_else(|| self.refuse("a text is not closed"))? {
                '"' => return Ok(Edn::Text(text)),
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

    /// A character is a number to Go.
    fn character(&mut self) -> Result<Edn, String> {
        self.next();
        let first = self.next().ok_or_else(|| self.refuse("a character is missing"))?;
        let word = format!("{first}{}", self.word());
        let hex = word.strip_prefix('u').filter(|hex| hex.len() == 4);
        Ok(Edn::Int(i64::from(match (word.as_str(), hex) {
            ("newline", _) => u32::from('\n'),
            ("space", _) => u32::from(' '),
            ("tab", _) => u32::from('\t'),
            ("return", _) => u32::from('\r'),
            ("formfeed", _) => 12,
            (_, Some(hex)) => u32::from_str_radix(hex, 16).map_err(|_| self.refuse("no such character"))?,
            _ => u32::from(first),
        })))
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

    fn atom(&mut self) -> Result<Edn, String> {
        let word = self.word();
        let unsigned = word.strip_prefix(['+', '-']).unwrap_or(&word);
        if unsigned.starts_with(|c: char| c.is_ascii_digit()) {
            let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
            let no = || self.refuse(&format!("{word:?} is no number"));
            if let Some(whole) = word
                .strip_suffix('N')
                .filter(|_| digits(&unsigned[..unsigned.len() - 1]))
            {
                return Ok(Edn::Plain(big(whole)));
            }
            if digits(unsigned) {
                return word.parse().map(Edn::Int).map_err(|_| no());
            }
            return word.trim_end_matches('M').parse().map(Edn::Float).map_err(|_| no());
        }
        Ok(match word.as_str() {
            "" => return Err(self.refuse("a value is missing")),
            "nil" => Edn::Nil,
            "true" => Edn::Bool(true),
            "false" => Edn::Bool(false),
            _ => match word.strip_prefix(':') {
                Some(name) => Edn::Keyword(name.to_owned()),
                None => Edn::Plain(word),
            },
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
            parse("; c\n{:a [1 2.50 nil true -0 1e21], :b #{x} \"k\" #inst \"2020-01-02T03:04:05.500+02:00\" :c \\newline #_ignored :d (sym \"t\\n\") 3 12N}")
                .unwrap();
        assert_eq!(
            parsed,
            json!({
                ":a": ["1", "2.5", "<nil>", "true", "0", "1e+21"], ":b": "map[x:true]", "k": "2020-01-02 03:04:05.5 +0200 +0200",
                ":c": "10", ":d": ["sym", "t\n"], "3": "{false [12]}",
            })
        );
    }

    #[test]
    fn what_is_open_or_deep_is_refused() {
        assert!(parse("{:a 1").is_err());
        assert!(parse("{:a}").unwrap_err().starts_with("line 1"));
        assert!(parse(&"[".repeat(10_000)).is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn what_go_has_no_other_form_for_is_how_it_prints_it() {
        for (text, shown) in [
            ("#{:b :a 2 10 \"s\"}", "map[2:true 10:true s:true :a:true :b:true]"),
            ("#my/tag [1 \"a b\" {:k #{}}]", "#my/tag [1 a b map[:k:map[]]]"),
            ("#inst \"1985-04-12T23:20:50Z\"", "1985-04-12 23:20:50 +0000 UTC"),
            ("#base64 \"aGk=\"", "[104 105]"),
            ("-18446744073709551616N", "{true [0 1]}"),
            ("\\u00e9", "233"),
            ("nil", "<nil>"),
            ("1.50M", "1.5"),
        ] {
            assert_eq!(parse(text).unwrap(), json!(shown), "{text}");
        }
        assert!(parse("{[1] 2}").unwrap_err().contains("collection"));
        assert!(parse("99999999999999999999").is_err());
    }
}
