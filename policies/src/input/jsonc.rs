//! JSON with comments: `//`, `/* */` and a comma before a closing bracket become blanks, so every place in the text stays where it is.

/// The text as plain JSON of the same length.
pub(super) fn plain(text: &str) -> Result<String, String> {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    let mut comma: Option<usize> = None;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'"', _) => {
                comma = None;
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            (b'/', Some(b'/')) => {
                while at < bytes.len() && bytes[at] != b'\n' {
                    bytes[at] = b' ';
                    at += 1;
                }
            }
            (b'/', Some(b'*')) => {
                let begin = at;
                let end = text[at + 2..]
                    .find("*/")
                    .map(|found| at + 2 + found + 2)
                    .ok_or_else(|| format!("line {}: a comment is not closed", line_of(text, begin)))?;
                for byte in &mut bytes[begin..end] {
                    if *byte != b'\n' {
                        *byte = b' ';
                    }
                }
                at = end;
            }
            (b',', _) => {
                comma = Some(at);
                at += 1;
            }
            (b']' | b'}', _) => {
                if let Some(comma) = comma.take() {
                    bytes[comma] = b' ';
                }
                at += 1;
            }
            (byte, _) => {
                if !byte.is_ascii_whitespace() {
                    comma = None;
                }
                at += 1;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn comments_and_last_commas_go_and_every_place_stays() {
        let text = "{ // a\n \"url\": \"http://x/*no*/\", /* é\n */ \"list\": [1, 2, ], }";
        let plain = plain(text).unwrap();
        assert_eq!(plain.len(), text.len());
        assert_eq!(plain.find("\"list\""), text.find("\"list\""));
        let value: Value = serde_json::from_str(&plain).unwrap();
        assert_eq!(value, json!({"url": "http://x/*no*/", "list": [1, 2]}));
    }

    #[test]
    fn an_open_comment_is_refused_and_a_lone_comma_is_not_forgiven() {
        assert!(plain("{\n/* a").unwrap_err().starts_with("line 2"));
        assert!(serde_json::from_str::<Value>(&plain("[,]").unwrap()).is_ok_and(|v| v == json!([])));
        assert!(serde_json::from_str::<Value>(&plain("[1,,2]").unwrap()).is_err());
    }
}
