//! Tables that fit: columns as wide as their content. When the whole would be too wide, columns that a reader can do without go first,
//! then long text is shortened or folded and the last column wrapped; what somebody copies (an id) is never cut.

use super::Tone;

/// One cell: text and what it means.
#[derive(Clone, Debug)]
struct Cell {
    text: String,
    tone: Option<Tone>,
}

/// How a column is set.
#[derive(Clone, Debug)]
struct Column {
    name: String,
    /// Flush right.
    right: bool,
    /// Never cut.
    whole: bool,
    /// Left out where the table would be too wide.
    spare: bool,
    /// Folded into several lines instead of cut.
    folded: bool,
}

/// What a name keeps while the last column has less than [`MESSAGE`].
const NAME: usize = 18;
const MESSAGE: usize = 40;
/// What every column keeps.
const LEAST: usize = 12;

/// A table for a human.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Columns by name. Before the name may stand `?` (left out where there is no room), `!` (never cut), `~` (folded behind a
    /// separator instead of cut: names and paths) and `>` (flush right, and never cut: half a number is another number). A column
    /// without a cell is not shown.
    pub(crate) fn new(columns: &[&str]) -> Self {
        let column = |text: &&str| {
            let name = text.trim_start_matches(['?', '!', '>', '~']);
            let marks = &text[..text.len() - name.len()];
            Column {
                name: name.to_owned(),
                right: marks.contains('>'),
                whole: marks.contains(['!', '>']),
                spare: marks.contains('?'),
                folded: marks.contains('~'),
            }
        };
        Self {
            columns: columns.iter().map(column).collect(),
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

    /// The lines, none wider than `width` characters before colouring, unless what is never cut is wider.
    pub(super) fn render(&self, width: usize, paint: impl Fn(Tone, &str) -> String) -> Vec<String> {
        let shown = self.shown(width);
        let widths = self.widths(&shown, width);
        let header: Vec<Cell> = self
            .columns
            .iter()
            .map(|column| Cell {
                text: column.name.clone(),
                tone: Some(Tone::Heading),
            })
            .collect();
        std::iter::once(&header)
            .chain(&self.rows)
            .flat_map(|row| self.lines(row, &shown, &widths, &paint))
            .collect()
    }

    fn lines(
        &self,
        row: &[Cell],
        shown: &[usize],
        widths: &[usize],
        paint: &impl Fn(Tone, &str) -> String,
    ) -> Vec<String> {
        let Some((last, before)) = shown.split_last() else {
            return Vec::new();
        };
        let set = |column: usize, text: &str, width: usize| {
            let padding = " ".repeat(width.saturating_sub(text.chars().count()));
            let painted = row[column]
                .tone
                .map_or_else(|| text.to_owned(), |tone| paint(tone, text));
            match (self.columns[column].right, column == *last) {
                (true, _) => padding + &painted,
                (false, true) => painted,
                (false, false) => painted + &padding,
            }
        };
        let parts = |column: usize, width: usize| match column {
            column if column == *last => wrap(&row[column].text, width),
            column if self.columns[column].folded => fold(&row[column].text, width),
            column => vec![shorten(&row[column].text, width)],
        };
        let cells = before.iter().chain([last]).zip(widths);
        let cells: Vec<(usize, usize, Vec<String>)> = cells
            .map(|(column, width)| (*column, *width, parts(*column, *width)))
            .collect();
        let height = cells.iter().map(|(_, _, parts)| parts.len()).max().unwrap_or(0);
        let line = |index: usize| {
            let set = |(column, width, parts): &(usize, usize, Vec<String>)| match parts.get(index) {
                Some(text) => set(*column, text, *width),
                None => " ".repeat(*width),
            };
            let line: Vec<String> = cells.iter().map(set).collect();
            line.join("  ").trim_end().to_owned()
        };
        (0..height).map(line).collect()
    }

    /// The columns that have content, without as many of the spare ones, from the right, as the width asks for.
    fn shown(&self, limit: usize) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len())
            .filter(|column| self.rows.is_empty() || self.rows.iter().any(|row| !row[*column].text.is_empty()))
            .collect();
        while total(&self.natural(&shown)) > limit {
            let Some(spare) = shown.iter().rposition(|column| self.columns[*column].spare) else {
                break;
            };
            shown.remove(spare);
        }
        shown
    }

    /// As wide as the content.
    fn natural(&self, shown: &[usize]) -> Vec<usize> {
        let widest = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].text.chars().count());
            cells
                .chain([self.columns[column].name.chars().count()])
                .max()
                .unwrap_or(0)
        };
        shown.iter().map(|column| widest(*column)).collect()
    }

    fn widths(&self, shown: &[usize], limit: usize) -> Vec<usize> {
        let mut widths = self.natural(shown);
        while total(&widths) > limit {
            // What is folded makes room for what is read.
            let spares = |least: usize, last: usize| {
                let cut = |(at, column): (usize, &usize)| {
                    let least = if at + 1 == shown.len() { last } else { least };
                    (!self.columns[*column].whole && widths[at] > least).then_some(at)
                };
                let cut = shown.iter().enumerate().filter_map(cut);
                cut.max_by_key(|at| widths[*at])
            };
            match spares(NAME, MESSAGE).or_else(|| spares(LEAST, LEAST)) {
                Some(at) => widths[at] -= 1,
                None => break,
            }
        }
        widths
    }
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1)
}

fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Breaks a name or path, behind a separator where one does not stand too far in front.
fn fold(text: &str, width: usize) -> Vec<String> {
    let mut letters: Vec<char> = text.chars().collect();
    let mut lines = Vec::new();
    while letters.len() > width {
        let separator = |letter: &char| matches!(letter, '/' | '.' | '_' | '-' | ':' | ' ' | '#');
        let behind = letters[..width].iter().rposition(separator).map(|at| at + 1);
        let end = behind.filter(|end| *end * 3 > width).unwrap_or(width.max(1));
        let rest = letters.split_off(end);
        lines.push(letters.into_iter().collect());
        letters = rest;
    }
    lines.push(letters.into_iter().collect());
    lines
}

/// Breaks at spaces; a word that is wider than the whole is folded.
fn wrap(text: &str, width: usize) -> Vec<String> {
    if text.chars().count() <= width {
        return vec![text.to_owned()];
    }
    let (mut lines, mut line, mut length) = (Vec::new(), String::new(), 0);
    for word in text.split(' ') {
        let needed = word.chars().count();
        if length > 0 && length + 1 + needed <= width {
            line.push(' ');
            length += 1;
        } else if length > 0 {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        for (index, part) in fold(word, width).into_iter().enumerate() {
            if index > 0 {
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            length += part.chars().count();
            line.push_str(&part);
        }
    }
    lines.push(line);
    lines
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

    #[test]
    fn names_are_folded_behind_a_separator_and_lose_nothing() {
        let mut table = Table::new(&["!verdict", "~rule", "message"]);
        table.plain([
            "FAIL".into(),
            "container_deny_privileged.violation".into(),
            "a message that goes on".into(),
        ]);
        table.plain(["FAIL".into(), "x".into(), "short".into()]);
        let lines = table.render(40, |_, text| text.to_owned());
        assert_eq!(
            lines,
            [
                "verdict  rule             message",
                "FAIL     container_deny_  a message that",
                "         privileged.      goes on",
                "         violation",
                "FAIL     x                short",
            ]
        );
    }

    #[test]
    fn an_id_is_never_cut_and_spare_columns_make_room_for_it() {
        let mut table = Table::new(&["store", "!snapshot", "?>ratio", "state"]);
        table.plain(["accounts".into(), "0".repeat(26), "13.4 : 1".into(), "complete".into()]);
        let plain = |_: Tone, text: &str| text.to_owned();
        assert!(table.render(100, plain)[0].contains("ratio"));
        let narrow = table.render(50, plain);
        assert!(!narrow[0].contains("ratio"));
        assert!(narrow[1].contains(&"0".repeat(26)));
    }

    #[test]
    fn the_last_column_is_wrapped_beneath_itself_and_loses_nothing() {
        let mut table = Table::new(&["rule", "severity", "message"]);
        table.plain([
            "DR-302".into(),
            String::new(),
            "lies on the host that it protects".into(),
        ]);
        let lines = table.render(30, |_, text| text.to_owned());
        assert_eq!(
            lines,
            [
                "rule    message",
                "DR-302  lies on the host that",
                "        it protects"
            ]
        );
    }
}
