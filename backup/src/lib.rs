//! From a live store to a committed snapshot.
