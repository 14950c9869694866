//! The table, drawn with lines.

use super::super::results::CheckResult;

const TITLES: [&str; 4] = ["RESULT", "FILE", "NAMESPACE", "MESSAGE"];

pub(super) fn render(results: &[CheckResult]) -> String {
    let mut rows: Vec<[Vec<String>; 4]> = Vec::new();
    for result in results {
        let mut row = |word: &str, message: &str| {
            let cell = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
            rows.push([
                cell(word),
                cell(&result.filename),
                cell(&result.namespace),
                cell(message),
            ]);
        };
        (0..result.successes).for_each(|_| row("success", "SUCCESS"));
        for (word, outcomes) in [
            ("exception", &result.exceptions),
            ("warning", &result.warnings),
            ("skipped", &result.skipped),
            ("failure", &result.failures),
        ] {
            outcomes.iter().for_each(|outcome| row(word, &outcome.message));
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let width = |column: usize| {
        let cells = rows
            .iter()
            .flat_map(|row| &row[column])
            .map(|line| line.chars().count());
        cells.chain([TITLES[column].len()]).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let line = |left: &str, middle: &str, right: &str| {
        let parts: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        format!("{left}{}{right}\n", parts.join(middle))
    };
    let mut out = line("┌", "┬", "┐");
    for (title, width) in TITLES.iter().zip(widths) {
        let free = width - title.len();
        let left = free / 2;
        out.push_str(&format!("│ {}{title}{} ", " ".repeat(left), " ".repeat(free - left)));
    }
    out.push_str("│\n");
    out.push_str(&line("├", "┼", "┤"));
    for row in &rows {
        let height = row.iter().map(Vec::len).max().unwrap_or(0).max(1);
        for at in 0..height {
            for (cell, width) in row.iter().zip(widths) {
                let text = cell.get(at).map(String::as_str).unwrap_or_default();
                out.push_str(&format!("│ {text}{} ", " ".repeat(width - text.chars().count())));
            }
            out.push_str("│\n");
        }
    }
    out + &line("└", "┴", "┘")
}
