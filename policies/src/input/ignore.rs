//! `.gitignore` and `.dockerignore`: one document, a list of `{Kind, Value, Original}`, as go-ignore gives them.

use serde_json::{Value, json};

/// Parses an ignore file; each line is an entry.
pub(super) fn parse(text: &str) -> Value {
    let entries: Vec<Value> = text.split('\n').map(entry).collect();
    json!([entries])
}

fn entry(line: &str) -> Value {
    let stripped = trimmed(line);
    let (kind, value) = if stripped.is_empty() {
        ("Empty", line.to_owned())
    } else if let Some(comment) = stripped.strip_prefix('#') {
        ("Comment", comment.trim().to_owned())
    } else if let Some(path) = stripped.strip_prefix('!') {
        ("NegatedPath", unescaped(path))
    } else {
        ("Path", unescaped(stripped))
    };
    json!({"Kind": kind, "Value": value, "Original": line})
}

/// Without the blanks at its end, but for one behind a backslash.
fn trimmed(line: &str) -> &str {
    let bare = line.trim_end_matches(' ');
    if bare.ends_with('\\') && bare.len() < line.len() {
        &line[..=bare.len()]
    } else {
        bare
    }
}

fn unescaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut chars = path.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
        } else if chars.next_if_eq(&'\\').is_some() {
            out.push('\\');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_an_entry_of_its_kind() {
        assert_eq!(
            parse("!bar\n\n# Test\n*.log \na\\ "),
            json!([[
                {"Kind": "NegatedPath", "Value": "bar", "Original": "!bar"},
                {"Kind": "Empty", "Value": "", "Original": ""},
                {"Kind": "Comment", "Value": "Test", "Original": "# Test"},
                {"Kind": "Path", "Value": "*.log", "Original": "*.log "},
                {"Kind": "Path", "Value": "a ", "Original": "a\\ "},
            ]])
        );
    }
}
