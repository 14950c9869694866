//! Regular expressions as Go reads them, and patterns that are matched against patterns.
//!
//! Both engines are of RE2's kind; what differs is spelling: Perl classes are ASCII in Go, `{` may stand for itself, and a
//! bracket inside a class is a bracket.

use std::collections::BTreeSet;

use regorus::Value;

use super::call::{Call, Outcome, array};
use super::{Failure, Family};

pub(super) const FAMILY: Family = &[
    ("regex.match", matches),
    ("re_match", matches),
    ("regex.is_valid", |call| {
        Ok(matches!(call.any(0), Value::String(text) if call.memory.pattern(text).is_ok()).into())
    }),
    ("regex.split", split),
    ("regex.replace", replace),
    ("regex.find_n", find_n),
    ("regex.find_all_string_submatch_n", find_all),
    ("regex.template_match", template_match),
    ("regex.globs_match", globs_match),
    ("glob.quote_meta", |call| Ok(quote_meta(call.string(0)?).into())),
];

/// A pattern of Go's in the spelling of the engine here.
pub(super) fn as_go_reads(pattern: &str) -> String {
    let letters: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len());
    let mut class = false;
    let mut at = 0;
    while at < letters.len() {
        let letter = letters[at];
        let next = letters.get(at + 1).copied();
        at += 1;
        match (letter, class) {
            ('\\', _) => {
                at += 1;
                match next {
                    Some('Q') if !class => {
                        let rest: String = letters[at..].iter().collect();
                        let end = rest.find("\\E");
                        let literal = &rest[..end.unwrap_or(rest.len())];
                        out.push_str(&regex::escape(literal));
                        at += literal.chars().count() + if end.is_some() { 2 } else { 0 };
                    }
                    Some(escaped @ ('p' | 'P' | 'x')) if letters.get(at) == Some(&'{') => {
                        let length = letters[at..].iter().position(|c| *c == '}').map_or(0, |end| end + 1);
                        out.extend(['\\', escaped]);
                        out.extend(&letters[at..at + length]);
                        at += length;
                    }
                    Some(escaped) => out.push_str(&escape(escaped, class)),
                    None => out.push('\\'),
                }
            }
            ('[', false) => {
                class = true;
                out.push('[');
                if letters.get(at) == Some(&'^') {
                    out.push('^');
                    at += 1;
                }
                // First in a class, a closing bracket stands for itself.
                if letters.get(at) == Some(&']') {
                    out.push_str("\\]");
                    at += 1;
                }
            }
            (']', true) => {
                class = false;
                out.push(']');
            }
            ('[', true) => match next {
                Some(':') => {
                    let end = letters[at..].windows(2).position(|pair| pair == [':', ']']);
                    match end {
                        Some(length) => {
                            out.push('[');
                            out.extend(&letters[at..at + length + 2]);
                            at += length + 2;
                        }
                        None => out.push_str("\\["),
                    }
                }
                _ => out.push_str("\\["),
            },
            ('&' | '~' | '-', true) if next == Some(letter) => {
                out.push('\\');
                out.push(letter);
            }
            ('{', false) if !repeats(&letters[at..]) => out.push_str("\\{"),
            (other, _) => out.push(other),
        }
    }
    out
}

fn escape(letter: char, class: bool) -> String {
    let ascii = match (letter, class) {
        ('d', _) => "[0-9]",
        ('D', _) => "[^0-9]",
        ('w', _) => "[0-9A-Za-z_]",
        ('W', _) => "[^0-9A-Za-z_]",
        ('s', _) => "[\\t\\n\\f\\r ]",
        ('S', _) => "[^\\t\\n\\f\\r ]",
        ('b', false) => "(?-u:\\b)",
        ('B', false) => "(?-u:\\B)",
        ('<' | '>', _) => return letter.to_string(),
        _ => return format!("\\{letter}"),
    };
    ascii.to_owned()
}

/// Whether what follows an opening brace is a count, so that it repeats.
fn repeats(rest: &[char]) -> bool {
    let inner: Option<String> = rest
        .iter()
        .position(|c| *c == '}')
        .map(|end| rest[..end].iter().collect());
    let Some(inner) = inner else {
        return false;
    };
    let (low, high) = inner.split_once(',').unwrap_or((&inner, ""));
    let number = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    !low.is_empty() && number(low) && number(high)
}

/// The most that a part may be repeated.
const MOST_REPEATS: u32 = 1_000;

/// What Go refuses and the engine here does not: `a**`, and more than a thousand of something.
pub(super) fn refused_by_go(pattern: &str) -> Option<&'static str> {
    let letters: Vec<char> = pattern.chars().collect();
    let (mut at, mut class, mut repeated) = (0, false, false);
    while let Some(letter) = letters.get(at) {
        let rest = &letters[at + 1..];
        let mut length = 1;
        let repeats = match letter {
            '\\' => {
                length = 2;
                if rest.first() == Some(&'Q') {
                    let end = rest.windows(2).position(|pair| pair == ['\\', 'E']);
                    length = end.map_or(letters.len(), |end| end + 3);
                }
                false
            }
            '[' if !class => {
                class = true;
                // First in a class, a closing bracket stands for itself.
                let not = usize::from(rest.first() == Some(&'^'));
                length += not + usize::from(rest.get(not) == Some(&']'));
                false
            }
            ']' => {
                class = false;
                false
            }
            '*' | '+' | '?' => !class,
            '{' if !class && repeats(rest) => {
                let inner: String = rest.iter().take_while(|c| **c != '}').collect();
                length += inner.len() + 1;
                let mut counts = inner.split(',').filter(|count| !count.is_empty());
                if counts.any(|count| count.parse().is_ok_and(|count: u32| count > MOST_REPEATS)) {
                    return Some("invalid repeat count");
                }
                true
            }
            _ => false,
        };
        // `(?:` begins a group.
        let group = *letter == '?' && at > 0 && letters[at - 1] == '(';
        if repeats && !group {
            if repeated {
                return Some("invalid nested repetition operator");
            }
            // It may be followed by the sign that it takes as little as it can.
            length += usize::from(letters.get(at + length) == Some(&'?'));
        }
        repeated = repeats && !group;
        at += length;
    }
    None
}

/// What stands for itself in a glob.
fn quote_meta(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if "*?\\[]{}".contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

fn matches(call: &mut Call<'_>) -> Outcome {
    let (pattern, text) = (call.string(0)?, call.string(1)?);
    Ok(call.memory.pattern(pattern)?.is_match(text).into())
}

fn split(call: &mut Call<'_>) -> Outcome {
    let (pattern, text) = (call.string(0)?, call.string(1)?);
    let found = call.memory.pattern(pattern)?;
    if text.is_empty() && !pattern.is_empty() {
        return Ok(array([Value::from("")]));
    }
    let mut parts = Vec::new();
    let mut begin = 0;
    let mut end = 0;
    for part in found.find_iter(text) {
        end = part.start();
        if part.end() != 0 {
            parts.push(Value::from(&text[begin..end]));
        }
        begin = part.end();
    }
    if end != text.len() {
        parts.push(Value::from(&text[begin..]));
    }
    Ok(array(parts))
}

fn replace(call: &mut Call<'_>) -> Outcome {
    let (text, pattern, with) = (call.string(0)?, call.string(1)?, call.string(2)?);
    Ok(call
        .memory
        .pattern(pattern)?
        .replace_all(text, with)
        .into_owned()
        .into())
}

fn limit(call: &Call<'_>, place: usize) -> Result<usize, Failure> {
    Ok(usize::try_from(call.int(place)?).unwrap_or(usize::MAX))
}

fn find_n(call: &mut Call<'_>) -> Outcome {
    let (pattern, text, most) = (call.string(0)?, call.string(1)?, limit(call, 2)?);
    let found = call.memory.pattern(pattern)?;
    Ok(array(found.find_iter(text).take(most).map(|part| part.as_str().into())))
}

fn find_all(call: &mut Call<'_>) -> Outcome {
    let (pattern, text, most) = (call.string(0)?, call.string(1)?, limit(call, 2)?);
    let found = call.memory.pattern(pattern)?;
    let groups = found.captures_iter(text).take(most).map(|groups| {
        array(
            groups
                .iter()
                .map(|group| group.map_or("", |group| group.as_str()).into()),
        )
    });
    Ok(array(groups))
}

/// What stands between the delimiters is a pattern, the rest is itself.
fn template_match(call: &mut Call<'_>) -> Outcome {
    let (template, text) = (call.string(0)?, call.string(1)?);
    let delimiter = |text: &str, which: &str| {
        let mut letters = text.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) => Ok(letter),
            _ => Err(Failure::Error(format!(
                "{which} delimiter has to be exactly one character long"
            ))),
        }
    };
    let (open, close) = (delimiter(call.string(2)?, "start")?, delimiter(call.string(3)?, "end")?);
    let mut pattern = String::from("^");
    let mut literal = String::new();
    let mut inner = String::new();
    let mut depth = 0;
    for letter in template.chars() {
        // The same letter may open and close.
        let opens = letter == open && (open != close || depth == 0);
        if opens {
            depth += 1;
            if depth == 1 {
                pattern.push_str(&regex::escape(&std::mem::take(&mut literal)));
                continue;
            }
        } else if letter == close {
            depth -= 1;
            if depth == 0 {
                pattern.push_str(&format!("({})", std::mem::take(&mut inner)));
                continue;
            }
            if depth < 0 {
                return Err(format!("unbalanced braces in {template:?}").into());
            }
        }
        match depth {
            0 => literal.push(letter),
            _ => inner.push(letter),
        }
    }
    if depth != 0 {
        return Err(format!("unbalanced braces in {template:?}").into());
    }
    pattern.push_str(&regex::escape(&literal));
    pattern.push('$');
    Ok(call.memory.pattern(&pattern)?.is_match(text).into())
}

/// Letters from the first to the last.
type Span = (char, char);

/// One place in a glob: the letters that it takes, `None` for all, and how often.
struct Place {
    letters: Option<Vec<Span>>,
    skip: bool,
    again: bool,
}

fn globs_match(call: &mut Call<'_>) -> Outcome {
    let (one, other) = (places(call.string(0)?)?, places(call.string(1)?)?);
    // Each pair of positions that some text reaches in both globs.
    let mut seen = BTreeSet::new();
    let mut open = vec![(0, 0)];
    while let Some((a, b)) = open.pop() {
        if !seen.insert((a, b)) {
            continue;
        }
        let (first, second) = (one.get(a), other.get(b));
        if first.is_none() && second.is_none() {
            return Ok(true.into());
        }
        if first.is_some_and(|place| place.skip) {
            open.push((a + 1, b));
        }
        if second.is_some_and(|place| place.skip) {
            open.push((a, b + 1));
        }
        let (Some(first), Some(second)) = (first, second) else {
            continue;
        };
        let meet = match (&first.letters, &second.letters) {
            (Some(one), Some(other)) => one.iter().any(|(a, b)| other.iter().any(|(c, d)| a <= d && c <= b)),
            _ => true,
        };
        if meet {
            for a in if first.again { vec![a, a + 1] } else { vec![a + 1] } {
                for b in if second.again { vec![b, b + 1] } else { vec![b + 1] } {
                    open.push((a, b));
                }
            }
        }
    }
    Ok(false.into())
}

fn places(glob: &str) -> Result<Vec<Place>, Failure> {
    let wrong = |why: &str| Failure::Error(format!("input:{glob}, {why}"));
    let letters: Vec<char> = glob.chars().collect();
    let mut out: Vec<Place> = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        let taken = match letters[at] {
            '.' => None,
            '\\' => {
                at += 1;
                let escaped = letters.get(at).ok_or_else(|| wrong("ends in an escape"))?;
                Some(vec![(*escaped, *escaped)])
            }
            '[' => {
                let length = letters[at..]
                    .iter()
                    .position(|c| *c == ']')
                    .ok_or_else(|| wrong("set is not closed"))?;
                let set = &letters[at + 1..at + length];
                at += length;
                Some(class(set).ok_or_else(|| wrong("invalid range in a set"))?)
            }
            ']' | '*' | '+' => return Err(wrong("a flag or a closing bracket out of place")),
            other => Some(vec![(other, other)]),
        };
        at += 1;
        let flag = letters.get(at).filter(|flag| matches!(flag, '*' | '+'));
        at += usize::from(flag.is_some());
        out.push(Place {
            letters: taken,
            skip: flag == Some(&'*'),
            again: flag.is_some(),
        });
    }
    Ok(out)
}

fn class(set: &[char]) -> Option<Vec<Span>> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < set.len() {
        match (set.get(at + 1), set.get(at + 2)) {
            (Some('-'), Some(last)) if set[at] <= *last => {
                out.push((set[at], *last));
                at += 3;
            }
            (Some('-'), _) => return None,
            _ => {
                out.push((set[at], set[at]));
                at += 1;
            }
        }
    }
    Some(out)
}
