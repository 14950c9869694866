//! No rule may need its own value: evaluation would not end, and with it the process.

use std::collections::BTreeMap;

use super::super::Source;
use super::super::ast::{Expr, Kind, Span};
use super::super::fault::{Class, Fault};
use super::super::symbols::{Symbols, path};
use super::super::walk::{Look, look_expr, look_rule};

/// One part of a path: `None` is known only when it runs.
type Part = Option<String>;

pub(super) fn check(sources: &[Source], symbols: &Symbols) -> Result<(), (usize, Fault)> {
    let mut nodes: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for (path, _) in symbols.all() {
        let next = nodes.len();
        nodes.entry(path.to_vec()).or_insert(next);
    }
    let names: Vec<&Vec<String>> = nodes.keys().collect();
    let mut tree = Tree::default();
    for (place, name) in names.iter().enumerate() {
        let dynamic = symbols.at(name).iter().any(|one| one.dynamic);
        tree.insert(name, place, dynamic);
    }
    let places: BTreeMap<&Vec<String>, usize> = names.iter().enumerate().map(|(place, name)| (*name, place)).collect();
    let mut edges: Vec<Vec<usize>> = vec![Vec::new(); names.len()];
    for source in sources {
        for rule in &source.module.rules {
            let mut references = References(Vec::new());
            look_rule(&mut references, rule);
            let from = places.get(&path(&source.module.package, rule)).copied();
            let Some(from) = from else { continue };
            for reference in references.0 {
                tree.find(&reference, &mut edges[from]);
            }
        }
    }
    for targets in &mut edges {
        targets.sort_unstable();
        targets.dedup();
    }
    let Some(cycle) = cycle(&edges) else { return Ok(()) };
    let first = names[cycle[0]];
    let shown: Vec<String> = cycle.iter().map(|place| names[*place].join(".")).collect();
    let (module, span) = symbols
        .at(first)
        .first()
        .map_or((0, Span::default()), |one| (one.module, one.span));
    let what = format!("rule {} is recursive: {}", first.join("."), shown.join(" -> "));
    Err((module, Fault::new(Class::Recursion, span, what)))
}

/// Rules by path.
#[derive(Default)]
struct Tree {
    here: Option<usize>,
    dynamic: bool,
    beneath: BTreeMap<String, Tree>,
}

impl Tree {
    fn insert(&mut self, path: &[String], place: usize, dynamic: bool) {
        match path.split_first() {
            None => {
                self.here = Some(place);
                self.dynamic = dynamic;
            }
            Some((first, rest)) => self
                .beneath
                .entry(first.clone())
                .or_default()
                .insert(rest, place, dynamic),
        }
    }

    /// Every rule whose value a reference may need: above it, at it, or beneath it.
    fn find(&self, reference: &[Part], out: &mut Vec<usize>) {
        out.extend(self.here);
        match reference.split_first() {
            None => self.beneath.values().for_each(|tree| tree.find(&[], out)),
            Some((Some(part), rest)) => {
                if let Some(tree) = self.beneath.get(part) {
                    tree.find(rest, out);
                }
            }
            Some((None, rest)) => self.beneath.values().for_each(|tree| tree.find(rest, out)),
        }
    }
}

struct References(Vec<Vec<Part>>);

impl<'a> Look<'a> for References {
    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            Kind::Var(name) if name == "data" => self.0.push(vec![Some(name.clone())]),
            Kind::Ref(head, parts) if head.as_var() == Some("data") => {
                let rest = parts.iter().map(|part| match &part.kind {
                    Kind::String(text) => Some(text.clone()),
                    _ => None,
                });
                self.0
                    .push(std::iter::once(Some("data".to_owned())).chain(rest).collect());
                parts.iter().for_each(|part| self.expr(part));
            }
            _ => look_expr(self, expr),
        }
    }
}

/// A cycle, its first node again at the end.
fn cycle(edges: &[Vec<usize>]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut states = vec![State::New; edges.len()];
    for start in 0..edges.len() {
        if states[start] != State::New {
            continue;
        }
        let mut path = vec![(start, 0)];
        states[start] = State::Open;
        while let Some((node, next)) = path.last_mut() {
            match edges[*node].get(*next) {
                None => {
                    states[*node] = State::Done;
                    path.pop();
                }
                Some(&target) => {
                    *next += 1;
                    match states[target] {
                        State::New => {
                            states[target] = State::Open;
                            path.push((target, 0));
                        }
                        State::Open => {
                            let nodes = path.iter().map(|(node, _)| *node);
                            let mut cycle: Vec<usize> = nodes.skip_while(|node| *node != target).collect();
                            cycle.push(target);
                            return Some(cycle);
                        }
                        State::Done => {}
                    }
                }
            }
        }
    }
    None
}
