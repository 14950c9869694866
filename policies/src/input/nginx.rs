//! `nginx.conf`, as Conftest gives it: directives with their parameters and, where they have one, their block.

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
    let directives = reader.directives(&["directives"], met)?;
    Ok(json!({"directives": directives}))
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
    /// The directives that stand at this path.
    fn directives(&mut self, path: &[&str], met: &mut Met<'_>) -> Result<Vec<Value>, String> {
        let depth = path.len() / 3;
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
            let number = directives.len().to_string();
            let within = [path, &[&number]].concat();
            met(&within, self.line);
            let mut directive = json!({"name": name});
            let mut parameters = Vec::new();
            loop {
                match self.token()? {
                    Token::Word(word) => parameters.push(word),
                    Token::Semicolon => break,
                    Token::Open if name.ends_with("_by_lua_block") => {
                        return Err(format!("line {}: Lua blocks are not read", self.line));
                    }
                    Token::Open => {
                        let inner = [within.as_slice(), &["block", "directives"]].concat();
                        directive["block"] = json!({"directives": self.directives(&inner, met)?});
                        break;
                    }
                    Token::Close | Token::End => {
                        return Err(format!(
                            "line {}: the directive {name} does not end in ; or a block",
                            self.line
                        ));
                    }
                }
            }
            if !parameters.is_empty() {
                directive["parameters"] = json!(parameters);
            }
            directives.push(directive);
        }
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
}
