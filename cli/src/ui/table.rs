//! Tables that fit: columns as wide as their content, the widest shortened when the whole would be too wide.

use super::Tone;

/// One cell: text and what it means.
#[derive(Clone, Debug)]
struct Cell {
    text: String,
    tone: Option<Tone>,
}

/// A table for a human.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    headers: Vec<String>,
    right: Vec<bool>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Columns by name; a name that starts with `>` is set flush right.
    pub(crate) fn new(columns: &[&str]) -> Self {
        Self {
            headers: columns
                .iter()
                .map(|name| name.trim_start_matches('>').to_owned())
                .collect(),
            right: columns.iter().map(|name| name.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [(String, Option<Tone>); N]) {
        self.rows
            .push(cells.into_iter().map(|(text, tone)| Cell { text, tone }).collect());
    }

    /// Adds a row without colour.
    pub(crate) fn plain<const N: usize>(&mut self, cells: [String; N]) {
        self.row(cells.map(|text| (text, None)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, none wider than `width` characters before colouring.
    pub(super) fn render(&self, width: usize, paint: impl Fn(Tone, &str) -> String) -> Vec<String> {
        let widths = self.widths(width);
        let header: Vec<Cell> = self
            .headers
            .iter()
            .map(|text| Cell {
                text: text.clone(),
                tone: Some(Tone::Heading),
            })
            .collect();
        std::iter::once(&header)
            .chain(&self.rows)
            .map(|row| self.line(row, &widths, &paint))
            .collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize], paint: &impl Fn(Tone, &str) -> String) -> String {
        let last = widths.len().saturating_sub(1);
        let cells = row
            .iter()
            .zip(widths)
            .zip(&self.right)
            .enumerate()
            .map(|(index, ((cell, width), right))| {
                let text = shorten(&cell.text, *width);
                let padding = " ".repeat(width - text.chars().count());
                let painted = cell.tone.map_or_else(|| text.clone(), |tone| paint(tone, &text));
                match (right, index == last) {
                    (true, _) => padding + &painted,
                    (false, true) => painted,
                    (false, false) => painted + &padding,
                }
            });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }

    fn widths(&self, limit: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = (0..self.headers.len())
            .map(|column| {
                let cells = self
                    .rows
                    .iter()
                    .filter_map(|row| row.get(column))
                    .map(|cell| cell.text.chars().count());
                cells.chain([self.headers[column].chars().count()]).max().unwrap_or(0)
            })
            .collect();
        let gaps = 2 * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > limit {
            match widths.iter_mut().max() {
                Some(widest) if *widest > 4 => *widest -= 1,
                _ => break,
            }
        }
        widths
    }
}

fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_are_flush_right() {
        let mut table = Table::new(&["store", ">size"]);
        table.plain(["accounts".into(), "1.4 GiB".into()]);
        table.plain(["a".into(), "12 B".into()]);
        let lines = table.render(100, |_, text| text.to_owned());
        assert_eq!(lines, ["store        size", "accounts  1.4 GiB", "a            12 B"]);
    }

    #[test]
    fn a_table_never_leaves_its_width() {
        let mut table = Table::new(&["rule", "message"]);
        table.plain(["backup.age".into(), "x".repeat(300)]);
        for line in table.render(100, |_, text| text.to_owned()) {
            assert!(line.chars().count() <= 100);
        }
    }
}
