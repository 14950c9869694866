//! What is asked of a place and what it says: how to write, what to list, what is known of an object without reading it.

use muster_signing::Digest;
use time::OffsetDateTime;

/// What a write does when the key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMode {
    /// It fails with [`super::ErrorKind::AlreadyExists`] and changes nothing.
    Create,
    /// It replaces the object, at once.
    Overwrite,
}

/// How an object is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutOptions {
    /// What happens when the key is taken.
    pub mode: PutMode,
    /// For how long nobody may delete or change what is written. The write succeeds only when the place was seen to hold it.
    pub retention: Option<Retention>,
}

impl PutOptions {
    /// Never replaces; held by nothing.
    pub const CREATE: Self = Self {
        mode: PutMode::Create,
        retention: None,
    };
    /// Replaces; held by nothing. For a key whose bytes cannot differ, and for the one object that moves.
    pub const OVERWRITE: Self = Self {
        mode: PutMode::Overwrite,
        retention: None,
    };

    /// The same, held.
    #[must_use]
    pub const fn held(self, retention: Option<Retention>) -> Self {
        Self { retention, ..self }
    }
}

/// Who may lift a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockMode {
    /// Whoever has the right to bypass it.
    Governance,
    /// Nobody until it ends.
    Compliance,
}

impl LockMode {
    /// As it is written in configurations, facts and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "governance",
            Self::Compliance => "compliance",
        }
    }
}

/// A lock on one version of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Who may lift it.
    pub mode: LockMode,
    /// When it ends, whole seconds, by the server's clock.
    pub until: OffsetDateTime,
}

impl Retention {
    /// Whether this lock does all that `wanted` asks for: as strict, and as long.
    pub fn covers(&self, wanted: &Self) -> bool {
        self.mode >= wanted.mode && self.until >= wanted.until
    }
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its key in the repository.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
}

/// What is known of an object, or of one version of it, without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Its length in bytes.
    pub size: u64,
    /// The server's word for its SHA-256, where it keeps one.
    pub sha256: Option<Digest>,
    /// The version, where the place keeps versions.
    pub version: Option<String>,
    /// The lock on that version, where there is one and it may be seen.
    pub retention: Option<Retention>,
    /// When it was written, by the place's own clock.
    pub modified: Option<OffsetDateTime>,
}

/// One version of an object. Overwriting and deleting make new ones and leave the old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectVersion {
    /// What the place calls it.
    pub id: String,
    /// Its length in bytes; 0 for a delete marker.
    pub size: u64,
    /// Whether it is what the bare key means now.
    pub newest: bool,
    /// Whether it says that the object was deleted, and holds no bytes.
    pub delete_marker: bool,
}

/// Which page of a listing is wanted.
#[derive(Debug, Clone, Copy)]
pub struct ListQuery<'a> {
    /// With what the keys begin; not necessarily a whole component.
    pub prefix: &'a str,
    /// Only keys behind this one; behind a folder (`…/`), only what is not in it.
    pub after: Option<&'a str>,
    /// Most objects and folders in the page; at least 1.
    pub max: usize,
    /// Whether what lies deeper than one `/` behind the prefix is named by its folder alone.
    pub folders: bool,
}

/// A page of a listing: as many as were asked for, or all that are left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Sorted by the bytes of their keys.
    pub objects: Vec<ObjectMeta>,
    /// Folders that hold something, each with its final `/`, sorted.
    pub folders: Vec<String>,
    /// Whether there is more behind it.
    pub more: bool,
}

impl ListPage {
    /// The page of `query` out of sorted objects that begin with its prefix.
    pub fn cut(sorted: impl IntoIterator<Item = ObjectMeta>, query: &ListQuery<'_>) -> Self {
        let mut page = Self::default();
        for object in sorted {
            let inner = object.key.get(query.prefix.len()..).and_then(|rest| rest.find('/'));
            let folder = inner
                .filter(|_| query.folders)
                .and_then(|slash| object.key.get(..=query.prefix.len() + slash));
            let name = folder.unwrap_or(&object.key);
            if query.after.is_some_and(|after| name <= after) || page.folders.last().is_some_and(|last| last == name) {
                continue;
            }
            if page.objects.len() + page.folders.len() >= query.max.max(1) {
                page.more = true;
                break;
            }
            match folder {
                Some(folder) => page.folders.push(folder.to_owned()),
                None => page.objects.push(object),
            }
        }
        page
    }

    /// What the next page comes after: the greatest name of this one.
    pub fn last(&self) -> Option<&str> {
        let object = self.objects.last().map(|object| object.key.as_str());
        object.max(self.folders.last().map(String::as_str))
    }
}
