//! From a snapshot to a restored store, and the rehearsal of it against the clock.
