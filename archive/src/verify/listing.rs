//! The inventory: what a place lists, merged with what the manifests name.
//!
//! Both are sorted, so that neither is held whole, and n objects take n / 1,000 requests. A listing is an observation and not a verdict:
//! it may be older than the names. What it lacks is asked for by name before anybody calls it missing.

use std::collections::{BTreeMap, VecDeque};

use muster_signing::Digest;

use super::Tally;
use super::names::RunKey;
use crate::list::Named;
use crate::object_store::{ListQuery, ObjectMeta, ObjectStore, StorageError};
use crate::{Repository, layout};

/// Entries of a page: what S3 gives at most.
const PAGE: usize = 1_000;

/// What a listing says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// It has so many bytes.
    Bytes(u64),
    /// It is not there.
    Absent,
    /// Nobody asked, or there was no answer.
    Unknown,
}

/// One folder of a place, page by page.
struct Listing<'a> {
    store: &'a dyn ObjectStore,
    prefix: &'static str,
    page: VecDeque<ObjectMeta>,
    after: Option<String>,
    more: bool,
    /// It could not be had to the end.
    broken: bool,
}

impl<'a> Listing<'a> {
    fn new(store: &'a dyn ObjectStore, prefix: &'static str) -> Self {
        Self {
            store,
            prefix,
            page: VecDeque::new(),
            after: None,
            more: true,
            broken: false,
        }
    }

    async fn peek(&mut self) -> Result<Option<&ObjectMeta>, StorageError> {
        while self.page.is_empty() && self.more {
            let query = ListQuery {
                prefix: self.prefix,
                after: self.after.as_deref(),
                max: PAGE,
                folders: false,
            };
            let page = self.store.list_page(query).await?;
            let last = page.objects.last().map(|object| object.key.clone());
            // A listing that does not go on ends here; what it lacks is asked for by name.
            self.more = page.more && last > self.after;
            self.after = last.or(self.after.take());
            self.page = page.objects.into();
        }
        Ok(self.page.front())
    }

    fn pass(&mut self) -> Option<ObjectMeta> {
        self.page.pop_front()
    }
}

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inventory {
    /// Everything is listed, and what nothing names is counted.
    Whole,
    /// What is listed between the names does not matter.
    Named,
    /// Nothing is listed: so few names are asked for one by one.
    Skip,
}

/// Merges the listings of lists, packs and trees with their names.
pub(super) struct Lister<'a> {
    inventory: Inventory,
    listing: Option<(Named, Listing<'a>)>,
    store: &'a dyn ObjectStore,
    /// What nothing names.
    pub(super) unnamed: Tally,
    /// Listings that could not be had.
    pub(super) failed: Vec<StorageError>,
}

impl<'a> Lister<'a> {
    pub(super) fn new(repository: &'a Repository, inventory: Inventory) -> Self {
        Self {
            inventory,
            listing: None,
            store: &**repository.objects(),
            unnamed: Tally::default(),
            failed: Vec::new(),
        }
    }

    /// What the listing says of the next name. Names come sorted.
    pub(super) async fn find(&mut self, what: Named, id: &Digest) -> Listed {
        let Some(prefix) = folder(what).filter(|_| self.inventory != Inventory::Skip) else {
            return Listed::Absent;
        };
        self.turn_to(Some(what), prefix).await;
        let key = object_key(what, id);
        loop {
            let Some((_, listing)) = &mut self.listing else {
                return Listed::Unknown;
            };
            if listing.broken {
                return Listed::Unknown;
            }
            let order = match listing.peek().await {
                Ok(Some(object)) => object.key.as_str().cmp(&key),
                Ok(None) => return Listed::Absent,
                Err(error) => {
                    self.fail(what, error);
                    return Listed::Unknown;
                }
            };
            match order {
                std::cmp::Ordering::Less => {
                    let passed = listing.pass();
                    self.count(passed);
                }
                std::cmp::Ordering::Equal => {
                    return listing
                        .pass()
                        .map_or(Listed::Absent, |object| Listed::Bytes(object.size));
                }
                std::cmp::Ordering::Greater => return Listed::Absent,
            }
        }
    }

    /// Counts what is left behind the last name.
    pub(super) async fn finish(&mut self) {
        if self.inventory == Inventory::Whole {
            self.turn_to(None, "").await;
        }
    }

    /// Counts what a folder holds beside these names.
    pub(super) async fn count_others(&mut self, prefix: &'static str, named: &BTreeMap<String, RunKey>) -> Tally {
        let mut others = Tally::default();
        let mut listing = Listing::new(self.store, prefix);
        loop {
            match listing.peek().await {
                Ok(Some(object)) if named.contains_key(&object.key) => {}
                Ok(Some(object)) => others.add(object.size),
                Ok(None) => return others,
                Err(error) => {
                    self.failed.push(error);
                    return others;
                }
            }
            listing.pass();
        }
    }

    /// Ends the folders before this kind's, and begins its own.
    async fn turn_to(&mut self, what: Option<Named>, prefix: &'static str) {
        let at = self.listing.as_ref().map(|(what, _)| *what);
        if at.is_some() && at == what {
            return;
        }
        if self.inventory == Inventory::Whole {
            for kind in [Named::List, Named::Pack, Named::Tree] {
                let (passed, ahead) = (at.is_some_and(|at| kind < at), what.is_some_and(|what| kind >= what));
                let Some(folder) = folder(kind).filter(|_| !passed && !ahead) else {
                    continue;
                };
                if at != Some(kind) {
                    self.listing = Some((kind, Listing::new(self.store, folder)));
                }
                self.drain(kind).await;
            }
        }
        self.listing = what.map(|what| (what, Listing::new(self.store, prefix)));
    }

    async fn drain(&mut self, what: Named) {
        while let Some((_, listing)) = &mut self.listing {
            match listing.peek().await {
                Ok(Some(_)) => {
                    let passed = listing.pass();
                    self.count(passed);
                }
                Ok(None) => return,
                Err(error) => return self.fail(what, error),
            }
        }
    }

    /// The rest of the folder is unknown; the kind is remembered, so that it is not begun again.
    fn fail(&mut self, what: Named, error: StorageError) {
        if let Some((_, listing)) = &mut self.listing {
            listing.more = false;
            listing.broken = true;
            listing.page.clear();
        }
        tracing::debug!(?what, "its folder is not listed to the end");
        self.failed.push(error);
    }

    fn count(&mut self, passed: Option<ObjectMeta>) {
        if let Some(object) = passed {
            self.unnamed.add(object.size);
        }
    }
}

fn folder(what: Named) -> Option<&'static str> {
    match what {
        Named::List => Some("lists/"),
        Named::Pack => Some("packs/"),
        Named::Tree => Some("trees/"),
        Named::Run => None,
    }
}

pub(super) fn object_key(what: Named, id: &Digest) -> String {
    match what {
        Named::Pack => layout::pack(id),
        Named::Tree => layout::tree(id),
        Named::List => layout::list(id),
        Named::Run => format!("{} with SHA-256 {}", layout::RUNS, id.hex()),
    }
}
