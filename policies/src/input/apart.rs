//! Formats that compute, or that a library without bounds of its own reads: they are read in a child process, under limits.
//!
//! Jsonnet is a program, and a message's nesting is its author's. What ends the child is the file's error, with its reason.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::textproto::{self, Proto};
use super::{Format, jsonnet};
use crate::sandbox::{self, Sandbox};

/// What reading a file needs beside its bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading<'a> {
    /// Where formats that compute are read; none is this process, whose own limits then hold.
    pub(crate) sandbox: Option<&'a Sandbox>,
    /// The definitions of Protocol Buffers.
    pub(crate) protos: &'a [Proto],
}

/// What the child is asked, and all that it knows of the file.
#[derive(Serialize, Deserialize)]
pub(crate) struct Question {
    format: String,
    text: String,
    protos: Vec<Proto>,
}

impl Question {
    /// The child's answer.
    pub(crate) fn answer(&self) -> Result<Value, String> {
        match self.format.as_str() {
            "jsonnet" => jsonnet::parse(&self.text),
            _ => textproto::parse(&self.text, &self.protos),
        }
    }
}

/// Reads a text of one of these formats.
pub(super) fn document(format: Format, text: &str, reading: &Reading<'_>) -> Result<Value, String> {
    let Some(limits) = reading.sandbox else {
        return match format {
            Format::Jsonnet => jsonnet::parse(text),
            _ => textproto::parse(text, reading.protos),
        };
    };
    let (format, protos) = match format {
        Format::Jsonnet => ("jsonnet", Vec::new()),
        _ => ("textproto", reading.protos.to_vec()),
    };
    let question = Question {
        format: format.to_owned(),
        text: text.to_owned(),
        protos,
    };
    let told = serde_json::to_value(&question).map_err(|error| error.to_string())?;
    sandbox::read(limits, &told)
}
