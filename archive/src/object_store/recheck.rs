//! Does the place still honour what it was seen to honour? Asked before a run writes, with requests that change nothing.
//!
//! Invariant: a capability that the root signed is never silently done without. Locks are not asked for here: each is read back with the
//! write that needs it; and a place that keeps versions says so with each write.

use bytes::Bytes;

use super::{Capabilities, ErrorKind, ObjectStore, StorageError};

/// Creates `key` once more, which is there with the bytes `unchanged`: where conditional create was proven, this must be refused.
///
/// # Errors
/// [`ErrorKind::Downgraded`], naming the capability; storage errors, the refusal of whoever may not write among them.
pub async fn recheck(
    store: &dyn ObjectStore,
    key: &str,
    unchanged: Bytes,
    proven: Capabilities,
) -> Result<(), StorageError> {
    if !proven.conditional_create {
        return Ok(());
    }
    // Where a delete marker hid it, the first one is no replacement and the second is.
    for _ in 0..2 {
        if store.refuses_to_replace(key, unchanged.clone()).await? {
            return Ok(());
        }
    }
    Err(downgraded(&store.url(), key, "conditional_create").hint(
        "it took a second `If-None-Match: *` for the first, so two writers at once would lose each other's entries: look for what \
         changed (versioning, a proxy, the server's version); `muster init` with the root key signs that it is so now",
    ))
}

/// The place lost what it was seen to honour.
pub(super) fn downgraded(url: &str, key: &str, capability: &str) -> StorageError {
    StorageError::new(ErrorKind::Downgraded, key, format!("rely on {capability} of {url}"))
}
