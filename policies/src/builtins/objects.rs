//! Objects and documents by path: subsets, filters, removals.
//!
//! Several paths are one tree of keys; a leaf of it takes all that is beneath.

use std::collections::BTreeMap;

use regorus::Value;

use super::call::{Call, array, kind, object, set};
use super::{Failure, Family};

pub(super) const FAMILY: Family = &[
    ("object.subset", |call| {
        subset(call.any(0), call.any(1)).map(Value::from)
    }),
    ("json.filter", |call| {
        call.object(0)?;
        Ok(filter(call.any(0), &tree(call)?))
    }),
    ("json.remove", |call| {
        call.object(0)?;
        Ok(remove(call.any(0), &tree(call)?))
    }),
];

fn subset(whole: &Value, part: &Value) -> Result<bool, Failure> {
    match (whole, part) {
        (Value::Object(_), Value::Object(_)) | (Value::Set(_), Value::Set(_)) | (Value::Array(_), Value::Array(_)) => {
            Ok(contains(whole, part))
        }
        (Value::Array(whole), Value::Set(part)) => Ok(part.iter().all(|item| whole.contains(item))),
        (whole, part) => Err(format!(
            "both arguments object.subset must be of the same type or array and set, but got {} and {}",
            kind(whole),
            kind(part)
        )
        .into()),
    }
}

fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|found| contains(found, value))),
        (Value::Set(whole), Value::Set(part)) => part.is_subset(whole),
        (Value::Array(whole), Value::Array(part)) => {
            part.is_empty()
                || whole
                    .as_slice()
                    .windows(part.len())
                    .any(|window| window == part.as_slice())
        }
        (whole, part) => whole == part,
    }
}

/// What to take of a document.
enum Tree {
    Leaf,
    Branch(BTreeMap<Value, Tree>),
}

fn tree(call: &Call<'_>) -> Result<Tree, Failure> {
    let mut root = BTreeMap::new();
    for path in call.elements(1)? {
        let path = segments(path)?;
        if let Some((last, before)) = path.split_last() {
            plant(&mut root, before, last);
        }
    }
    Ok(Tree::Branch(root))
}

fn plant(node: &mut BTreeMap<Value, Tree>, before: &[Value], last: &Value) {
    let Some((first, rest)) = before.split_first() else {
        node.insert(last.clone(), Tree::Leaf);
        return;
    };
    match node
        .entry(first.clone())
        .or_insert_with(|| Tree::Branch(BTreeMap::new()))
    {
        Tree::Leaf => {}
        Tree::Branch(next) => plant(next, rest, last),
    }
}

fn segments(path: &Value) -> Result<Vec<Value>, Failure> {
    match path {
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::String(text) => {
            let parts = text.trim_start_matches('/').split('/');
            Ok(parts
                .map(|part| part.replace("~1", "/").replace("~0", "~").into())
                .collect())
        }
        Value::Array(parts) => Ok(parts.to_vec()),
        other => Err(format!(
            "operand 2 must be one of {{set, array}} containing string paths or array of path segments but got {}",
            kind(other)
        )
        .into()),
    }
}

/// Array elements are named by their index as text.
fn index(place: usize) -> Value {
    place.to_string().into()
}

fn filter(value: &Value, tree: &Tree) -> Value {
    let Tree::Branch(tree) = tree else {
        return value.clone();
    };
    match value {
        Value::Array(items) => array(
            items
                .iter()
                .enumerate()
                .filter_map(|(place, item)| Some(filter(item, tree.get(&index(place))?))),
        ),
        Value::Set(items) => set(items.iter().filter_map(|item| Some(filter(item, tree.get(item)?)))),
        Value::Object(fields) => object(
            fields
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), filter(value, tree.get(key)?)))),
        ),
        other => other.clone(),
    }
}

fn remove(value: &Value, tree: &Tree) -> Value {
    let Tree::Branch(tree) = tree else {
        return Value::Undefined;
    };
    let left = |item: &Value, key: &Value| match tree.get(key) {
        None => Some(item.clone()),
        Some(Tree::Leaf) => None,
        Some(deeper) => Some(remove(item, deeper)),
    };
    match value {
        Value::Array(items) => array(
            items
                .iter()
                .enumerate()
                .filter_map(|(place, item)| left(item, &index(place))),
        ),
        Value::Set(items) => set(items.iter().filter_map(|item| left(item, item))),
        Value::Object(fields) => object(
            fields
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), left(value, key)?))),
        ),
        other => other.clone(),
    }
}
