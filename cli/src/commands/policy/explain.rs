//! `muster policy explain`: what a rule looks at, why it said what it said, and what to do.

use std::path::{Path, PathBuf};

use muster_policies::{Document, ExplainOptions, Explained, Holding, Looked, Outcome, Stage};
use serde_json::Value;

use crate::commands::check::Rego;
use crate::config::PolicySettings;
use crate::context::Context;
use crate::edge;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::{Tone, printable};

/// The longest value that is shown, in characters.
const MAX_VALUE: usize = 60;
/// How wide text is set.
const WIDTH: usize = 96;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "RULE is an id (DR-207), a full name (main.deny), or a name that only one rule has. With --input
each statement is told to hold or not, with the values that it looked at; those behind one that
did not hold are not reached. The examples of a profile's rule are shown with -v.

Examples:
  muster policy explain DR-207
  muster policy explain DR-207 --input facts.json          facts from an evidence bundle
  muster policy explain main.deny --policy policy/ --input deployment.yaml"
)]
pub(crate) struct Explain {
    /// The rule
    #[arg(value_name = "RULE")]
    rule: String,
    /// Files and folders of .rego policies [default: policy, where there is such a folder]
    #[arg(long, short, value_name = "DIR")]
    policy: Vec<PathBuf>,
    /// Explain the rule on this file
    #[arg(long, short, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Files and folders that become `data`
    #[arg(long, short, value_name = "FILE|DIR")]
    data: Vec<PathBuf>,
    /// The version of Rego that the policies are written in
    #[arg(long, value_enum, value_name = "VERSION", default_value = "auto")]
    rego_version: Rego,
}

pub(super) fn run(context: &Context, args: Explain) -> Result<Exit, CommandError> {
    let mut policies = args.policy;
    if policies.is_empty() && Path::new("policy").is_dir() {
        policies.push(PathBuf::from("policy"));
    }
    let options = ExplainOptions {
        policies,
        data: args.data,
        input: args.input,
        rego_version: args.rego_version.into(),
        now: edge::now(),
        sandbox: Some(PolicySettings::default().or_of(context.named_config())?.sandbox()),
    };
    let explained = muster_policies::explain(&args.rule, &options)?;
    context.ui.document(&explained);
    about(context, &explained);
    for document in &explained.documents {
        told(context, document);
    }
    Ok(Exit::Done)
}

fn about(context: &Context, explained: &Explained) {
    let ui = &context.ui;
    let about = &explained.listed.about;
    let title = match about.title.is_empty() {
        true => explained.listed.rule.clone(),
        false => format!("{}: {}", explained.listed.rule, about.title),
    };
    ui.say(ui.paint(Tone::Heading, &printable(title.as_bytes())));
    paragraph(context, "", &about.description);
    ui.say("");
    let place = format!("{}:{}", about.file, explained.listed.line);
    let severity = about.severity.map(|severity| severity.to_string()).unwrap_or_default();
    for (what, text) in [
        ("at", place),
        ("severity", severity),
        ("controls", about.controls.join(", ")),
        ("reads", explained.reads.join(", ")),
        ("remedy", about.remedy.clone()),
    ] {
        paragraph(context, what, &text);
    }
    let examples = explained.examples.as_ref().and_then(Value::as_object);
    if let Some(examples) = examples {
        if ui.is_verbose() {
            for (verdict, facts) in examples {
                ui.say("");
                ui.say(format!("an input that gets {verdict}:"));
                let text = serde_json::to_string_pretty(facts).unwrap_or_default();
                text.lines()
                    .for_each(|line| ui.say(format!("  {}", printable(line.as_bytes()))));
            }
        } else {
            let verdicts: Vec<&str> = examples.keys().map(String::as_str).collect();
            paragraph(context, "examples", &format!("{} (-v shows them)", verdicts.join(", ")));
        }
    }
}

/// A paragraph beneath its name, broken at spaces.
fn paragraph(context: &Context, what: &str, text: &str) {
    let mut label = format!("{what:<10}");
    if what.is_empty() {
        label.clear();
    }
    let indent = " ".repeat(label.len());
    let text = printable(text.split_whitespace().collect::<Vec<_>>().join(" ").as_bytes());
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && label.len() + line.chars().count() + 1 + word.chars().count() > WIDTH {
            context.ui.say(format!("{label}{line}"));
            label.clone_from(&indent);
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        context.ui.say(format!("{label}{line}"));
    }
}

fn told(context: &Context, document: &Document) {
    if let Some(line) = document.line {
        context.ui.say("");
        context.ui.say(format!("the document of line {line}"));
    }
    for body in &document.bodies {
        context.ui.say("");
        let (word, tone) = match body.holds {
            true => ("holds", Tone::Good),
            false => ("does not hold", Tone::Faint),
        };
        context.ui.say(format!(
            "{} ({}:{}) {}",
            body.name,
            body.file,
            body.line,
            context.ui.paint(tone, word)
        ));
        body.statements.iter().for_each(|stage| statement(context, stage));
        gives(context, body);
    }
}

fn statement(context: &Context, stage: &Stage) {
    let (word, tone) = match stage.outcome {
        Outcome::True => ("true ", Tone::Good),
        Outcome::False => ("FALSE", Tone::Bad),
        Outcome::NotReached => ("  -  ", Tone::Faint),
    };
    let word = context.ui.paint(tone, word);
    let text = cut(&printable(stage.text.as_bytes()), WIDTH - 14);
    context.ui.say(format!("  {word} {:>5}  {text}", stage.line));
    if stage.outcome == Outcome::NotReached {
        return;
    }
    for Looked { expression, values } in &stage.values {
        let values = match values.is_empty() {
            true => "undefined".to_owned(),
            false => values.iter().map(value).collect::<Vec<_>>().join(" | "),
        };
        let line = format!("{} = {values}", printable(expression.as_bytes()));
        context.ui.say(format!("                 {}", cut(&line, WIDTH - 17)));
    }
}

fn gives(context: &Context, body: &Holding) {
    for given in &body.gives {
        context.ui.say(format!("  gives {}", cut(&value(given), WIDTH - 8)));
    }
}

fn value(value: &Value) -> String {
    cut(&printable(value.to_string().as_bytes()), MAX_VALUE)
}

fn cut(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}
