//! Names that look like checks and are none: a rule that nobody evaluates must not look like one that passes.

use super::convention;
use crate::engine::Module;
use crate::report::{Finding, Verdict};

/// First words of names that are meant for checks.
const WORDS: [&str; 12] = [
    "deny",
    "denies",
    "denied",
    "denys",
    "violation",
    "violations",
    "violate",
    "violates",
    "warn",
    "warns",
    "warning",
    "warnings",
];

/// Rules that look like checks: a warning for each whose name follows no convention, a line for each package that is not selected.
pub(super) fn strange(modules: &[Module], selected: &dyn Fn(&str) -> bool) -> (Vec<Finding>, Vec<String>) {
    let mut warnings: Vec<Finding> = Vec::new();
    let mut left_out: Vec<(&str, String)> = Vec::new();
    for module in modules {
        let package = module.package.as_str();
        for head in module.rules.iter().filter(|head| !head.function) {
            let name = head.name.as_str();
            let is_check = convention(name).is_some();
            if !selected(package) {
                if is_check && !left_out.iter().any(|(known, _)| *known == package) {
                    let line = format!(
                        "{}:{}: {package}.{name} is not evaluated: select its package with --namespace {package}",
                        module.path, head.line
                    );
                    left_out.push((package, line));
                }
                continue;
            }
            let rule = format!("{package}.{name}");
            if is_check || !looks_like_one(name) || warnings.iter().any(|warning| warning.rule == rule) {
                continue;
            }
            let why = format!(
                "{name} looks like a check and is not evaluated: checks are sets named deny, violation or warn, each also with a suffix (deny_public_bucket)"
            );
            warnings.push(Finding {
                verdict: Verdict::Warn,
                file: Some(module.path.clone()),
                line: Some(head.line),
                ..Finding::error(&rule, package, why)
            });
        }
    }
    (warnings, left_out.into_iter().map(|(_, line)| line).collect())
}

/// `denies`, `deny-x`, `Deny`, `warning`, `violations`, `deny_`; not `denylist` or `warned_before`.
fn looks_like_one(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let end = name.find(['_', '-', '.']).unwrap_or(name.len());
    let (word, _) = name.split_at(end);
    WORDS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_looks_like_a_check_by_its_first_word() {
        for name in [
            "denies",
            "deny-x",
            "Deny",
            "warning",
            "violations",
            "deny_",
            "deny__x",
            "warn-",
            "deny.x",
        ] {
            assert!(looks_like_one(name), "{name}");
        }
        for name in [
            "denylist",
            "warned",
            "is_denied",
            "allow",
            "test_deny",
            "violating_images",
        ] {
            assert!(!looks_like_one(name), "{name}");
        }
    }
}
