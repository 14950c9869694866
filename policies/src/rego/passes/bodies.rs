//! Chained bodies of version 0: `f(x) = y { … } { … }` is two rules.
//!
//! Removes: regorus refuses further bodies of partial sets, and elsewhere takes them for an `else` without value, so that
//! `t = x { x := 1; x == 2 } { x := 3 }` is `true` instead of 3.

use super::super::ast::{Module, Rule};
use super::walk::unplace;

pub(super) fn run(module: &mut Module) {
    let rules = std::mem::take(&mut module.rules);
    for mut rule in rules {
        let more = std::mem::take(&mut rule.more);
        let again = (!more.is_empty()).then(|| rule.clone());
        module.rules.push(rule);
        for (span, body) in more {
            let Some(mut rule) = again.clone() else { continue };
            rule.span = span;
            rule.body = Some(body);
            unplace_head(&mut rule);
            module.rules.push(rule);
        }
    }
}

fn unplace_head(rule: &mut Rule) {
    let head = &mut rule.head;
    head.name.span.line = 0;
    let parts = head.path.iter_mut().chain(head.args.iter_mut().flatten());
    parts.chain(&mut head.key).for_each(unplace);
    head.value.iter_mut().for_each(|(_, value)| unplace(value));
}
