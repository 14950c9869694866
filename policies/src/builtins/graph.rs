//! Paths through graphs: an object of the neighbours of each node, as an array or a set.

use std::collections::BTreeSet;

use regorus::Value;

use super::Family;
use super::call::{Call, Outcome, array, set};

pub(super) const FAMILY: Family = &[("graph.reachable_paths", paths)];

fn neighbours(edges: &Value) -> Vec<&Value> {
    match edges {
        Value::Array(items) => items.iter().collect(),
        Value::Set(items) => items.iter_sorted().collect(),
        _ => Vec::new(),
    }
}

fn paths(call: &mut Call<'_>) -> Outcome {
    let graph = call.object(0)?;
    let mut found = BTreeSet::new();
    for first in call.elements(1)? {
        let Some(edges) = graph.get(first) else { continue };
        let next = neighbours(edges);
        if next.is_empty() {
            found.insert(array([first.clone()]));
        }
        for node in next {
            let mut seen = BTreeSet::from([first]);
            follow(graph, node, &mut vec![first], &mut seen, &mut found);
        }
    }
    Ok(set(found))
}

/// Goes on from a path to a node. A path ends where a node leads nowhere, is none of the graph's, or leads to one that this
/// walk has gone on from before.
fn follow<'a>(
    graph: &'a regorus::value::Object,
    node: &'a Value,
    path: &mut Vec<&'a Value>,
    seen: &mut BTreeSet<&'a Value>,
    found: &mut BTreeSet<Value>,
) {
    let whole = |path: &[&Value]| array(path.iter().map(|node| (*node).clone()));
    let Some(edges) = graph.get(node) else {
        found.insert(whole(path));
        return;
    };
    path.push(node);
    let next = neighbours(edges);
    if next.is_empty() {
        found.insert(whole(path));
    }
    for next in next {
        if seen.contains(next) {
            found.insert(whole(path));
        } else {
            seen.insert(node);
            follow(graph, next, path, seen, found);
        }
    }
    path.pop();
}
