//! `muster`, the only binary: snapshots, timed restore rehearsals, policies and signed evidence in one command line.
//!
//! No logic worth testing alone lives here: commands parse, call the libraries and hand the result to `ui`.

mod args;
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
    commands::run(std::env::args_os().collect()).into()
}
