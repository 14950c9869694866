//! Test Anything Protocol, one plan per file; a file without tests ends the output, as it does in Conftest.

use super::super::results::CheckResult;
use super::{indicator, namespace};

pub(super) fn render(results: &[CheckResult]) -> String {
    let mut out = String::new();
    for result in results {
        let tests = result.tests();
        if tests == 0 {
            break;
        }
        out.push_str(&format!("1..{tests}\n"));
        let (file, namespace) = (indicator(result), namespace(result));
        let mut number = 0;
        let mut tell = |word: &str, message: &str, out: &mut String| {
            number += 1;
            out.push_str(&format!("{word} {number} {file} {namespace} {message}\n"));
        };
        for (title, word, outcomes) in [
            ("", "not ok", &result.failures),
            ("# warnings\n", "not ok", &result.warnings),
            ("# exceptions\n", "ok", &result.exceptions),
            ("# skip\n", "ok", &result.skipped),
        ] {
            if !outcomes.is_empty() {
                out.push_str(title);
            }
            outcomes
                .iter()
                .for_each(|outcome| tell(word, &outcome.message, &mut out));
        }
        if result.successes > 0 {
            out.push_str("# successes\n");
            (0..result.successes).for_each(|_| tell("ok", "SUCCESS", &mut out));
        }
    }
    out
}
