//! What all modules together define: packages, rules, functions with their arity.

use std::collections::{BTreeMap, BTreeSet};

use super::ast::{Module, Rule, Span};

/// One definition of a rule.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) module: usize,
    pub(crate) span: Span,
    /// The number of arguments, of a function.
    pub(crate) arity: Option<usize>,
    pub(crate) default: bool,
    /// It adds elements to a set.
    pub(crate) set: bool,
    /// Parts of its path are known only when it runs.
    pub(crate) dynamic: bool,
}

/// The definitions of all modules, by full constant path, beginning with `data`.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    rules: BTreeMap<Vec<String>, Vec<Definition>>,
    packages: BTreeMap<Vec<String>, BTreeSet<String>>,
}

/// The full path of a rule, as far as it is constant.
pub(crate) fn path(package: &[String], rule: &Rule) -> Vec<String> {
    let mut path = vec!["data".to_owned()];
    path.extend(package.iter().cloned());
    path.extend(rule.head.constant().into_iter().map(str::to_owned));
    path
}

impl Symbols {
    pub(crate) fn of<'a>(modules: impl Iterator<Item = &'a Module>) -> Self {
        let mut symbols = Self::default();
        for (place, module) in modules.enumerate() {
            let names = symbols.packages.entry(module.package.clone()).or_default();
            names.extend(module.rules.iter().map(|rule| rule.head.name.text.clone()));
            for rule in &module.rules {
                let definition = Definition {
                    module: place,
                    span: rule.head.span,
                    arity: rule.head.args.as_ref().map(Vec::len),
                    default: rule.default,
                    set: rule.head.key.is_some(),
                    dynamic: !rule.head.is_constant(),
                };
                let path = path(&module.package, rule);
                symbols.rules.entry(path).or_default().push(definition);
            }
        }
        symbols
    }

    /// Names that stand for something in all of a module: the package's rules, and imports.
    pub(crate) fn globals(&self, module: &Module) -> BTreeSet<String> {
        let mut names = self.packages.get(&module.package).cloned().unwrap_or_default();
        let imports = module.imports.iter().filter(|import| !import.is_keyword());
        names.extend(imports.map(|import| import.name().to_owned()));
        names
    }

    /// Whether a package defines a rule that begins with this name.
    pub(crate) fn defines(&self, package: &[String], name: &str) -> bool {
        self.packages.get(package).is_some_and(|names| names.contains(name))
    }

    /// The definitions at a full path.
    pub(crate) fn at(&self, path: &[String]) -> &[Definition] {
        self.rules.get(path).map(Vec::as_slice).unwrap_or_default()
    }

    /// The arity of the function at a full path.
    pub(crate) fn arity(&self, path: &[String]) -> Option<usize> {
        self.at(path).iter().find_map(|definition| definition.arity)
    }

    /// All definitions, by path.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&[String], &[Definition])> {
        self.rules
            .iter()
            .map(|(path, found)| (path.as_slice(), found.as_slice()))
    }
}

/// Whether a name is one of OPA's built-in functions.
pub(crate) fn is_built_in(name: &str) -> bool {
    super::known::arity(name).is_some()
}
