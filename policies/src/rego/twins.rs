//! A test that is defined twice is two tests, judged apart: the second gets a name of its own.
//!
//! As under `opa test`, which does so once references are resolved: whoever names the test means the first.

use std::collections::BTreeMap;

use super::Source;

/// Renames; gives, for each source, the names by which its rules are to be evaluated.
pub(super) fn part(sources: &mut [Source]) -> Vec<Vec<String>> {
    let mut seen: BTreeMap<(Vec<String>, String), usize> = BTreeMap::new();
    let mut names = Vec::new();
    for source in sources {
        let package = source.module.package.clone();
        let mut own = Vec::new();
        for rule in &mut source.module.rules {
            let name = rule.head.constant().join(".");
            let test = name.starts_with("test_") && rule.head.args.is_none() && rule.head.key.is_none();
            if test && rule.head.path.is_empty() {
                let count = seen.entry((package.clone(), name.clone())).or_default();
                *count += 1;
                if *count > 1 {
                    rule.head.name.text = format!("{name}_twin_{count:02}");
                }
            }
            own.push(rule.head.constant().join("."));
        }
        names.push(own);
    }
    names
}
