//! `sprintf` and the numbers in it, as Go's `fmt` has them.
//!
//! An argument is an `int`, a `*big.Int`, a `float64` or a `string`: that is what OPA hands over, and what a verb that does
//! not fit names (`%!d(string=x)`).

use super::Family;
use super::call::{Call, Num, Outcome, num};
use super::text::rego;
use regorus::Value;

pub(super) const FAMILY: Family = &[("sprintf", sprintf)];

/// The widest field: Go's own bound.
const WIDEST: i64 = 1_000_000;

enum Arg {
    Number(Num),
    Text(String),
}

impl Arg {
    fn of(value: &Value) -> Self {
        match (num(value), value) {
            (Some(number), _) => Self::Number(number),
            (None, Value::String(text)) => Self::Text(text.to_string()),
            (None, other) => Self::Text(rego(other)),
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Number(Num::Int(_)) => "int",
            Self::Number(Num::Big(_)) => "*big.Int",
            Self::Number(Num::Float(_)) => "float64",
            Self::Text(_) => "string",
        }
    }

    fn plain(&self) -> String {
        match self {
            Self::Number(Num::Int(value)) => value.to_string(),
            Self::Number(Num::Big(digits)) => digits.clone(),
            Self::Number(Num::Float(value)) => shortest(*value),
            Self::Text(text) => text.clone(),
        }
    }
}

#[derive(Default, Clone, Copy)]
struct Flags {
    sharp: bool,
    zero: bool,
    plus: bool,
    minus: bool,
    space: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

struct Printer<'a> {
    args: &'a [Arg],
    next: usize,
    reordered: bool,
    out: String,
}

fn sprintf(call: &mut Call<'_>) -> Outcome {
    let format: Vec<char> = call.string(0)?.chars().collect();
    let args: Vec<Arg> = call.array(1)?.iter().map(Arg::of).collect();
    Ok(print(&format, &args).into())
}

fn print(format: &[char], args: &[Arg]) -> String {
    let mut printer = Printer {
        args,
        next: 0,
        reordered: false,
        out: String::new(),
    };
    let mut at = 0;
    while at < format.len() {
        match format[at] {
            '%' => at = printer.directive(format, at + 1),
            other => {
                printer.out.push(other);
                at += 1;
            }
        }
    }
    if !printer.reordered && printer.next < args.len() {
        let extra: Vec<String> = args[printer.next..]
            .iter()
            .map(|arg| format!("{}={}", arg.type_name(), arg.plain()))
            .collect();
        printer.out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    printer.out
}

impl Printer<'_> {
    /// Prints what follows a percent sign, and says where it ends.
    fn directive(&mut self, format: &[char], mut at: usize) -> usize {
        let mut flags = Flags::default();
        let mut good = true;
        while let Some(flag) = format.get(at) {
            match flag {
                '#' => flags.sharp = true,
                '0' => flags.zero = true,
                '+' => flags.plus = true,
                '-' => flags.minus = true,
                ' ' => flags.space = true,
                _ => break,
            }
            at += 1;
        }
        flags.zero &= !flags.minus;
        good &= self.index(format, &mut at);
        if format.get(at) == Some(&'*') {
            at += 1;
            match self.star() {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.zero &= !flags.minus;
                    flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
        } else {
            flags.width = digits(format, &mut at);
        }
        if format.get(at) == Some(&'.') {
            at += 1;
            good &= self.index(format, &mut at);
            if format.get(at) == Some(&'*') {
                at += 1;
                match self.star() {
                    Some(precision) => flags.precision = usize::try_from(precision).ok(),
                    None => self.out.push_str("%!(BADPREC)"),
                }
            } else {
                flags.precision = Some(digits(format, &mut at).unwrap_or(0));
            }
        }
        good &= self.index(format, &mut at);
        let Some(&verb) = format.get(at) else {
            self.out.push_str("%!(NOVERB)");
            return at;
        };
        match (verb, good, self.args.get(self.next)) {
            ('%', ..) => self.out.push('%'),
            (_, false, _) => self.out.push_str(&format!("%!{verb}(BADINDEX)")),
            (_, _, None) => self.out.push_str(&format!("%!{verb}(MISSING)")),
            (_, _, Some(arg)) => {
                self.next += 1;
                self.out.push_str(&field(verb, arg, &flags));
            }
        }
        at + 1
    }

    /// `[n]` before a width, a precision or a verb chooses the argument.
    fn index(&mut self, format: &[char], at: &mut usize) -> bool {
        if format.get(*at) != Some(&'[') {
            return true;
        }
        self.reordered = true;
        let Some(length) = format[*at..].iter().position(|c| *c == ']') else {
            *at += 1;
            return false;
        };
        let inner: String = format[*at + 1..*at + length].iter().collect();
        *at += length + 1;
        match inner.parse::<usize>() {
            Ok(place) if place >= 1 && place <= self.args.len() => {
                self.next = place - 1;
                true
            }
            _ => false,
        }
    }

    fn star(&mut self) -> Option<i64> {
        let arg = self.args.get(self.next)?;
        self.next += 1;
        match arg {
            Arg::Number(Num::Int(width)) if width.abs() <= WIDEST => Some(*width),
            _ => None,
        }
    }
}

fn digits(format: &[char], at: &mut usize) -> Option<usize> {
    let begin = *at;
    while format.get(*at).is_some_and(char::is_ascii_digit) {
        *at += 1;
    }
    let text: String = format[begin..*at].iter().collect();
    let width: i64 = text.parse().ok().filter(|width| *width <= WIDEST)?;
    usize::try_from(width).ok()
}

fn field(verb: char, arg: &Arg, flags: &Flags) -> String {
    if verb == 'T' {
        return padded(arg.type_name().to_owned(), flags);
    }
    let text = match arg {
        Arg::Number(Num::Int(value)) => integer(verb, *value, flags),
        Arg::Number(Num::Big(digits)) => match verb {
            'd' | 'v' | 's' => Some(signed(digits, flags)),
            _ => None,
        },
        Arg::Number(Num::Float(value)) => float(verb, *value, flags),
        Arg::Text(text) => string(verb, text, flags),
    };
    text.unwrap_or_else(|| format!("%!{verb}({}={})", arg.type_name().trim_start_matches('*'), arg.plain()))
}

fn padded(text: String, flags: &Flags) -> String {
    let length = text.chars().count();
    let fill = flags.width.unwrap_or(0).saturating_sub(length);
    match (flags.minus, flags.zero) {
        (true, _) => text + &" ".repeat(fill),
        (false, true) => "0".repeat(fill) + &text,
        (false, false) => " ".repeat(fill) + &text,
    }
}

/// Pads with zeros between the sign and the digits.
fn signed(text: &str, flags: &Flags) -> String {
    let (minus, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let sign = match (minus, flags.plus, flags.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    };
    let mut digits = digits.to_owned();
    if flags.zero && flags.precision.is_none() {
        let wanted = flags.width.unwrap_or(0).saturating_sub(sign.len());
        let fill = wanted.saturating_sub(digits.len());
        digits.insert_str(0, &"0".repeat(fill));
    }
    let spaces = Flags {
        zero: false,
        minus: flags.minus,
        width: flags.width,
        ..Flags::default()
    };
    padded(format!("{sign}{digits}"), &spaces)
}

fn integer(verb: char, value: i64, flags: &Flags) -> Option<String> {
    let magnitude = value.unsigned_abs();
    let (prefix, mut digits) = match verb {
        'd' | 'v' => ("", magnitude.to_string()),
        'b' => (if flags.sharp { "0b" } else { "" }, format!("{magnitude:b}")),
        'o' => (if flags.sharp { "0" } else { "" }, format!("{magnitude:o}")),
        'O' => ("0o", format!("{magnitude:o}")),
        'x' => (if flags.sharp { "0x" } else { "" }, format!("{magnitude:x}")),
        'X' => (if flags.sharp { "0X" } else { "" }, format!("{magnitude:X}")),
        'c' => return Some(padded(letter(value).to_string(), flags)),
        'q' => return Some(padded(quoted_letter(letter(value)), flags)),
        'U' => {
            let mut text = format!("U+{value:04X}");
            if flags.sharp {
                text.push_str(&format!(" '{}'", letter(value)));
            }
            let spaces = Flags {
                minus: flags.minus,
                width: flags.width,
                ..Flags::default()
            };
            return Some(padded(text, &spaces));
        }
        _ => return None,
    };
    if let Some(precision) = flags.precision {
        if precision == 0 && value == 0 {
            digits.clear();
        }
        digits.insert_str(0, &"0".repeat(precision.saturating_sub(digits.len())));
    }
    let sign = if value < 0 { "-" } else { "" };
    if prefix.is_empty() {
        return Some(signed(&format!("{sign}{digits}"), flags));
    }
    let mut flags = *flags;
    flags.zero = false;
    Some(signed(&format!("{sign}{prefix}{digits}"), &flags))
}

fn letter(value: i64) -> char {
    u32::try_from(value).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
}

fn float(verb: char, value: f64, flags: &Flags) -> Option<String> {
    let text = match verb {
        'v' | 'g' => match flags.precision {
            None => shortest(value),
            Some(precision) => general(value, precision),
        },
        'G' => shortest(value).to_uppercase(),
        'f' | 'F' => format!("{value:.*}", flags.precision.unwrap_or(6)),
        'e' => exponent(value, flags.precision.unwrap_or(6)),
        'E' => exponent(value, flags.precision.unwrap_or(6)).to_uppercase(),
        _ => return None,
    };
    let mut flags = *flags;
    flags.precision = None;
    Some(signed(&text, &flags))
}

/// As Go writes exponents: a sign and at least two digits.
fn go_exponent(text: &str) -> String {
    let Some((digits, power)) = text.split_once('e') else {
        return text.to_owned();
    };
    let (sign, power) = match power.strip_prefix('-') {
        Some(power) => ('-', power),
        None => ('+', power),
    };
    format!("{digits}e{sign}{power:0>2}")
}

fn exponent(value: f64, precision: usize) -> String {
    go_exponent(&format!("{value:.precision$e}"))
}

/// The shortest text that gives the same number back: Go's `%v`, with exponents from a million.
fn shortest(value: f64) -> String {
    decimal(value, 6)
}

/// The same with exponents from `large` digits only.
pub(crate) fn decimal(value: f64, large: i32) -> String {
    let text = format!("{value:e}");
    let power: i32 = text
        .split_once('e')
        .and_then(|(_, power)| power.parse().ok())
        .unwrap_or(0);
    match (-4..large).contains(&power) {
        true => format!("{value}"),
        false => go_exponent(&text),
    }
}

fn general(value: f64, precision: usize) -> String {
    let precision = precision.max(1);
    let text = format!("{value:.*e}", precision - 1);
    let Some((digits, power)) = text.split_once('e') else {
        return text;
    };
    let power: i32 = power.parse().unwrap_or(0);
    let trim = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    let places = i32::try_from(precision).unwrap_or(i32::MAX) - 1 - power;
    match usize::try_from(places) {
        Ok(places) if power >= -4 => trim(&format!("{value:.places$}")),
        _ => go_exponent(&format!("{}e{power}", trim(digits))),
    }
}

fn string(verb: char, text: &str, flags: &Flags) -> Option<String> {
    let cut = |text: &str| match flags.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    };
    let text = match verb {
        's' | 'v' if verb == 'v' && flags.sharp => quoted(text),
        's' | 'v' => cut(text),
        'q' => quoted(&cut(text)),
        'x' => hex(text, flags, false),
        'X' => hex(text, flags, true),
        _ => return None,
    };
    Some(padded(text, flags))
}

fn hex(text: &str, flags: &Flags, upper: bool) -> String {
    let between = if flags.space { " " } else { "" };
    let bytes: Vec<String> = text
        .bytes()
        .take(flags.precision.unwrap_or(usize::MAX))
        .map(|byte| {
            if upper {
                format!("{byte:02X}")
            } else {
                format!("{byte:02x}")
            }
        })
        .collect();
    bytes.join(between)
}

/// A string in double quotes, as Go's `strconv.Quote`.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    text.chars().for_each(|letter| escape(letter, '"', &mut out));
    out.push('"');
    out
}

fn quoted_letter(letter: char) -> String {
    let mut out = String::from("'");
    escape(letter, '\'', &mut out);
    out.push('\'');
    out
}

fn escape(letter: char, quote: char, out: &mut String) {
    let code = u32::from(letter);
    match letter {
        _ if letter == quote => out.extend(['\\', letter]),
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        _ if code < 0x80 && letter.is_control() => out.push_str(&format!("\\x{code:02x}")),
        _ if letter.is_control() || letter == '\u{feff}' => out.push_str(&format!("\\u{code:04x}")),
        other => out.push(other),
    }
}
