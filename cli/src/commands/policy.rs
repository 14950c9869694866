//! `muster policy`: the rules that muster carries and those of folders, their unit tests, and why a rule says what it says.

mod explain;
mod list;
mod test;

use std::collections::BTreeMap;

use muster_policies::selftest;
use serde_json::json;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::{Table, Tone};

/// The policies themselves
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  muster policy list
  muster policy explain DR-207
  muster policy test policy/ --coverage
  muster policy selftest")]
pub(crate) enum Policy {
    /// List the rules of the profiles that muster carries, or of folders
    List(list::List),
    /// Tell what a rule looks at, and why it held or failed on a file
    Explain(explain::Explain),
    /// Run the unit tests in folders of Rego policies
    Test(test::Test),
    /// Ask this binary what OPA was asked, and compare the answers
    #[command(
        after_help = "The cases and OPA's answers to them are in the binary. An answer that is not OPA's and is not
known to differ is exit 1. docs/rego-conformance.md says what differs and why.

Examples:
  muster policy selftest
  muster policy selftest --json | jq .summary"
    )]
    Selftest,
}

pub(crate) fn run(context: &Context, args: Policy) -> Result<Exit, CommandError> {
    match args {
        Policy::List(args) => list::run(context, &args),
        Policy::Explain(args) => explain::run(context, args),
        Policy::Selftest => ask_itself(context),
        Policy::Test(args) => test::run(context, args),
    }
}

fn ask_itself(context: &Context) -> Result<Exit, CommandError> {
    let known: BTreeMap<&str, &str> = selftest::known().collect();
    let (mut agreed, mut results) = (0u32, Vec::new());
    let mut table = Table::new(&["case", "built-in errors", "", "reason"]);
    let mut strange = 0u32;
    for case in selftest::cases()? {
        let strict = case.strict.as_ref().unwrap_or(&case.opa);
        for (mode, is_strict, opa) in [("suppressed", false, &case.opa), ("strict", true, strict)] {
            if selftest::agree(opa, &selftest::answer(&case.question, is_strict)) {
                agreed += 1;
                continue;
            }
            let reason = known.get(case.id.as_str()).copied();
            strange += u32::from(reason.is_none());
            let (word, tone) = reason.map_or(("DIFFERS", Tone::Bad), |_| ("known", Tone::Doubtful));
            table.row([
                (case.id.clone(), None),
                (mode.to_owned(), None),
                (word.to_owned(), Some(tone)),
                (reason.unwrap_or_default().to_owned(), None),
            ]);
            results.push(json!({ "case": case.id, "mode": mode, "known": reason.is_some(), "reason": reason }));
        }
    }
    let differ = results.len();
    context.ui.document(&json!({
        "schema": "muster.policy selftest/1",
        "summary": { "agree": agreed, "differ": differ, "not_known": strange },
        "results": results,
    }));
    if differ > 0 {
        context.ui.table(&table);
    }
    context.ui.say(format!(
        "{agreed} answers are OPA's, {differ} are not, {strange} of these are not known to differ"
    ));
    Ok(if strange == 0 { Exit::Done } else { Exit::Failed })
}
