//! Frameworks, control by control, for a human: how each control stands, by which rules, and which ones no rule covers.
//!
//! The same for an audit, for a bundle that was read (`muster evidence show`), and for rules of which none was judged
//! (`muster policy list --framework`).

use muster_evidence::Framework;
use muster_policies::{ControlView, FrameworkView, Standing};

use crate::ui::{Table, Tone, Ui, printable};

/// So many rules are named; the others are counted.
const NAMED: usize = 3;

/// What the statement of a bundle says of a framework.
pub(crate) fn stated(view: &FrameworkView) -> Framework {
    let summary = view.summary.iter();
    Framework {
        framework: view.framework.clone(),
        summary: summary
            .map(|(standing, count)| (name(*standing).to_owned(), *count))
            .collect(),
    }
}

/// Each framework's controls, then how many stand how. With `-v` all rules, what can be shown, and what cannot.
pub(crate) fn show(ui: &Ui, views: &[FrameworkView]) {
    for (at, view) in views.iter().enumerate() {
        if at > 0 {
            ui.say("");
        }
        let heading = format!(
            "{}: {} ({})",
            safe(&view.framework),
            safe(&view.title),
            safe(&view.source)
        );
        ui.say(ui.paint(Tone::Heading, &heading));
        ui.say(safe(&view.scope));
        ui.say("");
        ui.table(&match ui.is_verbose() {
            true => in_full(view),
            false => in_short(view),
        });
        for unlisted in &view.unlisted {
            ui.say(format!(
                "{} names {}, which is no control that this catalogue knows",
                safe(&unlisted.rule),
                safe(&unlisted.control)
            ));
        }
        ui.say("");
        ui.say(count(ui, view));
        if !ui.is_verbose() {
            ui.say("a control asks for more than its rules show: -v tells what");
        }
    }
}

/// Whether any rule was judged at all; where none was, how a control stands is not worth a column.
fn is_judged(view: &FrameworkView) -> bool {
    view.controls
        .iter()
        .any(|control| control.verdict < Standing::NotEvaluated)
}

/// How the control stands.
fn stands(view: &FrameworkView, control: &ControlView) -> (String, Option<Tone>) {
    match (control.verdict, is_judged(view)) {
        (_, false) => (String::new(), None),
        // The next column says it in full.
        (Standing::NoRule, true) => ("-".to_owned(), None),
        (standing, true) => {
            let (word, tone) = word(standing);
            (word.to_owned(), Some(tone))
        }
    }
}

/// The rules that decide how the control stands.
fn by(control: &ControlView) -> String {
    if control.verdict == Standing::NoRule {
        return "no rule: show it by other means".to_owned();
    }
    let deciding = control.rules.iter().filter(|rule| rule.verdict == control.verdict);
    let names: Vec<String> = deciding.map(|rule| safe(&rule.rule)).collect();
    let named = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(" ");
    let rest = names.len().saturating_sub(NAMED);
    match rest {
        0 => named,
        rest => format!("{named} and {rest} more"),
    }
}

fn in_short(view: &FrameworkView) -> Table {
    let mut table = Table::new(&["!control", "!stands", "by", "what it asks for"]);
    for control in &view.controls {
        table.row([
            (safe(&control.control), None),
            stands(view, control),
            (by(control), None),
            (safe(&control.title), None),
        ]);
    }
    table
}

/// Beneath each control its rules, what can be shown for it, and what cannot.
fn in_full(view: &FrameworkView) -> Table {
    let stands_named = if is_judged(view) { "!stands" } else { "!" };
    let mut table = Table::new(&["!control", stands_named, "what it asks for"]);
    for control in &view.controls {
        table.row([
            (safe(&control.control), None),
            stands(view, control),
            (safe(&control.title), None),
        ]);
        for (what, text) in [
            ("rules", rules(control)),
            ("shown", safe(&control.shows)),
            ("not shown", safe(&control.not_shown)),
        ] {
            if !text.is_empty() {
                table.row([
                    (String::new(), None),
                    (format!("  {what}"), Some(Tone::Faint)),
                    (text, None),
                ]);
            }
        }
    }
    table
}

fn rules(control: &ControlView) -> String {
    if control.rules.is_empty() {
        return by(control);
    }
    let rules = control.rules.iter().map(|rule| match rule.verdict {
        Standing::NotEvaluated => safe(&rule.rule),
        standing => format!("{} {}", safe(&rule.rule), word(standing).0),
    });
    rules.collect::<Vec<_>>().join(", ")
}

fn count(ui: &Ui, view: &FrameworkView) -> String {
    let all = view.controls.len();
    if !is_judged(view) {
        let none = view.controls.iter().filter(|control| control.rules.is_empty()).count();
        return format!("{all} controls: {} with rules, {none} without", all - none);
    }
    let counts: Vec<String> = view
        .summary
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(standing, count)| {
            let (word, tone) = word(*standing);
            let text = format!("{count} {}", word.to_lowercase());
            ui.paint(tone, &text)
        })
        .collect();
    format!("{all} controls: {}", counts.join(", "))
}

fn safe(text: &str) -> String {
    printable(text.as_bytes())
}

fn word(standing: Standing) -> (&'static str, Tone) {
    match standing {
        Standing::Fail => ("FAIL", Tone::Bad),
        Standing::Error => ("ERROR", Tone::Bad),
        Standing::Unknown => ("unknown", Tone::Doubtful),
        Standing::Warn => ("warn", Tone::Doubtful),
        Standing::Waived => ("waived", Tone::Faint),
        Standing::Pass => ("pass", Tone::Good),
        Standing::NotApplicable => ("n/a", Tone::Faint),
        Standing::NotEvaluated => ("not judged", Tone::Faint),
        Standing::NoRule => ("no rule", Tone::Doubtful),
    }
}

/// As documents name it.
fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::Fail => "fail",
        Standing::Error => "error",
        Standing::Unknown => "unknown",
        Standing::Warn => "warn",
        Standing::Waived => "waived",
        Standing::Pass => "pass",
        Standing::NotApplicable => "not_applicable",
        Standing::NotEvaluated => "not_evaluated",
        Standing::NoRule => "no_rule",
    }
}
