//! Diagnostics for people who look for trouble: `tracing` to stderr, human lines or JSON lines. Off by default but for warnings.

use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;
use crate::ui::Ui;

/// Installs the subscriber. `MUSTER_LOG` (the syntax of `RUST_LOG`) wins over `-v`.
pub(crate) fn install(verbose: u8, quiet: bool, format: LogFormat, ui: &Ui) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info,aws_config=warn,aws_smithy_runtime=warn",
        (false, 2) => "debug,hyper=info,hyper_util=info,rustls=info,h2=info",
        (false, _) => "trace",
    };
    let filter = EnvFilter::try_from_env("MUSTER_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let (colour, writer) = (ui.colours_diagnostics(), ui.clone());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || writer.diagnostics());
    // A second subscriber can only come from a test that runs in this process: the first one stays.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(colour).with_target(verbose > 1).try_init(),
        LogFormat::Json => builder.json().with_current_span(false).try_init(),
    };
}
