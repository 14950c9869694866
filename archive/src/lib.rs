//! Repository format v1 and the object stores that hold it.
