//! Lines that GitHub Actions and Azure Pipelines read as annotations.

use super::super::results::{CheckResult, Location, Outcome, Totals};
use super::{Style, quoted};

pub(super) fn github(results: &[CheckResult], style: Style) -> String {
    let mut out = String::new();
    for result in results {
        let tests = result.tests();
        if style.hide_passed && tests == result.successes {
            continue;
        }
        let own = Location {
            file: result.filename.clone(),
            line: Some(1.into()),
        };
        let (file, namespace) = (quoted(&result.filename), quoted(&result.namespace));
        out.push_str(&format!(
            "::group::Testing {file} against {tests} policies in namespace {namespace}\n"
        ));
        let mut tell = |level: &str, front: &str, outcomes: &[Outcome]| {
            for outcome in outcomes {
                let message = format!("{front}{}", outcome.message);
                match &outcome.location {
                    None => out.push_str(&annotation(level, &own, &message)),
                    Some(named) if named.file == own.file => out.push_str(&annotation(level, named, &message)),
                    Some(named) => {
                        let named = Location {
                            file: relative(&named.file),
                            line: named.line.clone(),
                        };
                        out.push_str(&annotation(level, &named, &message));
                        let from = format!("(ORIGINATING FROM {} L{}) {message}", named.file, named.line());
                        out.push_str(&annotation(level, &own, &from));
                    }
                }
            }
        };
        tell("error", "", &result.failures);
        tell("warning", "", &result.warnings);
        tell("notice", "", &result.exceptions);
        tell("notice", "Test was skipped: ", &result.skipped);
        let passed = format!("Number of successful checks: {}", result.successes);
        out.push_str(&annotation("notice", &own, &passed));
        out.push_str("::endgroup::\n");
    }
    format!("{out}{}\n", Totals::of(results).told())
}

fn annotation(level: &str, at: &Location, message: &str) -> String {
    let file = at
        .file
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
        .replace(':', "%3A")
        .replace(',', "%2C");
    format!("::{level} file={file},line={}::{message}\n", at.line())
}

/// An absolute path from here.
fn relative(path: &str) -> String {
    let Ok(here) = std::env::current_dir() else {
        return path.to_owned();
    };
    if !path.starts_with('/') {
        return path.to_owned();
    }
    let here = here.display().to_string();
    let parts = |path: &str| {
        path.split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (here, there) = (parts(&here), parts(path));
    let common = here.iter().zip(&there).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), here.len() - common);
    let steps: Vec<String> = up.chain(there[common..].iter().cloned()).collect();
    match steps.is_empty() {
        true => ".".to_owned(),
        false => steps.join("/"),
    }
}

pub(super) fn azure(results: &[CheckResult]) -> String {
    let mut out = String::new();
    for result in results {
        let (file, tests) = (&result.filename, result.tests());
        out.push_str(&format!(
            "##[section]Testing '{file}' against {tests} policies in namespace '{}'\n##[group]See conftest results\n",
            result.namespace
        ));
        for (kind, outcomes) in [
            ("error", &result.failures),
            ("warning", &result.warnings),
            ("warning", &result.exceptions),
        ] {
            for outcome in outcomes {
                let message = &outcome.message;
                out.push_str(&format!("##vso[task.logissue type={kind}] file={file} --> {message}\n"));
            }
        }
        for outcome in &result.skipped {
            out.push_str(&format!("skipped file={file} {}\n", outcome.message));
        }
        if result.successes > 0 {
            out.push_str(&format!("success file={file} {}\n", result.successes));
        }
        out.push_str("##[endgroup]\n");
    }
    format!("{out}{}\n", Totals::of(results).told())
}
