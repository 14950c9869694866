//! The `files` store.
