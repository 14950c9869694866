//! `muster`, the only binary: snapshots, timed restore rehearsals, policies and signed evidence in one command line.
//!
//! No logic worth testing alone lives here: commands parse, call the libraries and hand the result to `ui`.

mod args;
mod chosen;
mod commands;
mod config;
mod conftest;
mod context;
mod edge;
mod error;
mod exit;
mod facts;
mod history;
mod keyfiles;
mod lock;
mod logging;
mod losses;
mod measured;
mod point;
#[cfg(test)]
mod reference;
mod seen;
mod signals;
mod stores;
mod ui;

fn main() -> std::process::ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    match arguments.get(1) {
        Some(command) if command == muster_policies::sandbox::COMMAND => {
            let limits: Vec<String> = arguments[2..]
                .iter()
                .map(|text| text.to_string_lossy().into_owned())
                .collect();
            muster_policies::sandbox::serve(&limits).into()
        }
        _ => commands::run(arguments).into(),
    }
}
