//! One client of the simulated server: it counts its calls, has bad luck by the seed, and dies at the call that a test chooses.
//!
//! Invariant: after its death nothing that it still tries reaches the server.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_archive::object_store::{
    Capabilities, ErrorKind, ListPage, ListQuery, MAX_OBJECT, ObjectHead, ObjectStore, ObjectVersion, PutMode,
    PutOptions, Retention, StorageError, check_key,
};

use super::race::Turns;
use super::{Sim, Weather, fate_of};
use crate::recording::Call;

/// How far the call comes at which a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It never reaches the server.
    Before,
    /// The server carries it out, and nobody hears of it.
    After,
    /// A write leaves its first half behind, as a power failure leaves a file that was not synced. Other calls: [`Fate::Before`].
    Torn,
}

/// A client of the server.
#[derive(Debug, Clone)]
pub struct Process {
    client: Arc<Client>,
}

struct Client {
    sim: Sim,
    name: String,
    sheltered: bool,
    turns: Turns,
    life: Mutex<Life>,
}

#[derive(Default)]
struct Life {
    calls: u64,
    asked: BTreeMap<(&'static str, String), u64>,
    dies_at: Option<(u64, Fate)>,
    at_death: Option<Box<dyn FnOnce() + Send>>,
    last: Option<String>,
    dead: bool,
}

impl Process {
    pub(super) fn new(sim: Sim, name: &str) -> Self {
        Self::with(sim, name, false)
    }

    pub(super) fn sheltered(sim: Sim) -> Self {
        Self::with(sim, "observer", true)
    }

    fn with(sim: Sim, name: &str, sheltered: bool) -> Self {
        let client = Client {
            sim,
            name: name.to_owned(),
            sheltered,
            turns: Turns::default(),
            life: Mutex::default(),
        };
        Self {
            client: Arc::new(client),
        }
    }

    /// The server as this process sees it.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::<Client>::clone(&self.client)
    }

    /// It dies at its `call`-th call, counted from 1; `at_death` is called at that instant, for what else must be seen then.
    pub fn dies_at(&self, call: u64, fate: Fate, at_death: impl FnOnce() + Send + 'static) {
        let mut life = self.client.life();
        life.dies_at = Some((call, fate));
        life.at_death = Some(Box::new(at_death));
    }

    /// How many calls it has made.
    pub fn calls(&self) -> u64 {
        self.client.life().calls
    }

    /// The call at which it died, as words; `None` while it lives.
    pub fn died_at(&self) -> Option<String> {
        let life = self.client.life();
        life.last.clone().filter(|_| life.dead)
    }

    pub(super) fn turns(&self) -> &Turns {
        &self.client.turns
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.name)
    }
}

/// What becomes of a call before it is carried out.
enum Luck {
    Good,
    /// Carried out, unheard.
    Unheard(ErrorKind),
    /// As for [`Luck::Unheard`], with half of a write.
    Half,
    Refused(ErrorKind),
}

impl Client {
    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is this call's turn, counts it, and says what its luck is.
    async fn begin(&self, call: Call, key: &str) -> Luck {
        self.turns.wait(|| format!("{} {key}", word(call))).await;
        let weather = self.sim.server().weather;
        let (luck, pause) = self.decide(call, key, weather);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        luck
    }

    fn decide(&self, call: Call, key: &str, weather: Weather) -> (Luck, Duration) {
        let mut life = self.life();
        if life.dead {
            return (Luck::Refused(ErrorKind::Unreachable), Duration::ZERO);
        }
        life.calls += 1;
        let class = key.split('/').next().unwrap_or_default().to_owned();
        let count = life.asked.entry((word(call), class.clone())).or_default();
        *count += 1;
        let nth = *count;
        if let Some((at, fate)) = life.dies_at
            && life.calls == at
        {
            life.dead = true;
            life.last = Some(format!("call {at}, {} {key}, {fate:?}", word(call)));
            let luck = match (fate, call) {
                (Fate::After, _) => Luck::Unheard(ErrorKind::Unreachable),
                (Fate::Torn, Call::Put) => Luck::Half,
                _ => Luck::Refused(ErrorKind::Unreachable),
            };
            return (luck, Duration::ZERO);
        }
        if self.sheltered {
            return (Luck::Good, Duration::ZERO);
        }
        let draw = fate_of(
            self.sim.seed,
            &[
                self.name.as_bytes(),
                word(call).as_bytes(),
                class.as_bytes(),
                &nth.to_le_bytes(),
            ],
        );
        let most = u64::try_from(weather.latency.as_micros()).expect("a short time");
        let pause = Duration::from_micros((draw >> 32) % (most + 1));
        let of_a_thousand = u32::try_from(draw % 1000).expect("less than a thousand");
        let luck = if of_a_thousand < weather.throttled {
            Luck::Refused(ErrorKind::Throttled)
        } else if call == Call::Put && of_a_thousand < weather.throttled + weather.lost_answers {
            Luck::Unheard(ErrorKind::Unreachable)
        } else if call == Call::Get && of_a_thousand < weather.throttled + weather.broken_reads {
            Luck::Refused(ErrorKind::Unreachable)
        } else {
            Luck::Good
        };
        (luck, pause)
    }

    /// Called when the deed is done or left: at death, whoever wanted to see that instant sees it.
    fn end(&self) {
        self.turns.end();
        let watcher = {
            let mut life = self.life();
            if life.dead { life.at_death.take() } else { None }
        };
        if let Some(watcher) = watcher {
            watcher();
        }
    }

    /// What a client can do where the server does not know conditional creates: look, and write when others may have written too.
    async fn look_first(&self, key: &str) -> Result<(), StorageError> {
        let absent = self.carry_out(Call::Head, key, || Ok(self.sim.server().objects.newest(key).is_none()));
        if !absent.await? {
            return Err(failed(ErrorKind::AlreadyExists, Call::Put, key));
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn carry_out<T>(
        &self,
        call: Call,
        key: &str,
        deed: impl FnOnce() -> Result<T, ErrorKind>,
    ) -> Result<T, StorageError> {
        let luck = self.begin(call, key).await;
        let outcome = match luck {
            Luck::Good => deed(),
            Luck::Refused(kind) => Err(kind),
            Luck::Unheard(kind) => deed().and(Err(kind)),
            Luck::Half => Err(ErrorKind::Unreachable),
        };
        self.end();
        outcome.map_err(|kind| failed(kind, call, key))
    }
}

#[async_trait]
impl ObjectStore for Client {
    async fn put(&self, key: &str, body: Bytes, options: PutOptions) -> Result<(), StorageError> {
        check_key(key)?;
        if body.len() as u64 > MAX_OBJECT {
            return Err(failed(ErrorKind::TooLarge, Call::Put, key));
        }
        let atomic = self.sim.server().objects.creates_at_once();
        if options.mode == PutMode::Create && !atomic {
            self.look_first(key).await?;
        }
        let luck = self.begin(Call::Put, key).await;
        let put = |body| self.sim.server().objects.put(key, body, options);
        let outcome = match luck {
            Luck::Good => put(body),
            Luck::Refused(kind) => Err(kind),
            Luck::Unheard(kind) => put(body).and(Err(kind)),
            Luck::Half => put(body.slice(..body.len() / 2)).and(Err(ErrorKind::Unreachable)),
        };
        self.end();
        outcome.map_err(|kind| failed(kind, Call::Put, key))
    }

    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, StorageError> {
        check_key(key)?;
        self.carry_out(Call::Get, key, || {
            let body = self.sim.server().objects.newest(key).ok_or(ErrorKind::NotFound)?;
            limited(body, max)
        })
        .await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        check_key(key)?;
        self.carry_out(Call::Get, key, || {
            if range.start > range.end || range.end - range.start > MAX_OBJECT {
                return Err(ErrorKind::Invalid);
            }
            let body = self.sim.server().objects.newest(key).ok_or(ErrorKind::NotFound)?;
            match (usize::try_from(range.start), usize::try_from(range.end)) {
                (Ok(start), Ok(end)) if end <= body.len() => Ok(body.slice(start..end)),
                _ => Err(ErrorKind::Truncated),
            }
        })
        .await
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StorageError> {
        check_key(key)?;
        self.carry_out(Call::Head, key, || {
            self.sim.server().objects.head(key).ok_or(ErrorKind::NotFound)
        })
        .await
    }

    async fn list_page(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        let prefix = query.prefix;
        if prefix.starts_with('/') || prefix.contains("//") || prefix.contains("../") || !prefix.is_ascii() {
            return Err(failed(ErrorKind::Invalid, Call::List, prefix));
        }
        self.carry_out(Call::List, prefix, || {
            let server = self.sim.server();
            let lag = if self.sheltered { 0 } else { server.weather.stale_lists };
            Ok(ListPage::cut(server.objects.listed(prefix, lag), &query))
        })
        .await
    }

    async fn list_page_ever(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        self.carry_out(Call::List, query.prefix, || {
            let server = self.sim.server();
            Ok(ListPage::cut(server.objects.ever(query.prefix), &query))
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        check_key(key)?;
        self.carry_out(Call::Delete, key, || {
            let objects = &mut self.sim.server().objects;
            if objects.newest(key).is_some() {
                objects.plant(key, None);
            }
            Ok(())
        })
        .await
    }

    async fn versions(&self, key: &str) -> Result<Vec<ObjectVersion>, StorageError> {
        check_key(key)?;
        self.carry_out(Call::Versions, key, || Ok(self.sim.server().objects.versions(key)))
            .await
    }

    async fn get_version(&self, key: &str, version: &str, max: u64) -> Result<Bytes, StorageError> {
        check_key(key)?;
        self.carry_out(Call::Get, key, || {
            let body = self.sim.server().objects.version(key, version);
            limited(body.ok_or(ErrorKind::NotFound)?, max)
        })
        .await
    }

    async fn head_version(&self, key: &str, version: &str) -> Result<ObjectHead, StorageError> {
        check_key(key)?;
        self.carry_out(Call::Head, key, || {
            let head = self.sim.server().objects.head_version(key, version);
            head.ok_or(ErrorKind::NotFound)
        })
        .await
    }

    async fn delete_version(&self, key: &str, version: &str) -> Result<(), StorageError> {
        check_key(key)?;
        self.carry_out(Call::Delete, key, || {
            self.sim.server().objects.delete_version(key, version)
        })
        .await
    }

    async fn hold(&self, key: &str, retention: Retention) -> Result<Retention, StorageError> {
        check_key(key)?;
        self.carry_out(Call::Hold, key, || self.sim.server().objects.hold(key, retention))
            .await
    }

    fn url(&self) -> String {
        format!("sim:{}", self.sim.seed)
    }

    async fn prepare(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn rely_on_conditional_create(&self, _proven: bool) {}

    async fn try_out(&self, key: &str) -> Result<Capabilities, StorageError> {
        check_key(key)?;
        let checksum = self.sim.server().objects.keeps_checksums();
        Ok(Capabilities {
            checksum,
            ..Capabilities::default()
        })
    }
}

fn limited(body: Bytes, max: u64) -> Result<Bytes, ErrorKind> {
    if body.len() as u64 > max {
        Err(ErrorKind::TooLarge)
    } else {
        Ok(body)
    }
}

fn word(call: Call) -> &'static str {
    match call {
        Call::Put => "put",
        Call::Get => "get",
        Call::Head => "head",
        Call::List => "list",
        Call::Delete => "delete",
        Call::Versions => "versions",
        Call::Hold => "hold",
    }
}

fn failed(kind: ErrorKind, call: Call, key: &str) -> StorageError {
    StorageError::new(kind, key, format!("{} {key} in a simulated bucket", word(call)))
}
