//! Every module is handed over in version 1.
//!
//! Removes: which words are keywords in a module of version 0 depends on its imports, and `p[x]` is one thing or another.
//! Only a package that names a rule by a keyword stays in version 0, with the imports of the other keywords.

use super::super::ast::{Dialect, Import, Module};
use super::super::parser::is_keyword;

pub(super) fn run(module: &mut Module) {
    module.imports.clear();
    let named = |module: &Module, word: &str| module.rules.iter().any(|rule| rule.head.name.text == word);
    if module.rules.iter().any(|rule| is_keyword(&rule.head.name.text)) {
        module.dialect = Dialect::V0;
        for rule in &mut module.rules {
            rule.has_if = false;
            rule.head.contains = false;
            rule.otherwise.iter_mut().for_each(|otherwise| otherwise.has_if = false);
        }
        let words = ["in", "every"].into_iter().filter(|word| !named(module, word));
        let imports: Vec<Import> = words
            .map(|word| Import {
                span: super::super::ast::Span::default(),
                path: ["future", "keywords", word].map(str::to_owned).to_vec(),
                alias: None,
            })
            .collect();
        module.imports = imports;
        return;
    }
    module.dialect = Dialect::V1;
    for rule in &mut module.rules {
        rule.has_if = rule.body.is_some();
        rule.head.contains = rule.head.key.is_some();
        rule.otherwise
            .iter_mut()
            .for_each(|otherwise| otherwise.has_if = otherwise.body.is_some());
    }
}
