//! The `sqlite` store.
