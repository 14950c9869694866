//! SIGINT, SIGTERM and SIGHUP ask the run to stop and clean up; a second one ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::{CommandError, Kind};

/// Whether the run was asked to stop, and by what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancel {
    flag: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Cancel {
    /// Installs the handlers.
    pub(crate) fn install() -> Result<Self, CommandError> {
        let cancel = Self::default();
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            let number = usize::try_from(signal).unwrap_or(0);
            // The order matters: the shutdown looks at the flag before this signal sets it.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&cancel.flag))
                .and_then(|_| signal_hook::flag::register_usize(signal, Arc::clone(&cancel.signal), number))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&cancel.flag)))
                .map_err(|error| CommandError::new(Kind::Failed, error).context("install the signal handlers"))?;
        }
        Ok(cancel)
    }

    /// The flag that long work looks at.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    /// The same, borrowed.
    pub(crate) fn as_bool(&self) -> &AtomicBool {
        &self.flag
    }

    /// The signal that asked, if any did.
    pub(crate) fn signal(&self) -> Option<u8> {
        if !self.flag.load(Ordering::Relaxed) {
            return None;
        }
        u8::try_from(self.signal.load(Ordering::Relaxed))
            .ok()
            .filter(|number| *number > 0)
    }

    /// An error when the run was asked to stop.
    pub(crate) fn check(&self) -> Result<(), CommandError> {
        match self.signal() {
            Some(number) => Err(CommandError::new(
                Kind::Interrupted(number),
                format!("ended by signal {number}"),
            )),
            None => Ok(()),
        }
    }
}
