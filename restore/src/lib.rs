//! From a snapshot to a restored store, and the rehearsal of it against the clock.
//!
//! A restore is planned as a value ([`plan`]) and then carried out ([`execute`]); what it could not bring back is in its report, with the
//! object that is to blame. A rehearsal restores into a private sandbox, starts the engine, questions it, and gives one of four
//! verdicts. Everything here blocks and prints nothing.

mod attributes;
mod blocks;
mod content;
mod error;
mod event;
mod execute;
mod files;
mod finish;
#[doc(hidden)]
pub mod fuzzing;
mod journal;
mod listing;
mod loss;
mod plan;
mod reading;
pub mod rehearsal;
mod session;
mod target;
mod timeline;
mod tree_digest;
mod window;

pub use attributes::Owners;
pub use error::RestoreError;
pub use event::Event;
pub use execute::{RestoreReport, execute};
pub use finish::{FinishOptions, finish};
pub use journal::{Journal, unfinished};
pub use listing::list;
pub use loss::{LossKind, Lost};
pub use plan::{RestoreEstimate, RestoreOptions, RestorePlan, plan};
pub use session::Session;
pub use target::UNFINISHED;
pub use timeline::Phase;
pub use tree_digest::tree_digest_of_directory;
