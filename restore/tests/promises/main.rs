//! What restores and rehearsals promise, kept against repositories that the product itself wrote: in memory, with faults where a test wants
//! them.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its work ends there")]

mod bench;
mod blocks;
mod damage;
mod engines;
mod growth;
mod hostile;
mod pipeline;
mod rehearsals;
mod round_trip;
mod targets;
