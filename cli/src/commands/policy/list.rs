//! `muster policy list`: which rules there are, and which controls they speak for.

use std::path::PathBuf;

use muster_policies::Listed;
use serde_json::json;

use crate::commands::audit::frameworks;
use crate::commands::check::Rego;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Table;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "In folders a rule is what Conftest takes for one (deny, violation, warn), what has METADATA of its
own, and a package that sorts resources as those of profiles do. Controls are shown with -v.

With --framework the controls are listed, each with the rules that speak for it; those that no
rule speaks for must be shown by other means. -v tells what can be shown, and what cannot.

Examples:
  muster policy list
  muster policy list policy/
  muster policy list --profile postgres --verbose
  muster policy list --framework eu-dora
  muster policy list --json | jq '.rules[] | {rule, controls}'"
)]
pub(crate) struct List {
    /// Files and folders of .rego policies [default: the profiles]
    #[arg(value_name = "DIR")]
    paths: Vec<PathBuf>,
    /// Only the rules of this profile; may be repeated
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// By the controls of eu-dora, iso-27001, nist-800-53 or soc2; may be repeated
    #[arg(long, value_name = "NAME")]
    framework: Vec<String>,
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
    if !args.framework.is_empty() {
        return by_framework(context, &args.framework, rules);
    }
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

/// The controls of these frameworks, and the rules that speak for any of them.
fn by_framework(context: &Context, names: &[String], mut rules: Vec<Listed>) -> Result<Exit, CommandError> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let views = muster_policies::framework_rules(&names, &rules)?;
    rules.retain(|listed| {
        let named = |control: &String| {
            control
                .split_once(':')
                .is_some_and(|(framework, _)| names.contains(&framework))
        };
        listed.about.controls.iter().any(named)
    });
    frameworks::show(&context.ui, &views);
    context
        .ui
        .document(&json!({ "schema": "muster.policy list/1", "rules": rules, "frameworks": views }));
    Ok(Exit::Done)
}
