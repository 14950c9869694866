//! METADATA blocks: comments that say in YAML what a package or rule is about.
//!
//! A block begins with `# METADATA`, goes on as long as comments follow line upon line, and belongs to what follows it.

use serde_json::{Map, Value, json};

use super::ast::{Comment, Module, Span};
use super::fault::{Class, Fault};
use crate::input::parse_yaml;

/// What a block speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Rule,
    Document,
    Package,
    Subpackages,
}

impl Scope {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "rule" => Some(Self::Rule),
            "document" => Some(Self::Document),
            "package" => Some(Self::Package),
            "subpackages" => Some(Self::Subpackages),
            _ => None,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Document => "document",
            Self::Package => "package",
            Self::Subpackages => "subpackages",
        }
    }
}

/// One block.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Block {
    /// Of `# METADATA`.
    pub(crate) span: Span,
    pub(crate) scope: Scope,
    /// The rule that it stands above, by where that begins and what it is called; `None` above the package.
    pub(crate) rule: Option<(u32, String)>,
    pub(crate) value: Value,
}

/// The blocks of a module, and of others what reaches it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Annotations {
    pub(crate) blocks: Vec<Block>,
    /// Blocks for subpackages from all modules: their package, and what they say.
    pub(crate) above: Vec<(Vec<String>, Value)>,
    /// Blocks for the package from its other modules.
    pub(crate) package: Vec<Value>,
    /// Blocks for documents from the package's other modules, by the name of their rule.
    pub(crate) documents: Vec<(String, Value)>,
}

/// Reads the blocks among a module's comments.
pub(crate) fn read(comments: &[Comment], module: &Module) -> Result<Annotations, Fault> {
    let mut blocks = Vec::new();
    let mut comments = comments.iter().peekable();
    while let Some(first) = comments.next() {
        if first.text.trim() != "METADATA" {
            continue;
        }
        let mut last = first.span;
        let mut text = String::new();
        while let Some(next) = comments.next_if(|next| next.span.line == last.line + 1 && next.column == first.column) {
            text.push_str(next.text.strip_prefix(' ').unwrap_or(&next.text));
            text.push('\n');
            last = next.span;
        }
        let refuse = |why: String| Fault::new(Class::Parse, first.span, format!("METADATA: {why}"));
        let value = parse_yaml(&text).map_err(refuse)?.swap_remove(0).value;
        if !value.is_object() {
            return Err(refuse("is not a mapping".to_owned()));
        }
        let after = |span: Span| (span.start > last.end).then_some(span.start);
        let package = after(module.package_span).map(|start| (start, None));
        let rules = module.rules.iter().filter_map(|rule| {
            let name = rule.head.constant().join(".");
            after(rule.span).map(|start| (start, Some((start, name))))
        });
        let next = package.into_iter().chain(rules).min_by_key(|(start, _)| *start);
        let Some((_, rule)) = next else {
            return Err(refuse("no package or rule follows it".to_owned()));
        };
        let scope = match value.get("scope") {
            None if rule.is_some() => Scope::Rule,
            None => Scope::Package,
            Some(scope) => match scope.as_str().and_then(Scope::parse) {
                Some(scope) => scope,
                None => {
                    return Err(refuse(format!(
                        "scope {scope} is none of rule, document, package, subpackages"
                    )));
                }
            },
        };
        blocks.push(Block {
            span: first.span,
            scope,
            rule: rule.filter(|_| matches!(scope, Scope::Rule | Scope::Document)),
            value: normal(value, scope),
        });
    }
    Ok(Annotations {
        blocks,
        ..Annotations::default()
    })
}

/// As OPA keeps a block: with its scope, and people and links taken apart.
fn normal(value: Value, scope: Scope) -> Value {
    let mut fields = match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    fields.insert("scope".to_owned(), json!(scope.text()));
    let mut each = |key: &str, change: fn(&str) -> Value| {
        if let Some(Value::Array(items)) = fields.get_mut(key) {
            for item in items {
                if let Value::String(text) = item {
                    *item = change(text);
                }
            }
        }
    };
    each("authors", author);
    each("related_resources", |link| json!({"ref": link}));
    Value::Object(fields)
}

/// `Jane Doe <jane@example.com>`
fn author(text: &str) -> Value {
    match text.rsplit_once('<') {
        Some((name, email)) if email.ends_with('>') => {
            let (name, email) = (name.trim(), email.trim_end_matches('>').trim());
            match name.is_empty() {
                true => json!({"email": email}),
                false => json!({"name": name, "email": email}),
            }
        }
        _ => json!({"name": text.trim()}),
    }
}

impl Annotations {
    /// What the block of a rule itself says; nothing is an empty object.
    pub(crate) fn of_rule(&self, rule: Span) -> Value {
        self.own(rule).cloned().unwrap_or_else(|| json!({}))
    }

    fn own(&self, rule: Span) -> Option<&Value> {
        let found = self.blocks.iter().find(|block| {
            block.scope == Scope::Rule && block.rule.as_ref().is_some_and(|(start, _)| *start == rule.start)
        });
        found.map(|block| &block.value)
    }

    /// The rule and what stands above it, innermost first; `package` is how much of the path is the package's.
    pub(crate) fn chain(&self, rule: Span, path: &[String], package: usize) -> Value {
        let link = |path: &[String], annotations: Option<&Value>| {
            let mut link = Map::new();
            if let Some(annotations) = annotations {
                link.insert("annotations".to_owned(), annotations.clone());
            }
            // The path is told without `data`.
            link.insert("path".to_owned(), json!(&path[1..]));
            Value::Object(link)
        };
        let mut chain = vec![link(path, self.own(rule))];
        let (package, name) = path.split_at(package.min(path.len()));
        let name = name.join(".");
        let documents = self.blocks.iter().filter_map(|block| match (&block.rule, block.scope) {
            (Some((_, of)), Scope::Document) => Some((of, &block.value)),
            _ => None,
        });
        let others = self.documents.iter().map(|(of, value)| (of, value));
        if let Some((_, value)) = documents.chain(others).find(|(of, _)| **of == name) {
            chain.push(link(path, Some(value)));
        }
        let own = self.blocks.iter().filter(|block| block.scope == Scope::Package);
        if let Some(value) = own.map(|block| &block.value).chain(&self.package).next() {
            chain.push(link(package, Some(value)));
        }
        let mut above: Vec<_> = self
            .above
            .iter()
            .filter(|(of, _)| package[1..].starts_with(of))
            .collect();
        above.sort_by_key(|(of, _)| std::cmp::Reverse(of.len()));
        for (of, value) in above {
            chain.push(link(&package[..=of.len()], Some(value)));
        }
        Value::Array(chain)
    }
}
