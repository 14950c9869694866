//! What is wrong with a policy, said with file, line, column, the line itself with a caret, and a hint.

use std::fmt;

use super::ast::Span;

/// The kinds of refusal, as OPA tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Parse,
    Compile,
    Unsafe,
    Type,
    Recursion,
}

impl Class {
    fn text(self) -> &'static str {
        match self {
            Self::Parse => "rego_parse_error",
            Self::Compile => "rego_compile_error",
            Self::Unsafe => "rego_unsafe_var_error",
            Self::Type => "rego_type_error",
            Self::Recursion => "rego_recursion_error",
        }
    }
}

/// One refusal, before its file is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) class: Class,
    pub(crate) span: Span,
    pub(crate) what: String,
    pub(crate) hint: Option<&'static str>,
}

impl Fault {
    pub(crate) fn new(class: Class, span: Span, what: impl Into<String>) -> Self {
        Self {
            class,
            span,
            what: what.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// The refusal in words: what, the line of the text with a caret below, and the hint.
    pub(crate) fn tell(&self, text: &str) -> String {
        let mut told = self.to_string();
        let start = usize::try_from(self.span.start).unwrap_or(0).min(text.len());
        let begin = text
            .get(..start)
            .and_then(|front| front.rfind('\n'))
            .map_or(0, |at| at + 1);
        let Some(line) = text.get(begin..).and_then(|rest| rest.lines().next()) else {
            return told;
        };
        if self.span.line > 0 && line.len() <= LONGEST_SHOWN {
            let indent: String = text
                .get(begin..start)
                .unwrap_or_default()
                .chars()
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            told.push_str(&format!("\n  | {line}\n  | {indent}^"));
        }
        told
    }
}

/// Longer lines are not repeated.
const LONGEST_SHOWN: usize = 400;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class.text(), self.what)?;
        match self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}
