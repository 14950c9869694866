//! `conftest test`: each configuration judged by the rules of each namespace.

use serde_json::{Map, Value, json};

use super::load::{self, Loaded};
use super::results::{self, CheckResult, Outcome, QueryResult, Results};
use super::{Failed, Settings, files, pull};
use crate::builtins::HALT;
use crate::check::reference;
use crate::engine::{Engine, Evaluation, Session, on_deep_stack};
use crate::input;
use crate::sandbox::Sandbox;

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Files and folders; `-` is standard input.
    pub paths: &'a [String],
    /// The format of every file; empty tells it by their names.
    pub parser: &'a str,
    /// A pattern of paths in folders that are left out.
    pub ignore: &'a str,
    /// The bytes behind `-`.
    pub stdin: &'a [u8],
    /// What `-` is called in the results; empty is `-`.
    pub stdin_name: &'a str,
    /// All configurations as one.
    pub combine: bool,
    /// Where policies are fetched from before they are loaded.
    pub update: &'a [String],
    /// Folders of Protocol Buffer definitions.
    pub protos: &'a [String],
    /// Where formats that compute are read; none is this process.
    pub sandbox: Option<&'a Sandbox>,
}

/// Which namespaces judge.
#[derive(Debug, Clone, Copy)]
pub enum Selected<'a> {
    /// All that there are.
    All,
    /// These, in which `*`, `?` and `[…]` stand for what they do in names of files.
    Named(&'a [String]),
}

/// Judges.
///
/// # Errors
/// Whatever keeps a file from being judged by a rule; then there are no results at all.
pub fn test(inputs: &Inputs<'_>, selected: Selected<'_>, settings: &Settings) -> Result<Results, Failed> {
    on_deep_stack(|| run(inputs, selected, settings))?
}

fn run(inputs: &Inputs<'_>, selected: Selected<'_>, settings: &Settings) -> Result<Results, Failed> {
    let paths = files::list(inputs.paths, inputs.ignore).map_err(|why| why.around("parse files"))?;
    let mut configurations = files::configurations(&paths, inputs).map_err(|why| why.around("parse configurations"))?;
    if !inputs.stdin_name.is_empty() {
        let stdin = configurations.iter_mut().filter(|(path, _)| path == "-");
        stdin.for_each(|(path, _)| inputs.stdin_name.clone_into(path));
    }
    if let (false, Some(folder)) = (inputs.update.is_empty(), settings.policies.first()) {
        pull::fetch(folder, inputs.update, true).map_err(|why| why.around("update policies"))?;
    }
    let loaded = load::load(settings, false)?;
    let mut judge = Judge {
        wants_file: asks_for_file(&loaded.engine),
        prints: loaded
            .engine
            .modules()
            .iter()
            .any(|module| module.text().contains("print(")),
        settings,
        loaded,
    };
    let namespaces = match selected {
        Selected::All => judge.namespaces(),
        Selected::Named(names) if names.iter().any(|name| name.contains(['*', '?', '['])) => {
            matching(&judge.namespaces(), names)?
        }
        Selected::Named(names) => names.to_vec(),
    };
    let mut results = Results::new();
    if inputs.combine {
        let all = input::combined(configurations);
        for namespace in &namespaces {
            let result = judge.check("Combined", &all, namespace);
            results.push(result.map_err(|why| why.around("check combined: check"))?);
        }
        return Ok(results);
    }
    for namespace in &namespaces {
        for (path, value) in &configurations {
            let result = judge.file(path, value, namespace);
            results.push(result.map_err(|why| why.around("query rule: check"))?);
        }
    }
    Ok(results)
}

/// The namespaces that a pattern names, each once and in their own order.
pub(super) fn matching(namespaces: &[String], patterns: &[String]) -> Result<Vec<String>, Failed> {
    let mut compiled = Vec::new();
    for pattern in patterns {
        // Braces mean themselves.
        let plain = pattern.replace('{', "[{]").replace('}', "[}]");
        let glob = globset::GlobBuilder::new(&plain).literal_separator(true).build();
        let glob = glob.map_err(|_| {
            Failed(format!(
                "filter namespaces: match pattern {}: syntax error in pattern",
                super::render::quoted(pattern)
            ))
        })?;
        compiled.push(glob.compile_matcher());
    }
    let matches = |name: &&String| compiled.iter().any(|glob| glob.is_match(name.as_str()));
    Ok(namespaces.iter().filter(matches).cloned().collect())
}

/// Whether some policy looks at `data.conftest`, or at all of `data`.
fn asks_for_file(engine: &Engine) -> bool {
    engine.modules().iter().any(|module| {
        let text = module.text();
        let behind = |at: usize| text[at + "data".len()..].chars().next();
        text.contains("conftest")
            || text
                .match_indices("data")
                .any(|(at, _)| behind(at).is_none_or(|c| c != '.' && c != '_' && !c.is_alphanumeric()))
    })
}

struct Judge<'a> {
    loaded: Loaded,
    settings: &'a Settings,
    /// Some policy may look at `data.conftest.file`.
    wants_file: bool,
    /// Some policy prints: each query is evaluated from the beginning, since each prints for itself.
    prints: bool,
}

/// One rule of a namespace, and how many definitions it has.
struct Rule {
    name: String,
    package: String,
}

impl Judge<'_> {
    fn namespaces(&self) -> Vec<String> {
        namespaces(&self.loaded.engine)
    }

    /// One file; the documents of one that holds several are judged one by one and told together.
    fn file(&mut self, path: &str, value: &Value, namespace: &str) -> Result<CheckResult, Failed> {
        let Value::Array(documents) = value else {
            return self.check(path, value, namespace);
        };
        let mut sum = CheckResult {
            filename: path.to_owned(),
            namespace: namespace.to_owned(),
            ..CheckResult::default()
        };
        for document in documents {
            let mut one = self.check(path, document, namespace)?;
            sum.successes += one.successes;
            sum.failures.append(&mut one.failures);
            sum.warnings.append(&mut one.warnings);
            sum.exceptions.append(&mut one.exceptions);
            sum.queries.append(&mut one.queries);
        }
        Ok(sum)
    }

    fn check(&mut self, path: &str, value: &Value, namespace: &str) -> Result<CheckResult, Failed> {
        if self.wants_file {
            self.tell_file(path)?;
        }
        let (rules, definitions) = self.rules(namespace);
        let mut result = CheckResult {
            filename: path.to_owned(),
            namespace: namespace.to_owned(),
            ..CheckResult::default()
        };
        if rules.is_empty() {
            return Ok(result);
        }
        let mut session = self.loaded.engine.session(Some(value));
        if self.settings.trace {
            session.watch();
        }
        let mut successes = 0;
        for rule in &rules {
            let excepted = self.exceptions(&mut session, rule, namespace);
            let (asked, exceptions) = excepted.map_err(|why| why.around("query exception"))?;
            let query = format!("data.{namespace}.{}", rule.name);
            let answered = self.query(&mut session, &query, &reference(&rule.package, &rule.name));
            let (answered, outcomes) = answered.map_err(|why| why.around("query rule"))?;
            for outcome in outcomes.into_iter().filter(|_| exceptions.is_empty()) {
                if outcome.message.is_empty() {
                    successes += 1;
                } else if rule.name.starts_with("warn") {
                    result.warnings.push(outcome);
                } else {
                    result.failures.push(outcome);
                }
            }
            result.exceptions.extend(exceptions);
            result.queries.extend([asked, answered]);
        }
        let told = result.failures.len() + result.warnings.len() + result.exceptions.len() + successes;
        result.successes = successes + definitions.saturating_sub(told);
        Ok(result)
    }

    /// `data.conftest.file`: the name of the file and its folder.
    fn tell_file(&mut self, path: &str) -> Result<(), Failed> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
        let file = json!({
            "name": text(absolute.file_name()),
            "dir": absolute.parent().map(|parent| parent.display().to_string()),
        });
        let mut data = self.loaded.data.clone();
        if let Value::Object(data) = &mut data {
            let conftest = data.entry("conftest").or_insert_with(|| Value::Object(Map::new()));
            match conftest {
                Value::Object(conftest) => drop(conftest.insert("file".to_owned(), file)),
                other => *other = json!({ "file": file }),
            }
        }
        Ok(self.loaded.engine.set_data(data)?)
    }

    /// The rules of a namespace, each once, and how many definitions they have together.
    fn rules(&self, namespace: &str) -> (Vec<Rule>, usize) {
        let mut rules: Vec<Rule> = Vec::new();
        let mut definitions = 0;
        for module in self.loaded.engine.modules() {
            if name_of(&module.package) != namespace {
                continue;
            }
            for head in module.rules.iter().filter(|head| head.bare && is_rule(&head.name)) {
                definitions += 1;
                if !head.function && !rules.iter().any(|rule| rule.name == head.name) {
                    rules.push(Rule {
                        name: head.name.clone(),
                        package: module.package.clone(),
                    });
                }
            }
        }
        (rules, definitions)
    }

    /// Asks for exceptions of a rule; one outcome for each that names it.
    fn exceptions(
        &self,
        session: &mut Session,
        rule: &Rule,
        namespace: &str,
    ) -> Result<(QueryResult, Vec<Outcome>), Failed> {
        let name = super::render::quoted(without_prefix(&rule.name));
        let query = format!("data.{namespace}.exception[_][_] == {name}");
        let asked = |outcomes: &[Outcome], evaluation: Evaluation, traces| QueryResult {
            query: query.clone(),
            results: vec![Outcome::default(); outcomes.len()],
            traces,
            outputs: printed(&evaluation.prints),
        };
        if !self.has_exceptions(&rule.package) {
            return Ok((
                QueryResult {
                    query,
                    ..QueryResult::default()
                },
                Vec::new(),
            ));
        }
        let (evaluation, traces) = self.evaluate(session, &reference(&rule.package, "exception"), &query)?;
        let named = without_prefix(&rule.name);
        let each = |group: &Value| match group {
            Value::Array(names) => names.iter().filter(|name| name.as_str() == Some(named)).count(),
            Value::Object(names) => names.values().filter(|name| name.as_str() == Some(named)).count(),
            _ => 0,
        };
        let count = match &evaluation.value {
            Some(Value::Array(groups)) => groups.iter().map(each).sum(),
            Some(Value::Object(groups)) => groups.values().map(each).sum(),
            _ => 0,
        };
        let outcome = Outcome {
            message: query.clone(),
            ..Outcome::default()
        };
        let outcomes = vec![outcome; count];
        Ok((asked(&outcomes, evaluation, traces), outcomes))
    }

    fn has_exceptions(&self, package: &str) -> bool {
        let mut modules = self.loaded.engine.modules().iter();
        let beneath = package
            .split('.')
            .try_fold(&self.loaded.data, |data, part| data.get(part));
        modules.any(|module| {
            module.package == package
                && module
                    .rules
                    .iter()
                    .any(|head| head.name.split('.').next() == Some("exception"))
        }) || beneath.is_some_and(|data| data.get("exception").is_some())
    }

    fn query(
        &self,
        session: &mut Session,
        query: &str,
        reference: &str,
    ) -> Result<(QueryResult, Vec<Outcome>), Failed> {
        let (evaluation, traces) = self.evaluate(session, reference, query)?;
        let mut outcomes = Vec::new();
        match evaluation.value {
            None => {}
            Some(Value::Array(values)) if !values.is_empty() => {
                for value in values {
                    let mut outcome = match value {
                        Value::String(message) => Outcome {
                            message,
                            ..Outcome::default()
                        },
                        Value::Object(fields) => {
                            results::outcome(fields).map_err(|why| Failed(format!("new result: {why}")))?
                        }
                        _ => continue,
                    };
                    outcome.metadata.insert("query".to_owned(), Value::from(query));
                    outcomes.push(outcome);
                }
            }
            Some(_) => outcomes.push(Outcome::default()),
        }
        let answered = QueryResult {
            query: query.to_owned(),
            results: outcomes.clone(),
            traces,
            outputs: printed(&evaluation.prints),
        };
        Ok((answered, outcomes))
    }

    fn evaluate(
        &self,
        session: &mut Session,
        reference: &str,
        query: &str,
    ) -> Result<(Evaluation, Vec<String>), Failed> {
        if self.prints || self.settings.trace {
            session.renew();
        }
        let shown = self.settings.show_builtin_errors;
        let evaluation = session
            .evaluate(reference)
            .map_err(|why| match shown && why.contains(HALT) {
                true => Failed(format!("built-in error: [{why}]")),
                false => Failed(format!("evaluating policy: {why}")),
            })?;
        if let (true, Some(why)) = (shown, &evaluation.suppressed) {
            return Err(Failed(format!("built-in error: [{why}]")));
        }
        let traces = match self.settings.trace {
            true => traces(&self.loaded.engine, session, query, &evaluation),
            false => Vec::new(),
        };
        Ok((evaluation, traces))
    }
}

/// What an evaluation reached: the query, each line with its place, what was noted, and how it ended.
pub(super) fn traces(engine: &Engine, session: &mut Session, query: &str, evaluation: &Evaluation) -> Vec<String> {
    let mut told = vec![format!("Enter {query} = _")];
    for (path, lines) in session.reached() {
        for line in lines {
            if let Some(text) = engine.line(&path, line) {
                told.push(format!("| Eval {text} ({path}:{line})"));
            }
        }
    }
    told.extend(
        evaluation
            .told
            .iter()
            .map(|note| format!("| Note {}", super::render::quoted(note))),
    );
    told.push(match evaluation.value {
        Some(_) => format!("Exit {query} = _"),
        None => format!("Fail {query} = _"),
    });
    told
}

fn printed(prints: &[String]) -> Vec<String> {
    prints.iter().map(|line| format!("{line}\n")).collect()
}

/// The packages of all modules, each once.
pub(super) fn namespaces(engine: &Engine) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for module in engine.modules() {
        let name = name_of(&module.package);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A package as Conftest calls it: `a.b`, `a["b-c"]`.
fn name_of(package: &str) -> String {
    let whole = reference(package, "x");
    whole["data.".len()..whole.len() - ".x".len()].to_owned()
}

/// Whether a rule of this name is evaluated.
pub(super) fn is_rule(name: &str) -> bool {
    ["deny", "violation", "warn"].iter().any(|stem| {
        name.strip_prefix(stem).is_some_and(|suffix| {
            let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
            suffix.is_empty() || suffix.strip_prefix('_').is_some_and(|words| words.split('_').all(word))
        })
    })
}

/// By what an exception calls a rule.
fn without_prefix(rule: &str) -> &str {
    if ["violation", "deny", "warn"].contains(&rule) {
        return "";
    }
    ["violation_", "deny_", "warn_"]
        .iter()
        .fold(rule, |name, prefix| name.strip_prefix(prefix).unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_exceptions_are_named_by_conftest() {
        for (name, rule) in [
            ("deny", true),
            ("violation_a_B9", true),
            ("warn_", false),
            ("deny_a__b", false),
            ("denial", false),
            ("warning", false),
        ] {
            assert_eq!(is_rule(name), rule, "{name}");
        }
        assert_eq!(without_prefix("warn"), "");
        assert_eq!(without_prefix("deny_run_as_root"), "run_as_root");
        assert_eq!(without_prefix("violation_deny_x"), "x");
        assert_eq!(name_of("main.gke"), "main.gke");
        assert_eq!(name_of("a.b-c"), "a[\"b-c\"]");
    }

    #[test]
    fn a_pattern_of_namespaces_crosses_dots() {
        let all = ["k8s.simple", "k8s.simple.deployment", "main"].map(str::to_owned);
        let found = |pattern: &str| matching(&all, &[pattern.to_owned()]).unwrap();
        assert_eq!(found("k8s.*"), all[..2]);
        assert_eq!(found("*"), all);
        assert_eq!(found("m?in"), all[2..]);
        assert!(matching(&all, &["[".to_owned()]).is_err());
    }
}
