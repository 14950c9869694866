//! Conftest's `parse_config`: text in any format that muster reads, as a value.

use regorus::Value;

use super::call::{Call, Outcome};
use super::{Failure, Family};
use crate::input::{self, Format};

pub(super) const FAMILY: Family = &[
    ("parse_config", parse_config),
    ("parse_config_file", file),
    ("parse_combined_config_files", file),
];

fn parse_config(call: &mut Call<'_>) -> Outcome {
    let format = Format::named(call.string(0)?)?;
    let value = input::parse_one(call.string(1)?.as_bytes(), Some(format))?;
    Ok(Value::from(value))
}

fn file(_: &mut Call<'_>) -> Outcome {
    Err(Failure::Halt(
        "policies read no files: hand the file over as input or with --data, or give its text to parse_config"
            .to_owned(),
    ))
}
