//! What each command is for and which flags it takes.

use super::flags::{Flag, Takes, list, short, switch, text};

/// One command.
pub(super) struct Command {
    pub(super) name: &'static str,
    usage: &'static str,
    about: &'static str,
    own: &'static [Flag],
}

const CONFIG: Flag = short(text("config-file", "", "path of the configuration file"), 'c');
const POLICY: Flag = short(list("policy", "policy", "files and folders of policies"), 'p');
const DATA: Flag = short(
    list("data", "", "files and folders of JSON and YAML that become data"),
    'd',
);
const OUTPUT: Flag = short(
    text(
        "output",
        "stdout",
        "form of the results: stdout, json, tap, table, junit, github, azuredevops, sarif",
    ),
    'o',
);
const VERSION: Flag = text(
    "rego-version",
    "v1",
    "version of Rego that the policies are written in: v0, v1",
);
const PARSER: Flag = text("parser", "", "format of every input, whatever the files are called");
const COMBINE: Flag = switch("combine", "take all inputs as one list of {path, contents}");
const PROTO: Flag = list("proto-file-dirs", "", "folders of Protocol Buffer definitions");
const TLS: Flag = Flag {
    default: "true",
    ..switch("tls", "speak TLS to registries; nothing is fetched from any here")
};

/// All commands, those that are refused too.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "test",
        usage: "test <path> [path [...]]",
        about: "Judge configuration files by policies",
        own: &[
            switch("all-namespaces", "judge by the policies of every namespace"),
            text(
                "capabilities",
                "",
                "file that lists the built-in functions that may be called",
            ),
            COMBINE,
            DATA,
            switch("fail-on-warn", "exit 1 for a warning, 2 for a failure"),
            switch(
                "github-hide-passed",
                "leave files in which all passed out of the form github",
            ),
            text("ignore", "", "regular expression of paths in folders that are left out"),
            switch(
                "junit-hide-message",
                "leave messages out of the names of tests in the form junit",
            ),
            short(
                list(
                    "namespace",
                    "main",
                    "namespaces that judge; *, ? and [...] stand for many",
                ),
                'n',
            ),
            switch("no-color", "print without colours"),
            switch("no-fail", "exit 0 even if a policy fails"),
            OUTPUT,
            PARSER,
            POLICY,
            PROTO,
            switch("quiet", "print nothing when all passes"),
            VERSION,
            switch("show-builtin-errors", "end with an error of a built-in function"),
            text("stdin-filename", "", "what standard input is called in the results"),
            switch("strict", "refuse what policies assign or import and do not use"),
            switch("suppress-exceptions", "leave exceptions out of the form stdout"),
            TLS,
            switch("trace", "print what each query reached to standard error"),
            short(
                list(
                    "update",
                    "",
                    "places on this file system that policies are copied from first",
                ),
                'u',
            ),
        ],
    },
    Command {
        name: "verify",
        usage: "verify",
        about: "Run the unit tests of policies",
        own: &[
            text(
                "capabilities",
                "",
                "file that lists the built-in functions that may be called",
            ),
            DATA,
            switch(
                "github-hide-passed",
                "leave files in which all passed out of the form github",
            ),
            switch(
                "junit-hide-message",
                "leave messages out of the names of tests in the form junit",
            ),
            short(
                list("namespace", "", "namespaces whose tests are told; all by default"),
                'n',
            ),
            switch("no-color", "print without colours"),
            OUTPUT,
            POLICY,
            PROTO,
            switch("quiet", "print nothing when all passes"),
            VERSION,
            text("report", "", "print OPA's report instead: full, notes, fails"),
            switch("show-builtin-errors", "end with an error of a built-in function"),
            switch("strict", "refuse what policies assign or import and do not use"),
            switch("trace", "print what each test reached to standard error"),
            switch("var-values", "print the report of what failed"),
        ],
    },
    Command {
        name: "parse",
        usage: "parse [file...]",
        about: "Print files as policies see them",
        own: &[COMBINE, PARSER],
    },
    Command {
        name: "reformat",
        usage: "reformat [file...]",
        about: "Print results that were written as JSON in another form",
        own: &[OUTPUT],
    },
    Command {
        name: "pull",
        usage: "pull <place>",
        about: "Copy policies from a place on this file system",
        own: &[
            switch("absolute-paths", "copy into an absolute path as it stands"),
            short(
                text("policy", "policy", "folder that the policies are copied into"),
                'p',
            ),
            TLS,
        ],
    },
    Command {
        name: "push",
        usage: "push",
        about: "Refused: muster sends no policies over the network",
        own: &[],
    },
    Command {
        name: "plugin",
        usage: "plugin",
        about: "Refused: muster runs no programs that it does not ship",
        own: &[],
    },
    Command {
        name: "fmt",
        usage: "fmt",
        about: "Refused: muster has no formatter for policies",
        own: &[],
    },
    Command {
        name: "doc",
        usage: "doc",
        about: "Refused: muster writes no pages about policies",
        own: &[],
    },
];

impl Command {
    /// The command of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        COMMANDS.iter().find(|command| command.name == name)
    }

    /// Its flags and those of every command.
    pub(super) fn flags(&self) -> Vec<Flag> {
        self.own.iter().copied().chain([CONFIG]).collect()
    }

    /// Whether it only says that it is not there.
    pub(super) fn is_refused(&self) -> bool {
        self.about.starts_with("Refused: ")
    }

    /// Why it is not there.
    pub(super) fn refusal(&self) -> &'static str {
        self.about.trim_start_matches("Refused: ")
    }

    /// Its usage and flags.
    pub(super) fn usage(&self) -> String {
        format!(
            "Usage:\n  conftest {} [flags]\n\nFlags:\n{}",
            self.usage,
            table(&self.flags())
        )
    }

    /// All that there is to say.
    pub(super) fn help(&self) -> String {
        format!("{}\n\n{}", self.about, self.usage())
    }
}

/// The flags that stand before a command.
pub(super) fn root_flags() -> Vec<Flag> {
    vec![CONFIG, short(switch("version", "print the version"), 'v')]
}

/// What the program says of itself.
pub(super) fn help() -> String {
    let width = COMMANDS.iter().map(|command| command.name.len()).max().unwrap_or(0);
    let lines = COMMANDS
        .iter()
        .map(|command| format!("  {:width$} {}\n", command.name, command.about));
    format!(
        "Conftest's command line in muster: judge configuration files by policies\n\nUsage:\n  conftest [command]\n\nAvailable Commands:\n{}\n\
         Flags:\n{}\nUse \"conftest [command] --help\" for more information about a command.\n",
        lines.collect::<String>(),
        table(&root_flags())
    )
}

fn table(flags: &[Flag]) -> String {
    let mut rows = Vec::new();
    let help = short(switch("help", "print this"), 'h');
    for flag in flags.iter().chain([&help]) {
        let letter = flag.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
        let kind = match flag.takes {
            Takes::Nothing => "",
            Takes::Text => " string",
            Takes::List => " strings",
        };
        let default = match flag.default {
            "" | "false" => String::new(),
            default => format!(" (default {default})"),
        };
        rows.push((
            format!("  {letter}--{}{kind}", flag.name),
            format!("{}{default}", flag.help),
        ));
    }
    rows.sort_by(|(a, _), (b, _)| a.trim_start_matches([' ', '-']).cmp(b.trim_start_matches([' ', '-'])));
    let width = rows.iter().map(|(front, _)| front.len()).max().unwrap_or(0);
    rows.iter()
        .map(|(front, help)| format!("{front:width$}   {help}\n"))
        .collect()
}
