//! Where each part of a file stands, for the formats whose own readers know: told while they read, and looked up by the longest path
//! that is known.

use std::collections::HashMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::xml::Element;
use super::{Format, docker, dotenv, hcl1, ini, nginx, properties, settings, xml};

/// Is told of each part: the keys and indexes that lead to it, and its line (one-based).
pub(super) type Met<'a> = dyn FnMut(&[&str], usize) + 'a;

/// Lines and columns by path.
pub(super) struct Places(HashMap<Vec<String>, (usize, usize)>);

impl Places {
    /// Reads a text for the places in it; `None` where the format has none, or the text is not of it.
    pub(super) fn of(text: &str, format: Format) -> Option<Self> {
        let mut places = HashMap::new();
        if format == Format::Toml {
            let lines = Lines::of(text);
            let table = DeTable::parse(text).ok()?;
            tables(table.get_ref(), &mut Vec::new(), &mut |path, at| {
                places.entry(path.to_vec()).or_insert_with(|| lines.place(text, at));
            });
            return Some(Self(places));
        }
        let columns: Vec<usize> = text.lines().map(first_column).collect();
        let mut met = |path: &[&str], line: usize| {
            let path = path.iter().map(|step| (*step).to_owned()).collect();
            places.insert(path, (line, columns.get(line.wrapping_sub(1)).copied().unwrap_or(1)));
        };
        match format {
            Format::Dockerfile => docker::read(text, &mut met).ok().map(drop)?,
            Format::Dotenv => dotenv::read(text, &mut met).ok().map(drop)?,
            Format::Hcl1 => hcl1::read(text, &mut met).ok().map(drop)?,
            Format::Ignore => (1..=columns.len()).for_each(|line| met(&["0", &(line - 1).to_string()], line)),
            Format::Ini => ini::read(text, &mut met).ok().map(drop)?,
            Format::Mariadb => settings::mariadb(text, &mut met).ok().map(drop)?,
            Format::Nginx => nginx::read(text, &mut met).ok().map(drop)?,
            Format::PgHba => settings::hba(text, &mut met).ok().map(drop)?,
            Format::Postgres => settings::postgres(text, &mut met).ok().map(drop)?,
            Format::Properties => properties::read(text, &mut met).ok().map(drop)?,
            Format::Redis => settings::redis(text, &mut met).ok().map(drop)?,
            Format::Xml => elements(&xml::tree(text).ok()?, &mut Vec::new(), &mut met),
            _ => return None,
        }
        Some(Self(places))
    }

    /// The place of a path, or of as much of it as is known.
    pub(super) fn find(&self, path: &[String]) -> Option<(usize, usize)> {
        let longest = (1..=path.len()).rev();
        longest
            .into_iter()
            .find_map(|length| self.0.get(&path[..length]))
            .copied()
    }
}

fn first_column(line: &str) -> usize {
    1 + line.chars().take_while(|c| c.is_whitespace()).count()
}

/// Each element by its name, and where that stands several times also by its number.
fn elements(element: &Element, path: &mut Vec<String>, met: &mut Met<'_>) {
    let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
    for child in &element.children {
        counts.entry(&child.name).or_default().1 += 1;
    }
    for child in &element.children {
        let Some((number, all)) = counts.get_mut(child.name.as_str()) else {
            continue;
        };
        let (index, several) = (*number, *all > 1);
        *number += 1;
        path.push(child.name.clone());
        if index == 0 {
            told(path, child.line, met);
        }
        if several {
            path.push(index.to_string());
            told(path, child.line, met);
        }
        elements(child, path, met);
        path.truncate(path.len() - 1 - usize::from(several));
    }
}

fn told(path: &[String], line: usize, met: &mut Met<'_>) {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    met(&path, line);
}

/// Each key and each member of a list.
fn tables(table: &DeTable<'_>, path: &mut Vec<String>, met: &mut dyn FnMut(&[String], usize)) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        met(path, key.span().start);
        members(value, path, met);
        path.pop();
    }
}

fn members(value: &Spanned<DeValue<'_>>, path: &mut Vec<String>, met: &mut dyn FnMut(&[String], usize)) {
    match value.get_ref() {
        DeValue::Table(table) => tables(table, path, met),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                met(path, item.span().start);
                members(item, path, met);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect())
    }

    fn place(&self, text: &str, at: usize) -> (usize, usize) {
        let line = self.0.partition_point(|begin| *begin <= at).max(1);
        let begin = self.0.get(line - 1).copied().unwrap_or(0);
        (line, 1 + text.get(begin..at).map_or(0, |before| before.chars().count()))
    }
}
