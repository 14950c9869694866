//! What every command starts from: the global options, the printer, the cancel flag, and the configuration when it is asked for.

use std::path::Path;

use crate::args::Global;
use crate::config::Config;
use crate::error::CommandError;
use crate::signals::Cancel;
use crate::ui::Ui;

/// The surroundings of one command.
pub(crate) struct Context {
    pub(crate) ui: Ui,
    pub(crate) cancel: Cancel,
    global: Global,
}

impl Context {
    pub(crate) fn new(global: Global, ui: Ui, cancel: Cancel) -> Self {
        Self { ui, cancel, global }
    }

    /// The configuration file that was named on the command line or in the environment.
    pub(crate) fn named_config(&self) -> Option<&Path> {
        self.global.config.as_deref()
    }

    /// Finds and reads the configuration.
    pub(crate) fn config(&self) -> Result<Config, CommandError> {
        Config::load(self.named_config())
    }
}
