//! `muster conftest`: the way to Conftest's own command line, which reads its arguments itself.

use std::ffi::OsString;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

/// Conftest's own command line, output and exit codes
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "Flags, configuration (conftest.toml, CONFTEST_…), forms of output and exit codes (0, 1; 2 with
--fail-on-warn) are those of Conftest; also where the program itself is called conftest.
docs/conftest.md says what differs.

Examples:
  muster conftest test -p policy deployment.yaml
  muster conftest verify --policy policy --report full
  muster conftest parse --parser hcl2 main.tf
  ln -s $(command -v muster) /usr/local/bin/conftest"
)]
pub(crate) struct Conftest {
    /// test, verify, parse, reformat or pull, and what they take
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(_: &Context, args: Conftest) -> Result<Exit, CommandError> {
    Ok(crate::conftest::run(&args.arguments))
}
