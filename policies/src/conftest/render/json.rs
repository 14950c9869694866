//! JSON as Go writes it: two kinds of indent, and `<`, `>` and `&` spelt out.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter, Serializer};

use super::super::results::CheckResult;
use super::Style;

pub(super) fn render(results: &[CheckResult], style: Style) -> String {
    if results.is_empty() && !style.empty_list {
        return "null\n".to_owned();
    }
    let mut shown = results.to_vec();
    for result in &mut shown {
        result.queries.clear();
        if result.filename == "-" {
            result.filename.clear();
        }
    }
    indented(&shown, "\t") + "\n"
}

/// A value over several lines.
pub(in super::super) fn indented<T: Serialize>(value: &T, indent: &str) -> String {
    written(value, Go(PrettyFormatter::with_indent(indent.as_bytes())))
}

/// A value on one line.
pub(super) fn compact<T: Serialize>(value: &T) -> String {
    written(value, Go(CompactFormatter))
}

fn written<T: Serialize, F: Formatter>(value: &T, formatter: Go<F>) -> String {
    let mut out = Vec::new();
    // Writing to memory does not fail, and neither does a value without keys that are no strings.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut out, formatter));
    String::from_utf8(out).unwrap_or_default()
}

/// A formatter whose strings are Go's.
struct Go<F>(F);

impl<F: Formatter> Formatter for Go<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (front, behind) = rest.split_at(at);
            writer.write_all(front.as_bytes())?;
            let mut chars = behind.chars();
            if let Some(c) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(c))?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}
