//! `nginx.conf`, as Conftest gives it: directives with their parameters and, where they have one, their block.
//!
//! Its reader knows some directives and arranges them: an `http` block's servers, and an `upstream`'s, stand behind everything else
//! in it, a server of an upstream has its `name=value` by name and its flags behind them, and of Lua nothing is shown. Source of the
//! facts: gonginx `config/`, `parser/parser.go`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::places::Met;

/// Nesting that is followed.
const DEPTH: usize = 64;

/// Parses an nginx configuration; `include` is not followed.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    read(text, &mut |_, _| {})
}

/// The same, telling on which line each directive stands.
pub(super) fn read(text: &str, met: &mut Met<'_>) -> Result<Value, String> {
    let mut reader = Reader {
        chars: text.chars().peekable(),
        line: 1,
    };
    let directives = reader.directives(0)?;
    let directives = told(directives, &["directives"], met);
    Ok(json!({"directives": directives}))
}

struct Directive {
    name: String,
    line: usize,
    parameters: Vec<String>,
    block: Option<Vec<Directive>>,
}

impl Directive {
    /// As gonginx has it, once it has ended.
    fn arranged(mut self) -> Result<Self, String> {
        let count = self.parameters.len();
        match (self.name.as_str(), &mut self.block) {
            ("server", None) => self.parameters = server(std::mem::take(&mut self.parameters)),
            ("server", Some(_)) => self.parameters.clear(),
            ("http", Some(block)) => {
                self.parameters.clear();
                // A server without a block is one of an upstream, and stays where it is.
                block.sort_by_key(|directive| directive.name == "server" && directive.block.is_some());
            }
            ("upstream", Some(_)) if count == 0 => {
                return Err(format!("line {}: an upstream without a name", self.line));
            }
            ("upstream", Some(block)) => {
                self.parameters.truncate(1);
                block.sort_by_key(|directive| directive.name == "server");
            }
            ("location", Some(_)) if !(1..=2).contains(&count) => {
                return Err(format!("line {}: a location with {count} arguments", self.line));
            }
            _ => {}
        }
        Ok(self)
    }
}

/// The address, what has a value by its name, and flags.
fn server(parameters: Vec<String>) -> Vec<String> {
    let mut parameters = parameters.into_iter();
    let mut out: Vec<String> = parameters.next().into_iter().collect();
    let (mut named, mut flags) = (BTreeMap::new(), Vec::new());
    for parameter in parameters {
        match parameter.split_once('=') {
            Some((name, value)) => drop(named.insert(name.to_owned(), value.to_owned())),
            None => flags.push(parameter),
        }
    }
    out.extend(named.into_iter().map(|(name, value)| format!("{name}={value}")));
    out.extend(flags);
    out
}

/// Directives as values, and on which line each of them stands.
fn told(directives: Vec<Directive>, path: &[&str], met: &mut Met<'_>) -> Vec<Value> {
    let mut values = Vec::with_capacity(directives.len());
    for (number, directive) in directives.into_iter().enumerate() {
        let number = number.to_string();
        let within = [path, &[&number]].concat();
        met(&within, directive.line);
        let mut value = json!({"name": directive.name});
        if !directive.parameters.is_empty() {
            value["parameters"] = json!(directive.parameters);
        }
        if let Some(block) = directive.block {
            let inner = [within.as_slice(), &["block", "directives"]].concat();
            value["block"] = json!({"directives": told(block, &inner, met)});
        }
        values.push(value);
    }
    values
}

struct Reader<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
}

enum Token {
    Word(String),
    Semicolon,
    Open,
    Close,
    End,
}

impl Reader<'_> {
    fn directives(&mut self, depth: usize) -> Result<Vec<Directive>, String> {
        if depth > DEPTH {
            return Err(format!("line {}: more than {DEPTH} blocks in each other", self.line));
        }
        let mut directives = Vec::new();
        loop {
            let name = match self.token()? {
                Token::Word(name) => name,
                Token::Close if depth > 0 => return Ok(directives),
                Token::End if depth == 0 => return Ok(directives),
                Token::End => return Err(format!("line {}: a block is not closed", self.line)),
                Token::Semicolon => continue,
                Token::Open | Token::Close => return Err(format!("line {}: a bracket without a directive", self.line)),
            };
            let mut directive = Directive {
                name,
                line: self.line,
                parameters: Vec::new(),
                block: None,
            };
            loop {
                match self.token()? {
                    Token::Word(word) => directive.parameters.push(word),
                    Token::Semicolon => break,
                    Token::Open if directive.name.ends_with("_by_lua_block") => {
                        self.skip_lua()?;
                        directive.block = Some(Vec::new());
                        break;
                    }
                    Token::Open => {
                        directive.block = Some(self.directives(depth + 1)?);
                        break;
                    }
                    Token::Close | Token::End => {
                        return Err(format!(
                            "line {}: the directive {} does not end in ; or a block",
                            self.line, directive.name
                        ));
                    }
                }
            }
            directives.push(directive.arranged()?);
        }
    }

    /// Passes over Lua up to the bracket that closes it.
    fn skip_lua(&mut self) -> Result<(), String> {
        let mut open = 1usize;
        while let Some(c) = self.next() {
            match c {
                '#' => while self.next().is_some_and(|c| c != '\n') {},
                '{' => open += 1,
                '}' if open == 1 => return Ok(()),
                '}' => open -= 1,
                _ => {}
            }
        }
        Err(format!("line {}: a block of Lua is not closed", self.line))
    }

    fn next(&mut self) -> Option<char> {
        let c = self.chars.next();
        self.line += usize::from(c == Some('\n'));
        c
    }

    fn token(&mut self) -> Result<Token, String> {
        loop {
            match self.chars.peek() {
                None => return Ok(Token::End),
                Some('#') => while self.next().is_some_and(|c| c != '\n') {},
                Some(c) if c.is_whitespace() => {
                    self.next();
                }
                Some(';') => {
                    self.next();
                    return Ok(Token::Semicolon);
                }
                Some('{') => {
                    self.next();
                    return Ok(Token::Open);
                }
                Some('}') => {
                    self.next();
                    return Ok(Token::Close);
                }
                Some(_) => return self.word().map(Token::Word),
            }
        }
    }

    /// A word, quotes kept; `${name}` holds no bracket.
    fn word(&mut self) -> Result<String, String> {
        let mut word = String::new();
        let quote = self.chars.peek().copied().filter(|c| matches!(c, '"' | '\''));
        word.extend(quote.and_then(|_| self.next()));
        while let Some(c) = self.chars.peek().copied() {
            match (quote, c) {
                (_, '\\') => {
                    word.extend(self.next());
                    word.extend(self.next());
                }
                (Some(open), _) => {
                    word.extend(self.next());
                    if c == open {
                        return Ok(word);
                    }
                }
                (None, '{') if word.ends_with('$') => {
                    while let Some(c) = self.next() {
                        word.push(c);
                        if c == '}' {
                            break;
                        }
                    }
                }
                (None, ';' | '{' | '}') => return Ok(word),
                (None, c) if c.is_whitespace() => return Ok(word),
                (None, _) => word.extend(self.next()),
            }
        }
        match quote {
            Some(_) => Err(format!("line {}: a quote is not closed", self.line)),
            None => Ok(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_parameters_and_blocks() {
        let parsed =
            parse("# c\nuser www;\nhttp {\n server { listen 80 default; return 301 \"https://$host;${uri}\"; }\n}\n")
                .unwrap();
        assert_eq!(
            parsed,
            json!({"directives": [
                {"name": "user", "parameters": ["www"]},
                {"name": "http", "block": {"directives": [
                    {"name": "server", "block": {"directives": [
                        {"name": "listen", "parameters": ["80", "default"]},
                        {"name": "return", "parameters": ["301", "\"https://$host;${uri}\""]},
                    ]}},
                ]}},
            ]})
        );
    }

    #[test]
    fn what_does_not_end_is_refused_with_its_line() {
        assert!(parse("http {\n").unwrap_err().starts_with("line 2"));
        assert!(parse("user www").is_err());
        assert!(parse("}").is_err());
        assert!(parse(&"a {".repeat(10_000)).is_err());
    }

    #[test]
    fn servers_stand_behind_what_is_beside_them_and_lua_is_not_shown() {
        let text = "http {\n server { listen 80; }\n gzip on;\n upstream u extra {\n  server a weight=5 backup max_fails=3;\n  ip_hash;\n }\n \
                    content_by_lua_block {\n  local t = { 1 }\n }\n location ~ \\.php$ { deny all; }\n}\n";
        let mut lines = Vec::new();
        let parsed = read(text, &mut |path, line| lines.push((path.join("/"), line))).unwrap();
        assert_eq!(
            parsed,
            json!({"directives": [{"name": "http", "block": {"directives": [
                {"name": "gzip", "parameters": ["on"]},
                {"name": "upstream", "parameters": ["u"], "block": {"directives": [
                    {"name": "ip_hash"}, {"name": "server", "parameters": ["a", "max_fails=3", "weight=5", "backup"]},
                ]}},
                {"name": "content_by_lua_block", "block": {"directives": []}},
                {"name": "location", "parameters": ["~", "\\.php$"], "block": {"directives": [{"name": "deny", "parameters": ["all"]}]}},
                {"name": "server", "block": {"directives": [{"name": "listen", "parameters": ["80"]}]}},
            ]}}]})
        );
        assert!(
            lines.contains(&("directives/0/block/directives/4".to_owned(), 2)),
            "{lines:?}"
        );
        assert!(
            lines.contains(&("directives/0/block/directives/1/block/directives/0".to_owned(), 6)),
            "{lines:?}"
        );
        assert!(parse("location a b c { }").unwrap_err().contains("3 arguments"));
        assert!(parse("x_by_lua_block { {\n").unwrap_err().starts_with("line 2"));
    }
}
