//! The `postgres` store.
