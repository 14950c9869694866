//! Each command from its settings to its output.

use std::io::Read;
use std::path::PathBuf;

use muster_policies::conftest::{self, Failed, Inputs, Output, Selected, Style, exit_code};
use muster_policies::sandbox::Sandbox;

use super::Ended;
use super::flags::{self, Typed};
use super::help::{self, Command};
use super::settings::Settings;
use crate::edge;

/// The largest input on standard input, in bytes.
const MAX_STDIN: u64 = 256 << 20;

/// From the arguments to the end.
pub(super) fn run(arguments: &[String]) -> Ended {
    let environment: Vec<(String, String)> = std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .collect();
    dispatch(arguments, &environment).unwrap_or_else(|why| Ended::failed(&why))
}

fn dispatch(arguments: &[String], environment: &[(String, String)]) -> Result<Ended, String> {
    let (front, name, rest) = split(arguments);
    let typed = flags::read(&help::root_flags(), front)?;
    match name {
        _ if typed.help => return Ok(Ended::said(help::help())),
        _ if typed.flags.contains_key("version") => return Ok(Ended::said(version())),
        None => return Ok(Ended::said(help::help())),
        Some("help") => {
            let command = rest.first().and_then(|name| Command::named(name));
            return Ok(Ended::said(command.map_or_else(help::help, Command::help)));
        }
        Some(_) => {}
    }
    let name = name.unwrap_or_default();
    let Some(command) = Command::named(name) else {
        return Err(format!(
            "unknown command \"{name}\" for \"conftest\"\nRun 'conftest --help' for usage."
        ));
    };
    if command.is_refused() {
        return Err(format!("conftest {name}: {}", command.refusal()));
    }
    // A flag that every command takes may stand in front of the command.
    let arguments: Vec<String> = front.iter().chain(rest).cloned().collect();
    let own = command.flags();
    let typed = flags::read(&own, &arguments)?;
    if typed.help {
        return Ok(Ended::said(command.help()));
    }
    let settings = Settings::read(&own, &typed, environment)?;
    match name {
        "test" => test(command, &settings, &typed, environment),
        "verify" => verify(&settings, environment),
        "parse" => parse(&settings, &typed),
        "reformat" => reformat(&settings, &typed),
        _ => pull(command, &settings, &typed),
    }
}

/// What stands before the command, the command, and what stands behind it.
fn split(arguments: &[String]) -> (&[String], Option<&str>, &[String]) {
    let mut at = 0;
    while let Some(argument) = arguments.get(at) {
        match argument.as_str() {
            "-c" | "--config-file" => at += 2,
            flag if flag.starts_with('-') => at += 1,
            name => return (&arguments[..at], Some(name), &arguments[at + 1..]),
        }
    }
    (arguments, None, &[])
}

fn version() -> String {
    format!(
        "Conftest: muster {}\nOPA: {}\n",
        env!("CARGO_PKG_VERSION"),
        conftest::OPA_VERSION
    )
}

fn told(what: &str) -> impl Fn(Failed) -> String {
    move |error| format!("{what}: {error}")
}

fn stdin(paths: &[String]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    if paths.iter().any(|path| path == "-") {
        let read = std::io::stdin().lock().take(MAX_STDIN + 1).read_to_end(&mut bytes);
        read.map_err(|error| format!("read standard in: {error}"))?;
        if bytes.len() as u64 > MAX_STDIN {
            return Err("read standard in: it is longer than 256 MiB".to_owned());
        }
    }
    Ok(bytes)
}

fn policies(settings: &Settings<'_>, environment: &[(String, String)]) -> conftest::Settings {
    let capabilities = settings.text("capabilities");
    conftest::Settings {
        policies: settings.list("policy"),
        data: settings.list("data"),
        rego_version: settings.text("rego-version"),
        strict: settings.is_on("strict"),
        capabilities: Some(PathBuf::from(capabilities)).filter(|path| !path.as_os_str().is_empty()),
        trace: settings.is_on("trace"),
        show_builtin_errors: settings.is_on("show-builtin-errors"),
        environment: environment.to_vec(),
        now: edge::now(),
        sandbox: Some(Sandbox::new()),
    }
}

/// The form of this name; any other is that of `stdout`, in colour.
fn rendered(results: &[conftest::CheckResult], name: &str, style: Style) -> String {
    match Output::named(name) {
        Some(output) => conftest::render(results, output, style),
        None => conftest::render(results, Output::Stdout, Style::default()),
    }
}

fn test(
    command: &Command,
    settings: &Settings<'_>,
    typed: &Typed,
    environment: &[(String, String)],
) -> Result<Ended, String> {
    let paths = &typed.arguments;
    if paths.is_empty() {
        let mut ended = Ended::failed("missing required arguments");
        ended.stderr.insert_str(0, &command.usage());
        return Ok(ended);
    }
    let stdin = stdin(paths)?;
    let (parser, ignore) = (settings.text("parser"), settings.text("ignore"));
    let (name, update) = (settings.text("stdin-filename"), settings.list("update"));
    let protos = settings.list("proto-file-dirs");
    let sandbox = Sandbox::new();
    let inputs = Inputs {
        paths,
        parser: &parser,
        ignore: &ignore,
        stdin: &stdin,
        stdin_name: &name,
        combine: settings.is_on("combine"),
        update: &update,
        protos: &protos,
        sandbox: Some(&sandbox),
    };
    let namespaces = settings.list("namespace");
    let selected = match settings.is_on("all-namespaces") {
        true => Selected::All,
        false => Selected::Named(&namespaces),
    };
    let policies = policies(settings, environment);
    let results = conftest::test(&inputs, selected, &policies).map_err(told("running test"))?;
    let code = exit_code(&results, settings.is_on("fail-on-warn"));
    let mut ended = Ended {
        code,
        ..Ended::said(String::new())
    };
    if settings.is_on("quiet") && code == 0 {
        return Ok(ended);
    }
    let style = Style {
        plain: settings.is_on("no-color"),
        suppress_exceptions: settings.is_on("suppress-exceptions"),
        hide_message: settings.is_on("junit-hide-message"),
        hide_passed: settings.is_on("github-hide-passed"),
        ..Style::default()
    };
    if policies.trace {
        ended.stderr = conftest::trace(&results, style.plain);
    }
    ended.stdout = rendered(&results, &settings.text("output"), style);
    if settings.is_on("no-fail") {
        ended.code = 0;
    }
    Ok(ended)
}

fn verify(settings: &Settings<'_>, environment: &[(String, String)]) -> Result<Ended, String> {
    let traced = settings.is_on("trace");
    let known = |kind: &String| ["full", "notes", "fails"].contains(&kind.as_str());
    let report = Some(settings.text("report")).filter(known);
    let report = report.or(settings.is_on("var-values").then(|| "fails".to_owned()));
    let mut policies = policies(settings, environment);
    policies.trace |= report.is_some();
    let verified = conftest::verify(&settings.list("namespace"), &policies).map_err(told("running verification"))?;
    let code = exit_code(&verified.results, false);
    let mut ended = Ended {
        code,
        ..Ended::said(String::new())
    };
    if settings.is_on("quiet") && code == 0 {
        return Ok(ended);
    }
    let style = Style {
        plain: settings.is_on("no-color"),
        show_skipped: true,
        hide_message: settings.is_on("junit-hide-message"),
        hide_passed: settings.is_on("github-hide-passed"),
        ..Style::default()
    };
    let output = settings.text("output");
    match report {
        Some(_) if output != "stdout" => return Err("report flag is supported with stdout only".to_owned()),
        Some(kind) => ended.stdout = conftest::report(&verified.units, &kind),
        None => {
            if traced {
                ended.stderr = conftest::trace(&verified.results, style.plain);
            }
            ended.stdout = rendered(&verified.results, &output, style);
        }
    }
    Ok(ended)
}

fn parse(settings: &Settings<'_>, typed: &Typed) -> Result<Ended, String> {
    let paths = &typed.arguments;
    if paths.is_empty() {
        return Err("must supply path to at least one file".to_owned());
    }
    let stdin = stdin(paths)?;
    let (parser, protos) = (settings.text("parser"), settings.list("proto-file-dirs"));
    let sandbox = Sandbox::new();
    let inputs = Inputs {
        paths,
        parser: &parser,
        ignore: "",
        stdin: &stdin,
        stdin_name: "",
        combine: settings.is_on("combine"),
        update: &[],
        protos: &protos,
        sandbox: Some(&sandbox),
    };
    let text = conftest::parse(&inputs).map_err(|error| error.to_string())?;
    Ok(Ended::said(text + "\n"))
}

fn reformat(settings: &Settings<'_>, typed: &Typed) -> Result<Ended, String> {
    let mut text = String::new();
    match typed.arguments.first() {
        None => {
            let read = std::io::stdin().lock().take(MAX_STDIN).read_to_string(&mut text);
            read.map_err(|error| format!("failed to parse JSON input: {error}"))?;
        }
        Some(path) => {
            let failed = |error: std::io::Error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    format!("failed to open input file: open {path}: no such file or directory")
                }
                _ => format!("failed to open input file: open {path}: {error}"),
            };
            let file = std::fs::File::open(path).map_err(failed)?;
            file.take(MAX_STDIN).read_to_string(&mut text).map_err(failed)?;
        }
    }
    let results = conftest::read(&text).map_err(told("failed to parse JSON input"))?;
    let style = Style {
        empty_list: true,
        ..Style::default()
    };
    Ok(Ended::said(rendered(&results, &settings.text("output"), style)))
}

fn pull(command: &Command, settings: &Settings<'_>, typed: &Typed) -> Result<Ended, String> {
    if typed.arguments.is_empty() {
        let mut ended = Ended::failed("missing required arguments");
        ended.stderr.insert_str(0, &command.usage());
        return Ok(ended);
    }
    let folder = settings.text("policy");
    let folder = match settings.is_on("absolute-paths") {
        true => folder,
        false => folder.trim_start_matches('/').to_owned(),
    };
    conftest::pull(&folder, &typed.arguments).map_err(|error| error.to_string())?;
    Ok(Ended::said(String::new()))
}
