//! `time.parse_ns` and `time.parse_rfc3339_ns`: moments by a layout in Go's manner, which shows how one special moment is written.
//!
//! As strict as Go: `01` wants two digits where `1` takes one or two, and nothing may be left over.

use super::call::Outcome;
use super::{Failure, Family};

pub(super) const FAMILY: Family = &[
    ("time.parse_ns", |call| {
        let (layout, text) = (call.string(0)?, call.string(1)?);
        nanoseconds(named(layout), text)
    }),
    ("time.parse_rfc3339_ns", |call| nanoseconds(RFC3339, call.string(0)?)),
];

const RFC3339: &str = "2006-01-02T15:04:05Z07:00";

/// Layouts that may be called by name.
fn named(layout: &str) -> &str {
    match layout {
        "ANSIC" => "Mon Jan _2 15:04:05 2006",
        "UnixDate" => "Mon Jan _2 15:04:05 MST 2006",
        "RubyDate" => "Mon Jan 02 15:04:05 -0700 2006",
        "RFC822" => "02 Jan 06 15:04 MST",
        "RFC822Z" => "02 Jan 06 15:04 -0700",
        "RFC850" => "Monday, 02-Jan-06 15:04:05 MST",
        "RFC1123" => "Mon, 02 Jan 2006 15:04:05 MST",
        "RFC1123Z" => "Mon, 02 Jan 2006 15:04:05 -0700",
        "RFC3339" => RFC3339,
        "RFC3339Nano" => "2006-01-02T15:04:05.999999999Z07:00",
        other => other,
    }
}

/// The parts of a layout, longest first where one begins another.
const PARTS: [&str; 37] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "2006",
    "__2",
    "_2",
    "PM",
    "pm",
    "-07:00:00",
    "-070000",
    "-07:00",
    "-0700",
    "-07",
    "Z07:00:00",
    "Z070000",
    "Z07:00",
    "Z0700",
    "Z07",
    "1",
    "2",
    "3",
    "4",
    "5",
    ".0",
    ",0",
    ".9",
    ",9",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Parts a layout at its first part: what stands in front, the part, and the rest.
fn next(layout: &str) -> (&str, &str, &str) {
    for at in 0..layout.len() {
        if !layout.is_char_boundary(at) {
            continue;
        }
        let rest = &layout[at..];
        for part in PARTS.iter().filter(|part| rest.starts_with(**part)) {
            // `Jan` and `Mon` in longer words are none, a fraction ends with its digits, and `_2006` is a year behind a dash.
            let behind = &rest[part.len()..];
            let length = match *part {
                "Mon" | "Jan" if behind.starts_with(|c: char| c.is_ascii_lowercase()) => continue,
                "_2" if rest.starts_with("_2006") => return (&layout[..=at], "2006", &rest[5..]),
                ".0" | ",0" | ".9" | ",9" => {
                    let digit = &part[1..];
                    let digits = rest[1..].len() - rest[1..].trim_start_matches(digit).len();
                    if rest[1 + digits..].starts_with(|c: char| c.is_ascii_digit()) {
                        continue;
                    }
                    1 + digits
                }
                _ => part.len(),
            };
            return (&layout[..at], &rest[..length], &rest[length..]);
        }
    }
    (layout, "", "")
}

/// What has been read of a moment.
struct Moment {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    afternoon: Option<bool>,
    offset: i64,
}

/// The seconds since 1970 of a moment.
pub(super) fn seconds(layout: &str, text: &str) -> Option<i64> {
    let nanos = parse(layout, text)?.nanoseconds()?;
    i64::try_from(nanos.div_euclid(1_000_000_000)).ok()
}

/// Seconds since 1970 as RFC 3339 writes them.
pub(super) fn shown(seconds: i64) -> String {
    let moment = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let (date, clock) = (moment.date(), moment.time());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let (hour, minute, second) = clock.as_hms();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn nanoseconds(layout: &str, text: &str) -> Outcome {
    let moment = parse(layout, text)
        .ok_or_else(|| Failure::Error(format!("parsing time {text:?} as {layout:?}: cannot parse")))?;
    let nanos = moment.nanoseconds();
    let nanos = nanos.ok_or_else(|| Failure::Error(format!("parsing time {text:?}: day out of range")))?;
    let nanos = i64::try_from(nanos).map_err(|_| "time outside of valid range")?;
    Ok(nanos.into())
}

fn parse(layout: &str, text: &str) -> Option<Moment> {
    let mut moment = Moment {
        year: 0,
        month: None,
        day: None,
        year_day: None,
        hour: 0,
        minute: 0,
        second: 0,
        nanos: 0,
        afternoon: None,
        offset: 0,
    };
    let (mut layout, mut text) = (layout, text);
    loop {
        let (front, part, rest) = next(layout);
        text = skip(text, front)?;
        if part.is_empty() {
            return text.is_empty().then_some(moment);
        }
        layout = rest;
        text = moment.read(part, text, layout)?;
    }
}

/// Moves past what a layout says as it is; a space takes as many as there are.
fn skip<'t>(text: &'t str, front: &str) -> Option<&'t str> {
    let (mut text, mut front) = (text, front);
    while let Some(letter) = front.chars().next() {
        if letter == ' ' {
            if text.starts_with(|c: char| c != ' ') {
                return None;
            }
            (front, text) = (front.trim_start_matches(' '), text.trim_start_matches(' '));
            continue;
        }
        text = text.strip_prefix(letter)?;
        front = &front[letter.len_utf8()..];
    }
    Some(text)
}

/// So many digits, at least and at most.
fn digits(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(length);
    (length >= least).then_some(())?;
    Some((digits.parse().ok()?, rest))
}

/// One of several names, or the first three letters of one.
fn name<'t>(text: &'t str, names: &[&str], short: bool) -> Option<(i64, &'t str)> {
    for (place, name) in names.iter().enumerate() {
        let name = if short { &name[..3] } else { name };
        if text
            .get(..name.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(name))
        {
            return Some((i64::try_from(place).ok()?, &text[name.len()..]));
        }
    }
    None
}

/// Nine digits behind the point, whatever stands there.
fn fraction(digits: &str) -> Option<i64> {
    let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
    nine.parse().ok()
}

impl Moment {
    fn read<'t>(&mut self, part: &str, text: &'t str, layout: &str) -> Option<&'t str> {
        let within = |(value, rest): (i64, &'t str), bounds: std::ops::RangeInclusive<i64>| {
            bounds.contains(&value).then_some((value, rest))
        };
        let (value, rest) = match part {
            "2006" => digits(text, 4, 4)?,
            "06" => digits(text, 2, 2)?,
            "January" | "Jan" => name(text, &MONTHS, part == "Jan")?,
            "Monday" | "Mon" => name(text, &DAYS, part == "Mon")?,
            "01" => within(digits(text, 2, 2)?, 1..=12)?,
            "1" => within(digits(text, 1, 2)?, 1..=12)?,
            "02" => digits(text, 2, 2)?,
            "2" => digits(text, 1, 2)?,
            "_2" => digits(text.strip_prefix(' ').unwrap_or(text), 1, 2)?,
            "002" => digits(text, 3, 3)?,
            "__2" => digits(text.trim_start_matches(' '), 1, 3)?,
            "15" => within(digits(text, 1, 2)?, 0..=23)?,
            "03" => within(digits(text, 2, 2)?, 0..=12)?,
            "3" => within(digits(text, 1, 2)?, 0..=12)?,
            "04" | "05" => within(digits(text, 2, 2)?, 0..=59)?,
            "4" | "5" => within(digits(text, 1, 2)?, 0..=59)?,
            "PM" | "pm" => {
                let (half, rest) = text.split_at_checked(2)?;
                let morning = if part == "PM" { "AM" } else { "am" };
                self.afternoon = Some(half == part);
                return (half == part || half == morning).then_some(rest);
            }
            "MST" => return self.zone(text),
            _ if part.starts_with(['.', ',']) => return self.fraction(part, text),
            _ => return self.offset(part, text),
        };
        match part {
            "2006" => self.year = value,
            "06" => self.year = value + if value >= 69 { 1900 } else { 2000 },
            "January" | "Jan" => self.month = Some(value + 1),
            "01" | "1" => self.month = Some(value),
            "02" | "2" | "_2" => self.day = Some(value),
            "002" | "__2" => self.year_day = Some(value),
            "15" | "03" | "3" => self.hour = value,
            "04" | "4" => self.minute = value,
            "05" | "5" => {
                self.second = value;
                // A fraction may follow that the layout does not speak of.
                let fraction = rest.strip_prefix(['.', ',']).unwrap_or_default();
                let spoken = next(layout).1.starts_with(['.', ',']);
                if fraction.starts_with(|c: char| c.is_ascii_digit()) && !spoken {
                    let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
                    self.nanos = self::fraction(&fraction[..length])?;
                    return Some(&fraction[length..]);
                }
            }
            _ => {}
        }
        Some(rest)
    }

    fn fraction<'t>(&mut self, part: &str, text: &'t str) -> Option<&'t str> {
        let behind = text.strip_prefix(['.', ',']);
        let there = behind.map_or(0, |behind| behind.bytes().take_while(u8::is_ascii_digit).count());
        let wanted = part.len() - 1;
        let taken = match part.ends_with('0') {
            true if there < wanted => return None,
            true => wanted,
            // It may be left out.
            false if there == 0 => return Some(text),
            false => there.min(9),
        };
        let (digits, rest) = behind?.split_at(taken);
        self.nanos = fraction(digits)?;
        Some(rest)
    }

    /// A sign, hours, and as the part shows minutes and seconds; `Z` where that is allowed.
    fn offset<'t>(&mut self, part: &str, text: &'t str) -> Option<&'t str> {
        if part.starts_with('Z')
            && let Some(rest) = text.strip_prefix('Z')
        {
            return Some(rest);
        }
        let sign = match text.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        let mut rest = &text[1..];
        let mut parts = [0; 3];
        let colons = part.contains(':');
        let count = part[1..].bytes().filter(u8::is_ascii_digit).count() / 2;
        for (place, value) in parts.iter_mut().take(count).enumerate() {
            if place > 0 && colons {
                rest = rest.strip_prefix(':')?;
            }
            (*value, rest) = digits(rest, 2, 2)?;
        }
        let [hours, minutes, seconds] = parts;
        (hours <= 24 && minutes <= 60 && seconds <= 60).then_some(())?;
        self.offset = sign * (hours * 3600 + minutes * 60 + seconds);
        Some(rest)
    }

    /// A zone by its letters, which say nothing of its offset but for `GMT+3`.
    fn zone<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        if let Some(rest) = text.strip_prefix("UTC") {
            return Some(rest);
        }
        for special in ["ChST", "MeST"] {
            if let Some(rest) = text.strip_prefix(special) {
                return Some(rest);
            }
        }
        if let Some(rest) = text.strip_prefix("GMT") {
            let sign = match rest.chars().next() {
                Some('+') => 1,
                Some('-') => -1,
                _ => return Some(rest),
            };
            return match digits(&rest[1..], 1, 9) {
                Some((hours @ 0..=23, behind)) => {
                    self.offset = sign * hours * 3600;
                    Some(behind)
                }
                _ => Some(rest),
            };
        }
        if text.starts_with(['+', '-']) {
            let (hours, rest) = digits(&text[1..], 1, 9)?;
            return (hours <= 23).then_some(rest);
        }
        let letters = text.bytes().take_while(u8::is_ascii_uppercase).count();
        let length = match letters {
            3 => 3,
            4 if text.as_bytes()[3] == b'T' || text.starts_with("WITA") => 4,
            5 if text.as_bytes()[4] == b'T' => 5,
            _ => return None,
        };
        Some(&text[length..])
    }

    /// Nanoseconds since 1970; `None` for a day that its month has not.
    fn nanoseconds(&self) -> Option<i128> {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let before = |month: i64| {
            lengths
                .iter()
                .take(usize::try_from(month - 1).unwrap_or(0))
                .sum::<i64>()
        };
        let year_day = match (self.year_day, self.month, self.day) {
            (Some(day), month, in_month) => {
                (1..=lengths.iter().sum()).contains(&day).then_some(())?;
                let fits = |month: i64| day > before(month) && day <= before(month + 1).max(before(month));
                let same = month.is_none_or(|month| fits(month) || month == 12 && day > before(12));
                (same && in_month.is_none_or(|one| month.is_none_or(|month| before(month) + one == day)))
                    .then_some(day)?
            }
            (None, month, day) => {
                let (month, day) = (month.unwrap_or(1), day.unwrap_or(1));
                let length = lengths.get(usize::try_from(month - 1).ok()?)?;
                (1..=*length).contains(&day).then_some(before(month) + day)?
            }
        };
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let earlier = self.year - 1;
        let days = self.year * 365 + earlier.div_euclid(4) - earlier.div_euclid(100) + earlier.div_euclid(400);
        // Days from the year 0 to 1970, counted in the same way.
        let since = days - (1970 * 365 + 1969 / 4 - 1969 / 100 + 1969 / 400) + year_day - 1;
        let seconds =
            i128::from(since) * 86_400 + i128::from(hour * 3600 + self.minute * 60 + self.second - self.offset);
        Some(seconds * 1_000_000_000 + i128::from(self.nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(layout: &str, text: &str) -> Option<i128> {
        parse(named(layout), text).and_then(|moment| moment.nanoseconds())
    }

    #[test]
    fn moments_are_read_as_go_reads_them() {
        let second = |seconds: i128| Some(seconds * 1_000_000_000);
        for (layout, text, wanted) in [
            ("2006-01-02", "2024-02-29", second(1_709_164_800)),
            ("2006-01-02", "1970-01-01", second(0)),
            ("2006-01-02", "1900-03-01", second(-2_203_891_200)),
            ("RFC3339", "2024-02-29T12:30:00+01:00", second(1_709_206_200)),
            ("RFC3339", "2024-02-29T12:30:00.5Z", Some(1_709_209_800_500_000_000)),
            (
                "RFC3339Nano",
                "2024-02-29T12:30:00.000000001Z",
                Some(1_709_209_800_000_000_001),
            ),
            ("ANSIC", "Thu Feb  1 00:00:00 2024", second(1_706_745_600)),
            ("RFC1123", "Thu, 01 Feb 2024 00:00:00 GMT", second(1_706_745_600)),
            ("RFC1123Z", "Thu, 01 Feb 2024 02:00:00 +0200", second(1_706_745_600)),
            ("RFC822", "01 Feb 24 00:00 CET", second(1_706_745_600)),
            (
                "Jan 2, 2006 at 3:04pm (MST)",
                "Feb 1, 2024 at 12:05am (PST)",
                second(1_706_745_900),
            ),
            ("2006-002", "2024-032", second(1_706_745_600)),
            ("02/01/06", "01/02/70", second(2_678_400)),
            ("15:04:05.000", "00:00:01.250", Some(-62_167_219_198_750_000_000)),
            ("2006 01", "2024   02", second(1_706_745_600)),
        ] {
            assert_eq!(moment(layout, text), wanted, "{layout} {text}");
        }
    }

    #[test]
    fn what_the_layout_does_not_show_is_no_moment() {
        for (layout, text) in [
            ("2006-01-02", "2024-2-01"),
            ("2006-01-02", "24-02-01"),
            ("2006-01-02", "2024-02-30"),
            ("2006-01-02", "2023-02-29"),
            ("2006-01-02", "2024-13-01"),
            ("2006-01-02", "2024-01-01T"),
            ("2006-01-02", "2024-01-01 "),
            ("RFC3339", "2024-02-29 12:30:00Z"),
            ("RFC3339", "2024-02-29T12:30:00z"),
            ("RFC3339", "2024-02-29T24:30:00Z"),
            ("RFC3339", "2024-02-29T12:30:00"),
            ("15:04:05.000", "00:00:01.25"),
            ("3:04PM", "1:00pm"),
        ] {
            assert_eq!(moment(layout, text), None, "{layout} {text}");
        }
    }
}
