//! The Rego front end: what OPA's compiler does before evaluation, done here in front of an evaluator that does not.
//!
//! A file is parsed in its own version of the language, checked as OPA checks it, rewritten by passes to what regorus
//! evaluates faithfully, and printed with every node on its own line. regorus never sees the text of a policy.

mod allowed;
mod annotations;
mod ast;
mod checks;
mod fault;
pub(crate) mod fuzzing;
mod json;
mod known;
mod lexer;
pub(crate) mod operators;
mod parser;
mod passes;
mod placed;
mod print;
mod probes;
mod reads;
mod steps;
mod symbols;
mod twins;
mod version;
mod walk;

use std::collections::BTreeSet;

pub(crate) use allowed::beyond;
pub(crate) use annotations::{Annotations, Block, Scope};
pub(crate) use ast::{Dialect, Module, Rule, Span};
pub(crate) use fault::{Class, Fault};
pub(crate) use json::tree;
pub(crate) use lexer::is_scaled_zero;
pub(crate) use passes::Pass;
pub(crate) use passes::original;
pub(crate) use placed::{PARTING, place};
pub(crate) use probes::{Probe, lines};
pub(crate) use reads::{Part, Reach, Read, Step, reads};
pub(crate) use steps::{Front, Steps};
pub(crate) use twins::Test;

use ast::{Body, Expr, Statement};
use symbols::Symbols;
use walk::{Look, look_statement};

/// A parsed file.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) module: Module,
    pub(crate) annotations: Annotations,
}

impl Source {
    /// Parses a file as one version of the language.
    pub(crate) fn parse(text: &str, dialect: Dialect) -> Result<Self, Fault> {
        let parsed = parser::parse(text, dialect)?;
        let annotations = annotations::read(&parsed.comments, &parsed.module)?;
        Ok(Self {
            module: parsed.module,
            annotations,
        })
    }

    /// Parses a file as what it says it is, or else as version 1 if it is that, or else as version 0.
    pub(crate) fn detect(text: &str) -> Result<Self, Fault> {
        version::detect(text)
    }
}

/// What is asked of the front end beyond what OPA always does.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// OPA's strict mode: what is assigned or imported must be used.
    pub(crate) strict: bool,
    /// Tests that share a name are judged apart.
    pub(crate) tests: bool,
    /// It can be asked how far each body holds.
    pub(crate) steps: bool,
    /// It is told which bodies hold.
    pub(crate) probes: bool,
    /// The resolved modules are kept, so that it can be told what a rule looks at.
    pub(crate) keep: bool,
}

/// What regorus is to evaluate in the place of the sources: texts, each with the place of its source, and one more for
/// functions of our own.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) texts: Vec<(usize, Dialect, String)>,
    pub(crate) wrappers: Option<String>,
    /// For each source, how its rules are evaluated as tests, if that was asked.
    pub(crate) tests: Vec<Vec<Test>>,
    /// How to ask how far bodies hold, if that was asked.
    pub(crate) steps: Vec<Steps>,
    /// The bodies that are marked, if that was asked.
    pub(crate) probes: Vec<Probe>,
    /// The modules for [`reads`], if that was asked.
    pub(crate) resolved: Vec<Module>,
}

/// Checks all sources against each other and rewrites them. `passes` is every pass, but for a test that leaves one out.
///
/// # Errors
/// At least one, each with the place of the source that it is in: all that one step of the compiler finds.
pub(crate) fn compile(
    sources: &[&Source],
    options: Options,
    passes: &dyn Fn(Pass) -> bool,
) -> Result<Compiled, Vec<(usize, Fault)>> {
    let symbols = Symbols::of(sources.iter().map(|source| &source.module));
    let replaced = replaced(sources);
    let mut work: Vec<Source> = sources.iter().map(|source| (*source).clone()).collect();
    share_annotations(&mut work);
    let mut contexts: Vec<passes::Context<'_>> = Vec::new();
    let annotations: Vec<Annotations> = work.iter().map(|source| source.annotations.clone()).collect();
    let mut faults = Vec::new();
    for (place, source) in work.iter_mut().enumerate() {
        let written = checks::written(&source.module, options.strict);
        let refused = written.is_err();
        faults.extend(written.err().map(|fault| (place, fault)));
        let mut context = passes::Context {
            symbols: &symbols,
            place,
            fresh: passes::Fresh::default(),
            strict: options.strict,
            annotations: &annotations[place],
            replaced: &replaced,
            tangled: BTreeSet::new(),
            apart: Vec::new(),
        };
        for pass in passes::RESOLUTION.into_iter().filter(|pass| !refused && passes(*pass)) {
            if let Err(found) = pass.run(&mut source.module, &mut context) {
                faults.extend(found.into_iter().map(|fault| (place, fault)));
                break;
            }
        }
        contexts.push(context);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    checks::resolved(&work, &symbols)?;
    let resolved = match options.keep {
        true => work.iter().map(|source| source.module.clone()).collect(),
        false => Vec::new(),
    };
    let tests = match options.tests {
        true => twins::part(&mut work),
        false => Vec::new(),
    };
    let mut steps = Vec::new();
    if options.steps {
        let sources = work.iter_mut().enumerate();
        sources.for_each(|(place, source)| steps::add(place, &mut source.module, &mut steps));
    }
    let tangled = passes::tangled(work.iter().map(|source| &source.module), &symbols);
    contexts
        .iter_mut()
        .for_each(|context| context.tangled.clone_from(&tangled));
    let mut texts = Vec::with_capacity(work.len());
    let mut marked = Vec::new();
    for (place, source) in work.iter_mut().enumerate() {
        for pass in passes::REWRITING.into_iter().filter(|pass| passes(*pass)) {
            pass.run(&mut source.module, &mut contexts[place])
                .map_err(|faults| at(place, faults))?;
        }
        let mut apart = std::mem::take(&mut contexts[place].apart);
        for module in &mut apart {
            Pass::Modern
                .run(module, &mut contexts[place])
                .map_err(|faults| at(place, faults))?;
        }
        if options.probes {
            let modules = std::iter::once(&mut source.module).chain(&mut apart);
            modules.for_each(|module| probes::mark(place, module, &mut marked));
        }
        for module in std::iter::once(&source.module).chain(&apart) {
            let text = printed(module).map_err(|fault| vec![(place, fault)])?;
            texts.push((place, module.dialect, text));
        }
    }
    Ok(Compiled {
        texts,
        wrappers: wrappers(&replaced),
        tests,
        steps,
        probes: marked,
        resolved,
    })
}

fn at(place: usize, faults: Vec<Fault>) -> Vec<(usize, Fault)> {
    faults.into_iter().map(|fault| (place, fault)).collect()
}

fn printed(module: &Module) -> Result<String, Fault> {
    print::print(module).map_err(|print::Moved(line)| {
        let span = Span {
            line,
            ..Span::default()
        };
        let what = "the rewriting would move this line: a fault of muster, please report it";
        Fault::new(Class::Compile, span, what)
    })
}

/// Every pass.
#[cfg(test)]
pub(crate) fn all_passes() -> impl Iterator<Item = Pass> {
    passes::RESOLUTION.into_iter().chain(passes::REWRITING)
}

/// What modules say of their subpackages, and of a package that others share, reaches those.
fn share_annotations(sources: &mut [Source]) {
    let mut above = Vec::new();
    let mut shared = Vec::new();
    for source in &*sources {
        for block in &source.annotations.blocks {
            let package = source.module.package.clone();
            match (block.scope, &block.rule) {
                (Scope::Subpackages, _) => above.push((package, block.value.clone())),
                (Scope::Package, _) => shared.push((package, None, block.value.clone())),
                (Scope::Document, Some((_, name))) => shared.push((package, Some(name.clone()), block.value.clone())),
                _ => {}
            }
        }
    }
    for source in sources {
        source.annotations.above.clone_from(&above);
        for (_, name, value) in shared.iter().filter(|(package, ..)| *package == source.module.package) {
            match name {
                Some(name) => source.annotations.documents.push((name.clone(), value.clone())),
                None => source.annotations.package.push(value.clone()),
            }
        }
    }
}

/// Built-in functions that stand on either side of a `with`.
fn replaced(sources: &[&Source]) -> BTreeSet<String> {
    #[derive(Default)]
    struct Replaced(BTreeSet<String>);
    impl<'a> Look<'a> for Replaced {
        fn statement(&mut self, statement: &'a Statement) {
            for with in &statement.with {
                let sides = [&with.target, &with.value].into_iter();
                let named = sides.filter_map(Expr::dotted).filter(|name| symbols::is_built_in(name));
                self.0.extend(named);
            }
            look_statement(self, statement);
        }

        fn body(&mut self, body: &'a Body) {
            walk::look_body(self, body);
        }
    }
    let mut replaced = Replaced::default();
    for rule in sources.iter().flat_map(|source| &source.module.rules) {
        walk::look_rule(&mut replaced, rule);
    }
    replaced.0
}

/// The module of the functions that stand for built-in ones.
fn wrappers(replaced: &BTreeSet<String>) -> Option<String> {
    if replaced.is_empty() {
        return None;
    }
    let mut text = format!("package {}\n", passes::WRAPPERS);
    for name in replaced {
        let args: Vec<String> = (0..known::arity(name).unwrap_or(0)).map(|n| format!("a{n}")).collect();
        let args = args.join(", ");
        let own = passes::wrapper(name);
        match args.is_empty() {
            true => text.push_str(&format!("{own} := {name}()\n")),
            false => text.push_str(&format!("{own}({args}) := {name}({args})\n")),
        }
    }
    Some(text)
}

#[cfg(test)]
mod mutations;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;
