//! The verdict on a check's answer: exactly one value, true or non-zero.

use super::wire::Answer;
use crate::CheckOutcome;

/// `boolean` in `pg_type`.
const BOOLEAN: u32 = 16;
const LONGEST: usize = 200;

/// Judges all result sets of a check.
pub(crate) fn judge(answers: &[Answer]) -> CheckOutcome {
    let values: u64 = answers
        .iter()
        .map(|answer| answer.count.saturating_mul(answer.columns.len() as u64))
        .sum();
    let only = answers
        .iter()
        .flat_map(|answer| {
            answer
                .rows
                .iter()
                .flatten()
                .map(|value| (value, answer.columns.first().map(|column| column.type_id)))
        })
        .next();
    let (value, type_id) = match only {
        Some((value, type_id)) if values == 1 => (value, type_id),
        _ => {
            return CheckOutcome::Failed {
                actual: format!("{values} values where one was expected"),
            };
        }
    };
    let Some(text) = value else {
        return CheckOutcome::Failed { actual: "null".into() };
    };
    let passed = if type_id == Some(BOOLEAN) {
        text == "t"
    } else {
        matches!(text.as_str(), "true")
            || text
                .trim()
                .parse::<f64>()
                .is_ok_and(|number| number != 0.0 && !number.is_nan())
    };
    let actual = match (type_id, text.as_str()) {
        (Some(BOOLEAN), "t") => "true".into(),
        (Some(BOOLEAN), "f") => "false".into(),
        _ => shorten(text),
    };
    if passed {
        CheckOutcome::Passed { actual }
    } else {
        CheckOutcome::Failed { actual }
    }
}

/// An error with its causes, in one line.
pub(crate) fn text_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn shorten(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::super::wire::Column;
    use super::*;

    fn answer(type_id: u32, rows: &[&[Option<&str>]]) -> Answer {
        let width = rows.first().map_or(1, |row| row.len());
        Answer {
            columns: (0..width).map(|_| Column { type_id }).collect(),
            rows: rows
                .iter()
                .map(|row| row.iter().map(|value| value.map(str::to_owned)).collect())
                .collect(),
            count: rows.len() as u64,
        }
    }

    fn passes(answers: &[Answer]) -> bool {
        matches!(judge(answers), CheckOutcome::Passed { .. })
    }

    #[test]
    fn true_and_non_zero_pass() {
        assert!(passes(&[answer(BOOLEAN, &[&[Some("t")]])]));
        for (type_id, value) in [(20, "7"), (1700, "-0.5"), (25, "true"), (25, "1")] {
            assert!(passes(&[answer(type_id, &[&[Some(value)]])]), "{value}");
        }
    }

    #[test]
    fn false_zero_null_words_and_other_shapes_fail() {
        for (type_id, value) in [
            (BOOLEAN, Some("f")),
            (20, Some("0")),
            (1700, Some("0.00")),
            (1700, Some("NaN")),
            (25, Some("ok")),
            (20, None),
        ] {
            assert!(!passes(&[answer(type_id, &[&[value]])]), "{value:?}");
        }
        let one = answer(20, &[&[Some("1")]]);
        assert!(!passes(&[]));
        assert!(!passes(&[answer(20, &[])]));
        assert!(!passes(&[answer(20, &[&[Some("1")], &[Some("1")]])]));
        assert!(!passes(&[answer(20, &[&[Some("1"), Some("1")]])]));
        assert!(!passes(&[one.clone(), one]));
    }

    #[test]
    fn long_values_are_cut() {
        let CheckOutcome::Failed { actual } = judge(&[answer(25, &[&[Some(&"x".repeat(1000))]])]) else {
            panic!("passed")
        };
        assert_eq!(actual.len(), LONGEST);
    }
}
