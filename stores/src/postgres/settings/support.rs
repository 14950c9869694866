//! How long each major version of PostgreSQL is supported.
//!
//! Invariant: a version that the table does not know has no date, not the nearest one.

use serde_json::{Value, json};

/// Where the dates are published.
const SOURCE: &str = "https://www.postgresql.org/support/versioning/";
/// When they were taken from there.
const AS_OF: &str = "2025-11-13";

/// Day of the last release of a major version. All of 9 is meant by 9, whose last was 9.6.
const FINAL_RELEASES: [(u32, &str); 10] = [
    (9, "2021-11-11"),
    (10, "2022-11-10"),
    (11, "2023-11-09"),
    (12, "2024-11-21"),
    (13, "2025-11-13"),
    (14, "2026-11-12"),
    (15, "2027-11-11"),
    (16, "2028-11-09"),
    (17, "2029-11-08"),
    (18, "2030-11-14"),
];

/// The fact `end_of_life` of a major version, or why there is none.
pub(super) fn end_of_life(major: u32) -> Result<Value, String> {
    let known = FINAL_RELEASES.iter().find(|(version, _)| *version == major);
    match known {
        Some((_, date)) => Ok(json!({"date": date, "source": SOURCE, "as_of": AS_OF})),
        None => Err(format!(
            "this version of muster has no date for PostgreSQL {major}: see {SOURCE}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_not_in_the_table_has_no_date() {
        assert_eq!(end_of_life(15).unwrap()["date"], "2027-11-11");
        assert!(end_of_life(99).unwrap_err().contains("PostgreSQL 99"));
        assert!(FINAL_RELEASES.is_sorted(), "a version ends after the one before");
    }
}
