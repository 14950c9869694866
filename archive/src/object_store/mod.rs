//! Where the objects of a repository lie: one small trait, and the places that keep it.
//!
//! The contract is executable (`tests/kit/src/contract.rs`) and every place passes it: a `Create` never replaces, a write is whole
//! or absent, a listing is complete and sorted, and an error says whether the data is wrong or could only not be had now.

mod error;
mod key;
mod local;
mod memory;
mod open;
mod probe;
mod s3;

use std::fmt::Debug;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

pub use error::{ErrorKind, StorageError};
pub use key::{check_key, is_key};
pub use local::LocalStore;
pub use memory::MemoryStore;
pub use open::open;
pub use probe::probe_conditional_create;
pub use s3::{Credentials, Patience, S3Options};

/// The longest object that is written or read whole: twice the longest pack.
pub const MAX_OBJECT: u64 = 128 << 20;

/// What a write does when the key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMode {
    /// It fails with [`ErrorKind::AlreadyExists`] and changes nothing.
    Create,
    /// It replaces the object, at once.
    Overwrite,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its key in the repository.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
}

/// A place that holds objects under keys (see [`is_key`]).
#[async_trait]
pub trait ObjectStore: Debug + Send + Sync {
    /// Writes an object: when it returns `Ok` the bytes are durable, when it does not the old state stands or the write is whole.
    async fn put(&self, key: &str, body: Bytes, mode: PutMode) -> Result<(), StorageError>;

    /// Reads an object of at most `max` bytes; a longer one is [`ErrorKind::TooLarge`], and nothing is allocated for it.
    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, StorageError>;

    /// Reads a whole object.
    async fn get(&self, key: &str) -> Result<Bytes, StorageError> {
        self.get_limited(key, MAX_OBJECT).await
    }

    /// Reads exactly these bytes; an object that ends before `range.end` is [`ErrorKind::Truncated`].
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError>;

    /// Says how long an object is.
    async fn head(&self, key: &str) -> Result<ObjectMeta, StorageError>;

    /// All objects whose keys begin with `prefix` (not necessarily a whole component), sorted by the bytes of their keys.
    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StorageError>;

    /// Removes an object; one that is not there is removed already.
    async fn delete(&self, key: &str) -> Result<(), StorageError>;

    /// Where this is, without secrets, as a user would write it.
    fn url(&self) -> String;

    /// Makes the bucket or root directory if it is missing and may be made. Nothing else makes it.
    async fn prepare(&self) -> Result<(), StorageError>;

    /// Says whether the place was seen to honour conditional create ([`probe_conditional_create`]). Until it is told so, a place
    /// that cannot know looks before it writes, which is right for one writer and not for two at once.
    fn rely_on_conditional_create(&self, proven: bool);
}

/// Refuses an empty, backward or overlong range before anything is asked of a server.
fn check_range(key: &str, range: &Range<u64>) -> Result<(), StorageError> {
    if range.start > range.end || range.end - range.start > MAX_OBJECT {
        let attempt = format!("read bytes {}..{} of {key}", range.start, range.end);
        return Err(StorageError::new(ErrorKind::Invalid, key, attempt));
    }
    Ok(())
}

/// Refuses an object that no reader would take back.
fn check_length(key: &str, body: &Bytes) -> Result<(), StorageError> {
    if body.len() as u64 > MAX_OBJECT {
        let attempt = format!("write {} bytes as {key}", body.len());
        return Err(StorageError::new(ErrorKind::TooLarge, key, attempt));
    }
    Ok(())
}
