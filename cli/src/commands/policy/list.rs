//! `muster policy list`: which rules there are, and which controls they speak for.

use std::path::PathBuf;

use serde_json::json;

use crate::commands::check::Rego;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Table;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "In folders a rule is what Conftest takes for one (deny, violation, warn), what has METADATA of its
own, and a package that sorts resources as those of profiles do. Controls are shown with -v.

Examples:
  muster policy list
  muster policy list policy/
  muster policy list --profile postgres --verbose
  muster policy list --json | jq '.rules[] | {rule, controls}'"
)]
pub(crate) struct List {
    /// Files and folders of .rego policies [default: the profiles]
    #[arg(value_name = "DIR")]
    paths: Vec<PathBuf>,
    /// Only the rules of this profile; may be repeated
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// The version of Rego that the policies are written in
    #[arg(long, value_enum, value_name = "VERSION", default_value = "auto")]
    rego_version: Rego,
}

pub(super) fn run(context: &Context, args: &List) -> Result<Exit, CommandError> {
    let profiles: Vec<&str> = match (args.profile.is_empty(), args.paths.is_empty()) {
        (true, true) => muster_policies::profiles(),
        _ => args.profile.iter().map(String::as_str).collect(),
    };
    let rules = muster_policies::list(&profiles, &args.paths, args.rego_version.into())?;
    let mut table = Table::new(&["!rule", "severity", "?controls", "?at", "title"]);
    for listed in &rules {
        let about = &listed.about;
        let controls = if context.ui.is_verbose() {
            about.controls.join(" ")
        } else {
            String::new()
        };
        let at = match &listed.profile {
            Some(_) => String::new(),
            None => format!("{}:{}", about.file, listed.line),
        };
        table.plain([
            listed.rule.clone(),
            about.severity.map(|severity| severity.to_string()).unwrap_or_default(),
            controls,
            at,
            about.title.clone(),
        ]);
    }
    if table.is_empty() {
        context
            .ui
            .say("no rule is named deny, violation or warn, or has METADATA");
    } else {
        context.ui.table(&table);
    }
    context
        .ui
        .document(&json!({ "schema": "muster.policy list/1", "rules": rules }));
    Ok(Exit::Done)
}
