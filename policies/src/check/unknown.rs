//! What of a document is not known yet: values that a plan learns only when it is applied, expressions that nobody has evaluated.
//!
//! A rule that looks at such a part and says nothing has proven nothing: its `pass` is `unknown`. A `fail` stays one, since it was
//! found in what is known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::input::Format;
use crate::rego::{Part, Reach, Read, Step};

/// How many kinds of member without anything unknown are kept in mind.
const MAX_BARREN: usize = 64;

/// A tree of keys, down to the parts that are not known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unknown {
    /// All of it.
    Whole,
    /// Some of what is beneath these keys or indexes.
    Beneath(BTreeMap<String, Arc<Unknown>>),
}

impl Unknown {
    /// What is not known of a document, if there is such a part.
    pub(super) fn of(document: &Value, format: Option<Format>) -> Option<Self> {
        match format {
            Some(Format::Hcl2) => expressions(document),
            _ => plan(document),
        }
    }

    /// The same with a key in front.
    pub(super) fn under(self, key: impl Into<String>) -> Self {
        Self::Beneath(BTreeMap::from([(key.into(), Arc::new(self))]))
    }

    /// Joins trees of different keys.
    pub(super) fn all(trees: impl IntoIterator<Item = (String, Self)>) -> Option<Self> {
        let trees = trees.into_iter().map(|(key, tree)| (key, Arc::new(tree)));
        Self::shared(trees)
    }

    fn shared(trees: impl IntoIterator<Item = (String, Arc<Self>)>) -> Option<Self> {
        let trees: BTreeMap<String, Arc<Self>> = trees.into_iter().collect();
        (!trees.is_empty()).then_some(Self::Beneath(trees))
    }

    /// The JSON pointer of a part that one of these reads looks at and that is not known.
    pub(super) fn met(&self, reads: &[Read], document: &Value) -> Option<String> {
        reads.iter().find_map(|read| {
            let mut way = Way {
                read,
                root: self,
                document,
                taken: Vec::new(),
                bound: Vec::new(),
            };
            (way.follow(self, &read.part) == Found::Something).then(|| way.pointer())
        })
    }

    fn at(&self, part: &[&str]) -> bool {
        match (self, part.split_first()) {
            (Self::Whole, _) => true,
            (Self::Beneath(_), None) => false,
            (Self::Beneath(keys), Some((first, rest))) => keys.get(*first).is_some_and(|tree| tree.at(rest)),
        }
    }
}

/// What following a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Nothing unknown lies there, whichever members are meant.
    Nothing,
    /// Nothing that the rule looks at with these members.
    NotHere,
    Something,
}

/// One read on its way through a document.
struct Way<'a> {
    read: &'a Read,
    root: &'a Unknown,
    document: &'a Value,
    taken: Vec<&'a str>,
    bound: Vec<(&'a str, &'a str)>,
}

impl<'a> Way<'a> {
    fn follow(&mut self, tree: &'a Unknown, part: &'a [Step]) -> Found {
        let keys = match tree {
            Unknown::Whole if self.happens() => return Found::Something,
            Unknown::Whole => return Found::NotHere,
            Unknown::Beneath(keys) => keys,
        };
        let Some((first, rest)) = part.split_first() else {
            let looks = |tree: &Unknown| match self.read.reach {
                Reach::Here => false,
                Reach::Members => *tree == Unknown::Whole,
                Reach::All => true,
            };
            let beneath: Vec<_> = keys.iter().filter(|(_, tree)| looks(tree)).collect();
            return self.any(beneath, None, &[]);
        };
        match first {
            Step::Key(key) => match keys.get_key_value(key) {
                Some((key, tree)) => self.take(key, None, tree, rest),
                None => Found::Nothing,
            },
            Step::Any(name) => match self.chosen(name) {
                Some(key) => match keys
                    .get_key_value(key)
                    .map(|(key, tree)| self.take(key, None, tree, rest))
                {
                    Some(Found::Something) => Found::Something,
                    _ => Found::NotHere,
                },
                None => self.any(keys, Some(name), rest),
            },
        }
    }

    /// Tries each; of those that are alike where nothing lies, one.
    fn any(
        &mut self,
        keys: impl IntoIterator<Item = (&'a String, &'a Arc<Unknown>)>,
        name: Option<&'a str>,
        rest: &'a [Step],
    ) -> Found {
        let mut barren: Vec<*const Unknown> = Vec::new();
        let mut all = Found::Nothing;
        for (key, tree) in keys {
            if barren.contains(&Arc::as_ptr(tree)) {
                continue;
            }
            match self.take(key, name, tree, rest) {
                Found::Something => return Found::Something,
                Found::NotHere => all = Found::NotHere,
                Found::Nothing if barren.len() < MAX_BARREN => barren.push(Arc::as_ptr(tree)),
                Found::Nothing => {}
            }
        }
        all
    }

    /// Goes on beneath a key; what was taken is left again where that leads to nothing.
    fn take(&mut self, key: &'a str, name: Option<&'a str>, tree: &'a Unknown, rest: &'a [Step]) -> Found {
        self.taken.push(key);
        self.bound.extend(name.map(|name| (name, key)));
        let found = self.follow(tree, rest);
        if found != Found::Something {
            self.taken.pop();
            if name.is_some() {
                self.bound.pop();
            }
        }
        found
    }

    /// The member that a name was given to on the way.
    fn chosen(&self, name: &str) -> Option<&'a str> {
        let bound = self.bound.iter().find(|(bound, _)| *bound == name && !name.is_empty());
        bound.map(|(_, key)| *key)
    }

    /// Whether the rule looks here at all: no literal that it asks for is known to be another.
    fn happens(&self) -> bool {
        self.read.only.iter().all(|only| {
            let Some(part) = self.place(&only.part) else {
                return true;
            };
            if self.root.at(&part) {
                return true;
            }
            let member = |value: &'a Value, key: &&str| match value {
                Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
                value => value.get(*key),
            };
            let found = part.iter().try_fold(self.document, member);
            found.is_some_and(|found| {
                !found.is_object() && !found.is_array() && only.values.contains(&found.to_string())
            })
        })
    }

    /// The part with the members that were chosen; none where one was not.
    fn place(&self, part: &'a Part) -> Option<Vec<&'a str>> {
        let step = |step: &'a Step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Any(name) => self.chosen(name),
        };
        part.iter().map(step).collect()
    }

    fn pointer(&self) -> String {
        let escaped = |key: &&str| format!("/{}", key.replace('~', "~0").replace('/', "~1"));
        self.taken.iter().map(escaped).collect()
    }
}

/// Trees of one plan that are equal are one.
#[derive(Default)]
struct Shared(BTreeSet<Arc<Unknown>>);

impl Shared {
    fn one(&mut self, tree: Unknown) -> Arc<Unknown> {
        let tree = Arc::new(tree);
        match self.0.get(&tree) {
            Some(known) => Arc::clone(known),
            None => {
                self.0.insert(Arc::clone(&tree));
                tree
            }
        }
    }
}

/// HCL: whatever is not a literal is text with `${…}` or `%{…}` in it.
fn expressions(value: &Value) -> Option<Unknown> {
    match value {
        Value::String(text) => holds_expression(text).then_some(Unknown::Whole),
        Value::Array(items) => {
            let each = items.iter().enumerate();
            Unknown::all(each.filter_map(|(index, item)| Some((index.to_string(), expressions(item)?))))
        }
        Value::Object(fields) => Unknown::all(
            fields
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), expressions(value)?))),
        ),
        _ => None,
    }
}

/// `$${` and `%%{` are written for the characters themselves.
fn holds_expression(text: &str) -> bool {
    ["${", "%{"].iter().any(|begin| {
        text.match_indices(begin)
            .any(|(at, _)| !text[..at].ends_with(&begin[..1]))
    })
}

/// A Terraform plan says itself what it will know after it was applied: `after_unknown`, a tree of `true`.
fn plan(document: &Value) -> Option<Unknown> {
    document.get("format_version")?;
    let mut trees = BTreeMap::new();
    let mut shared = Shared::default();
    let mut by_address: BTreeMap<&str, Arc<Unknown>> = BTreeMap::new();
    let changes = document.get("resource_changes").and_then(Value::as_array);
    let mut members = BTreeMap::new();
    for (index, change) in changes.into_iter().flatten().enumerate() {
        let Some(unknown) = change.pointer("/change/after_unknown").and_then(marked) else {
            continue;
        };
        if let Some(address) = change.get("address").and_then(Value::as_str) {
            by_address.insert(address, shared.one(unknown.clone().under("values")));
        }
        members.insert(index.to_string(), shared.one(unknown.under("after").under("change")));
    }
    trees.extend(Unknown::shared(members).map(|tree| ("resource_changes".to_owned(), tree)));
    let outputs = document.get("output_changes").and_then(Value::as_object);
    let outputs: BTreeMap<String, Unknown> = outputs
        .into_iter()
        .flatten()
        .filter_map(|(name, change)| Some((name.clone(), change.get("after_unknown").and_then(marked)?)))
        .collect();
    let after = outputs
        .iter()
        .map(|(name, tree)| (name.clone(), tree.clone().under("after")));
    trees.extend(Unknown::all(after).map(|tree| ("output_changes".to_owned(), tree)));
    let values = outputs.into_iter().map(|(name, tree)| (name, tree.under("value")));
    let planned = [
        ("outputs".to_owned(), Unknown::all(values)),
        (
            "root_module".to_owned(),
            document
                .pointer("/planned_values/root_module")
                .and_then(|module| planned(module, &by_address, 0)),
        ),
    ];
    let planned = Unknown::all(planned.into_iter().filter_map(|(key, tree)| Some((key, tree?))));
    trees.extend(planned.map(|tree| ("planned_values".to_owned(), tree)));
    Unknown::all(trees)
}

/// How deep modules may lie in each other.
const MAX_MODULES: usize = 64;

fn planned(module: &Value, by_address: &BTreeMap<&str, Arc<Unknown>>, depth: usize) -> Option<Unknown> {
    let list = |key: &str| {
        module
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
    };
    let resources = list("resources").filter_map(|(index, resource)| {
        let unknown = by_address.get(resource.get("address")?.as_str()?)?;
        Some((index.to_string(), Arc::clone(unknown)))
    });
    let children = list("child_modules")
        .filter(|_| depth < MAX_MODULES)
        .filter_map(|(index, child)| Some((index.to_string(), planned(child, by_address, depth + 1)?)));
    let lists = [
        ("resources".to_owned(), Unknown::shared(resources)),
        ("child_modules".to_owned(), Unknown::all(children)),
    ];
    Unknown::all(lists.into_iter().filter_map(|(key, tree)| Some((key, tree?))))
}

fn marked(value: &Value) -> Option<Unknown> {
    match value {
        Value::Bool(true) => Some(Unknown::Whole),
        Value::Array(items) => {
            let each = items.iter().enumerate();
            Unknown::all(each.filter_map(|(index, item)| Some((index.to_string(), marked(item)?))))
        }
        Value::Object(fields) => Unknown::all(
            fields
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), marked(value)?))),
        ),
        _ => None,
    }
}
