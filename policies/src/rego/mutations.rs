//! What changes nothing in Rego changes no answer here: rules and statements in another order, other names of variables, an
//! expression in a local of its own, a package in two files, a question asked from another package.
//!
//! There is no second evaluator to ask beside this one, so that it is asked itself, about the same policy in another form. `MUSTER_TEST_SEED`
//! runs one seed alone.

#[cfg(test)]
mod library;

use std::collections::BTreeSet;

use super::ast::{Body, Dialect, Expr, Kind, Module, Operator, Span, Statement, What};
use super::parser::parse;
use super::passes::pattern;
use super::print::print;
use super::symbols::Symbols;
use super::walk::{Look, Rewrite, look_expr, look_statement, rewrite_body, rewrite_expr, rewrite_rule};
use crate::selftest::{self, Answer, Case, Question};
use crate::sources::RegoVersion;

/// Numbers that only the seed decides.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn sometimes(&mut self) -> bool {
        self.below(3) == 0
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Names that stand in a statement, wherever, and those that it declares.
fn names(statement: &Statement) -> (BTreeSet<String>, BTreeSet<String>) {
    #[derive(Default)]
    struct Names(BTreeSet<String>);
    impl<'a> Look<'a> for Names {
        fn expr(&mut self, expr: &'a Expr) {
            if let Kind::Var(name) = &expr.kind {
                self.0.insert(name.clone());
            }
            look_expr(self, expr);
        }

        fn statement(&mut self, statement: &'a Statement) {
            if let What::Some(names) = &statement.what {
                self.0.extend(names.iter().map(|name| name.text.clone()));
            }
            if let What::Every { key, value, .. } = &statement.what {
                self.0.extend(key.iter().chain([value]).map(|name| name.text.clone()));
            }
            look_statement(self, statement);
        }
    }
    let mut all = Names::default();
    all.statement(statement);
    let mut patterns = Vec::new();
    let mut declared = BTreeSet::new();
    match &statement.what {
        What::Some(names) => declared.extend(names.iter().map(|name| name.text.clone())),
        What::SomeIn { key, value, .. } => {
            key.iter().for_each(|key| pattern(key, &mut patterns));
            pattern(value, &mut patterns);
        }
        What::Assign(lhs, _) => pattern(lhs, &mut patterns),
        _ => {}
    }
    declared.extend(patterns.into_iter().map(|(name, _)| name.to_owned()));
    (all.0, declared)
}

/// Swaps neighbours where neither declares what the other uses, splits assignments, and puts terms into locals.
struct Bodies<'a> {
    dice: &'a mut Dice,
    fresh: usize,
}

impl Bodies<'_> {
    fn local(&mut self, expr: &mut Expr) -> Statement {
        self.fresh += 1;
        let name = Expr::var(&format!("local_{}", self.fresh));
        let taken = std::mem::replace(expr, name.clone());
        Statement::made(What::Assign(name, taken))
    }
}

impl Rewrite for Bodies<'_> {
    fn body(&mut self, body: &mut Body) {
        rewrite_body(self, body);
        let mut split = Vec::new();
        for mut statement in std::mem::take(body) {
            let plain = !statement.negated && statement.with.is_empty();
            match &mut statement.what {
                // What is assigned is declared, and then equal.
                What::Assign(lhs, rhs)
                    if lhs.as_var().is_some_and(|name| !matches!(name, "_" | "input" | "data"))
                        && self.dice.sometimes() =>
                {
                    let name = super::ast::Name {
                        text: lhs.as_var().unwrap().to_owned(),
                        span: Span::default(),
                    };
                    split.push(Statement::made(What::Some(vec![name])));
                    statement.what = What::Unify(lhs.clone(), rhs.clone());
                }
                What::Assign(_, rhs) if self.dice.sometimes() => {
                    let inner = std::mem::replace(rhs, Expr::made(Kind::Null));
                    let one = Expr::made(Kind::Array(vec![inner]));
                    *rhs = Expr::made(Kind::Ref(Box::new(one), vec![Expr::made(Kind::Number("0".to_owned()))]));
                }
                What::Expr(Expr {
                    kind: Kind::Infix(_, lhs, _),
                    ..
                }) if plain && self.dice.sometimes() => split.push(self.local(lhs)),
                _ => {}
            }
            split.push(statement);
            if self.dice.below(6) == 0 {
                split.push(Statement::made(What::Expr(Expr::made(Kind::Bool(true)))));
            }
        }
        for _ in 0..split.len() {
            for place in 1..split.len() {
                let (one, its) = names(&split[place - 1]);
                let (other, others) = names(&split[place]);
                if its.is_disjoint(&other) && others.is_disjoint(&one) && self.dice.sometimes() {
                    split.swap(place - 1, place);
                }
            }
        }
        *body = split;
    }
}

/// Makes something else of a policy: comparisons turn round, conditions go, constants change.
struct Wrong<'a>(&'a mut Dice);

impl Rewrite for Wrong<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        rewrite_expr(self, expr);
        match &mut expr.kind {
            Kind::Infix(operator, ..) if self.0.sometimes() => {
                *operator = match *operator {
                    Operator::Equal => Operator::NotEqual,
                    Operator::NotEqual => Operator::Equal,
                    Operator::Less => Operator::GreaterOrEqual,
                    Operator::Greater => Operator::LessOrEqual,
                    Operator::LessOrEqual => Operator::Less,
                    Operator::GreaterOrEqual => Operator::Greater,
                    other => other,
                }
            }
            Kind::Bool(value) if self.0.below(9) == 0 => *value = !*value,
            Kind::Number(text) if self.0.below(9) == 0 => *text = self.0.below(4).to_string(),
            _ => {}
        }
    }

    fn body(&mut self, body: &mut Body) {
        rewrite_body(self, body);
        let goes = |statement: &Statement, dice: &mut Dice| {
            matches!(statement.what, What::Expr(_)) && dice.below(6) == 0 && names(statement).1.is_empty()
        };
        if body.len() > 1 {
            body.retain(|statement| !goes(statement, self.0));
        }
        for statement in &mut *body {
            // What was undefined is to hold, and the other way round.
            if let What::Expr(Expr {
                kind: Kind::Ref(..), ..
            }) = &statement.what
                && self.0.below(6) == 0
            {
                statement.negated = !statement.negated;
            }
        }
        if body.is_empty() {
            body.push(Statement::made(What::Expr(Expr::made(Kind::Bool(true)))));
        }
    }
}

/// Gives every name that is nobody else's another one.
struct Renamed<'a>(&'a BTreeSet<String>);

impl Renamed<'_> {
    fn name(&self, name: &mut String) {
        let kept = matches!(name.as_str(), "_" | "input" | "data" | "walk" | "print");
        if !kept && !self.0.contains(name) && !super::symbols::is_built_in(name) {
            name.insert_str(0, "zz_");
        }
    }
}

impl Rewrite for Renamed<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        // The first part of a built-in's name is no variable.
        if matches!(expr.kind, Kind::Ref(..)) && expr.dotted().is_some_and(|path| super::symbols::is_built_in(&path)) {
            return;
        }
        match &mut expr.kind {
            Kind::Var(name) => self.name(name),
            Kind::Call(_, args) => args.iter_mut().for_each(|arg| self.expr(arg)),
            _ => rewrite_expr(self, expr),
        }
    }

    fn statement(&mut self, statement: &mut Statement) {
        match &mut statement.what {
            What::Some(names) => names.iter_mut().for_each(|name| self.name(&mut name.text)),
            What::Every { key, value, .. } => key.iter_mut().chain([value]).for_each(|name| self.name(&mut name.text)),
            _ => {}
        }
        super::walk::rewrite_statement(self, statement);
    }
}

fn unplace(module: &mut Module) {
    module.package_span = Span::default();
    for import in &mut module.imports {
        import.span = Span::default();
    }
    for rule in &mut module.rules {
        rule.span = Span::default();
        rule.head.span = Span::default();
        rule.head.name.span = Span::default();
        rule.otherwise.iter_mut().for_each(|one| one.span = Span::default());
        rule.more.iter_mut().for_each(|(span, _)| *span = Span::default());
        rewrite_rule(&mut super::twins::Unplace, rule);
    }
}

fn text(module: &Module) -> String {
    let mut head = module.clone();
    head.rules.clear();
    // Imports first, and each rule on a line of its own.
    let mut all = print(&head).unwrap();
    for rule in &module.rules {
        let alone = Module {
            imports: Vec::new(),
            rules: vec![rule.clone()],
            ..module.clone()
        };
        let printed = print(&alone).unwrap();
        let front = print(&Module {
            rules: Vec::new(),
            ..alone
        });
        all.push_str(printed.trim_start_matches(front.unwrap().trim_end()).trim());
        all.push('\n');
    }
    all
}

/// The same modules in another form; those beside them stay as they are.
fn mutated(modules: &[(String, Module)], beside: &[Module], dice: &mut Dice) -> Vec<(String, String)> {
    let symbols = Symbols::of(modules.iter().map(|(_, module)| module).chain(beside));
    let mut out = Vec::new();
    for (path, module) in modules {
        let mut module = module.clone();
        unplace(&mut module);
        let globals = symbols.globals(&module);
        let rename = dice.sometimes();
        for rule in &mut module.rules {
            rewrite_rule(&mut Bodies { dice, fresh: 0 }, rule);
            if rename {
                rewrite_rule(&mut Renamed(&globals), rule);
            }
        }
        dice.shuffle(&mut module.rules);
        let mut apart = module.clone();
        let several = module.rules.len() > 1 && dice.sometimes();
        if several {
            let half = dice.below(module.rules.len());
            apart.rules = module.rules.split_off(half);
            out.push((format!("apart_{path}"), text(&apart)));
        }
        out.push((path.clone(), text(&module)));
    }
    out
}

fn parsed(question: &Question) -> Option<Vec<(String, Module)>> {
    let dialect = match question.version {
        RegoVersion::V1 => Dialect::V1,
        _ => Dialect::V0,
    };
    let modules = question.modules.iter().map(|(path, text)| {
        let module = parse(text, dialect).ok()?.module;
        Some((path.clone(), module))
    });
    modules.collect()
}

/// Asks for the same from another package, under a `with` that changes nothing.
fn from_elsewhere(question: &mut Question, dice: &mut Dice) {
    let nothing = ["", " with data.nothing.at_all as 1", " with data.nothing as {}"][dice.below(3)];
    let text = format!(
        "package muster_elsewhere\nanswer = x {{ x = {}{nothing} }}\n",
        question.query
    );
    let text = match question.version {
        RegoVersion::V1 => text.replace("x {", "x if {"),
        _ => text,
    };
    question.modules.push(("elsewhere.rego".to_owned(), text));
    question.query = "data.muster_elsewhere.answer".to_owned();
}

/// What is wrong with a case under one seed, if anything is.
fn problem(case: &Case, modules: &[(String, Module)], seed: u64) -> Option<String> {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut question = case.question.clone();
    question.modules = mutated(modules, &[], &mut dice);
    if dice.sometimes() && question.query.starts_with("data.") {
        from_elsewhere(&mut question, &mut dice);
    }
    let answer = selftest::answer(&question, false);
    let texts: Vec<&str> = question.modules.iter().map(|(_, text)| text.as_str()).collect();
    let same = selftest::agree(&case.opa, &answer);
    (!same).then(|| {
        format!(
            "{} (seed {seed}): OPA {:?}, muster {answer:?}\n{}",
            case.id,
            case.opa,
            texts.join("---\n")
        )
    })
}

#[test]
fn a_policy_in_another_form_gives_the_same_answers() {
    let (cases, seeds) = (answered(), seeds(6));
    assert!(cases.len() > 400, "{}", cases.len());
    let each = cases
        .iter()
        .flat_map(|(case, modules)| seeds.iter().map(move |seed| problem(case, modules, *seed)));
    let wrong: Vec<String> = each.flatten().collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A policy that is wrong, and the same in another form: what they answer differently, if they do.
fn differ(case: &Case, modules: &[(String, Module)], seed: u64) -> Option<String> {
    let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
    let mut modules = modules.to_vec();
    for (_, module) in &mut modules {
        unplace(module);
        let rules = &mut module.rules;
        rules
            .iter_mut()
            .for_each(|rule| rewrite_rule(&mut Wrong(&mut dice), rule));
    }
    let plain = Question {
        modules: modules
            .iter()
            .map(|(path, module)| (path.clone(), text(module)))
            .collect(),
        ..case.question.clone()
    };
    let answer = selftest::answer(&plain, false);
    if matches!(answer, Answer::Error(_)) {
        return None;
    }
    let other = Question {
        modules: mutated(&modules, &[], &mut dice),
        ..case.question.clone()
    };
    let again = selftest::answer(&other, false);
    let texts =
        |question: &Question| -> Vec<String> { question.modules.iter().map(|(_, text)| text.clone()).collect() };
    (!selftest::agree(&answer, &again)).then(|| {
        format!(
            "{} (seed {seed}): {answer:?}\n{}is, in another form, {again:?}\n{}",
            case.id,
            texts(&plain).join("---\n"),
            texts(&other).join("---\n")
        )
    })
}

/// The cases that OPA answers, with their modules.
fn answered() -> Vec<(Case, Vec<(String, Module)>)> {
    let listed: BTreeSet<&str> = selftest::known().map(|(id, _)| id).collect();
    let cases = selftest::cases().unwrap().into_iter().filter(|case| {
        let metadata = |(_, text): &(String, String)| text.contains("METADATA") || text.contains("rego.metadata");
        let error = matches!(case.opa, Answer::Error(_));
        !error && !listed.contains(case.id.as_str()) && !case.question.modules.iter().any(metadata)
    });
    cases
        .filter_map(|case| parsed(&case.question).map(|modules| (case, modules)))
        .collect()
}

fn seeds(count: u64) -> Vec<u64> {
    let one = std::env::var("MUSTER_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    one.map_or_else(|| (1..=count).collect(), |seed| vec![seed])
}

#[test]
fn a_wrong_policy_gives_the_same_wrong_answers_in_another_form() {
    let (cases, seeds) = (answered(), seeds(6));
    let each = cases
        .iter()
        .flat_map(|(case, modules)| seeds.iter().map(move |seed| differ(case, modules, *seed)));
    let wrong: Vec<String> = each.flatten().collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_form_of_a_module_is_another_one() {
    let module = parse(
        "package p\nimport rego.v1\nr := x if { x := 1; y := 2; x < y; not z }\nf(z) := z\ns contains a if some a in [1]\n",
        Dialect::V1,
    );
    let module = vec![("p.rego".to_owned(), module.unwrap().module)];
    let forms: BTreeSet<String> = (1..20)
        .map(|seed| {
            let texts = mutated(&module, &[], &mut Dice(seed));
            texts.into_iter().map(|(_, text)| text).collect()
        })
        .collect();
    assert!(forms.len() > 10, "{forms:?}");
}
