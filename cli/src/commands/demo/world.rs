//! The demo's made-up game: a SQLite database that is written to all the time, and a tree of assets.
//!
//! Coins are only ever moved from one account to another, so their sum shows whether a snapshot caught a transaction half-way.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, params};

use crate::error::{CommandError, Kind};

const ACCOUNTS: u64 = 2_000;
const ITEMS: u64 = 40_000;
const MAPS: u64 = 24;
const LEVELS: u64 = 240;

/// The demo's `muster.toml`.
pub(super) const CONFIGURATION: &str = r#"# The configuration of `muster demo`.

[repository]
url = "file:repository"

[signing]
key = "keys/signing.pem"

[trust]
root = "keys/root.pub"

[store.assets]
kind = "files"
path = "game/assets"
exclude = ["*.tmp"]
objectives = { rpo = "1h", rto = "2m" }

[store.saves]
kind = "sqlite"
path = "game/saves.db"
objectives = { rpo = "15m", rto = "2m" }
checks = [
  "select sum(coins) = 1000000 from account",   # nothing was caught half-way
  "select count(*) >= 40000 from item",
  "select count(*) > 0 from transfer",
]
"#;

/// The game's files.
pub(super) struct World {
    database: PathBuf,
    assets: PathBuf,
}

impl World {
    /// Makes the game beneath `dir`.
    pub(super) fn make(dir: &Path) -> Result<Self, CommandError> {
        let world = Self {
            database: dir.join("game/saves.db"),
            assets: dir.join("game/assets"),
        };
        world.make_assets().map_err(io)?;
        world.make_database().map_err(sqlite)?;
        Ok(world)
    }

    fn make_assets(&self) -> std::io::Result<()> {
        for folder in ["maps", "levels", "text"] {
            fs::create_dir_all(self.assets.join(folder))?;
        }
        let mut noise = Noise(0x5eed);
        for map in 0..MAPS {
            // Half tiles that repeat, half noise: about as well compressible as a game's maps.
            let mut bytes = Vec::with_capacity(256 << 10);
            while bytes.len() < 256 << 10 {
                let tile = noise.next();
                bytes.extend(std::iter::repeat_n(tile.to_le_bytes(), 16).flatten());
                bytes.extend((0..16).flat_map(|_| noise.next().to_le_bytes()));
            }
            fs::write(self.assets.join(format!("maps/region-{map:02}.map")), bytes)?;
        }
        for level in 0..LEVELS {
            let rooms: Vec<String> = (0..40)
                .map(|room| format!("  {{\"room\": {room}, \"monster\": {}}}", noise.below(90)))
                .collect();
            let text = format!("{{\"level\": {level}, \"rooms\": [\n{}\n]}}\n", rooms.join(",\n"));
            fs::write(self.assets.join(format!("levels/{level:03}.json")), text)?;
        }
        fs::write(self.assets.join("text/credits.txt"), "Everybody who plays.\n")?;
        std::os::unix::fs::symlink("../maps/region-00.map", self.assets.join("levels/first.map"))?;
        fs::write(self.assets.join("text/draft.tmp"), "excluded by the configuration\n")
    }

    fn make_database(&self) -> rusqlite::Result<()> {
        let mut connection = open(&self.database)?;
        connection.execute_batch(
            "pragma journal_mode = wal;
             create table account(id integer primary key, name text not null, coins integer not null check (coins >= 0));
             create table item(id integer primary key, account integer not null references account, sheet text not null);
             create table transfer(id integer primary key, payer integer not null, payee integer not null, coins integer not null);
             create index item_of_account on item(account);",
        )?;
        let mut noise = Noise(0xc01a);
        let transaction = connection.transaction()?;
        {
            let mut account = transaction.prepare("insert into account(name, coins) values (?1, 500)")?;
            for number in 0..ACCOUNTS {
                account.execute(params![format!("player-{number:04}")])?;
            }
            let mut item = transaction.prepare("insert into item(account, sheet) values (?1, ?2)")?;
            for _ in 0..ITEMS {
                let (owner, power) = (1 + noise.below(ACCOUNTS), noise.below(100));
                let sheet = format!(
                    "{{\"rune\": \"{:016x}\", \"power\": {power}, \"lore\": \"found in the old castle\"}}",
                    noise.next()
                );
                item.execute(params![i64::try_from(owner).unwrap_or(1), sheet])?;
            }
        }
        transaction.commit()
    }

    /// What an hour does to a game. Says what it was.
    pub(super) fn change(&self) -> Result<String, CommandError> {
        let files = self.change_assets().map_err(io)?;
        let connection = open(&self.database).map_err(sqlite)?;
        let items = connection
            .execute("update item set sheet = replace(sheet, 'old castle', 'sunken temple') where id between 12000 and 12399", [])
            .map_err(sqlite)?;
        Ok(format!(
            "{files} files written, removed or renamed, {items} items re-forged"
        ))
    }

    fn change_assets(&self) -> std::io::Result<usize> {
        let map = self.assets.join("maps/region-03.map");
        let mut bytes = fs::read(&map)?;
        bytes[1_000..2_000].fill(7);
        fs::write(map, bytes)?;
        for level in LEVELS..LEVELS + 8 {
            fs::write(
                self.assets.join(format!("levels/{level:03}.json")),
                format!("{{\"level\": {level}, \"rooms\": []}}\n"),
            )?;
        }
        fs::remove_file(self.assets.join("levels/013.json"))?;
        fs::rename(
            self.assets.join("maps/region-05.map"),
            self.assets.join("maps/castle.map"),
        )?;
        Ok(11)
    }
}

/// Players who move coins until they are told to stop.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    transfers: Arc<AtomicU64>,
    thread: Option<JoinHandle<rusqlite::Result<()>>>,
}

impl Load {
    pub(super) fn start(world: &World) -> Result<Self, CommandError> {
        let (stop, transfers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let connection = open(&world.database).map_err(sqlite)?;
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&transfers));
        let thread = std::thread::spawn(move || play(connection, &stopped, &counted));
        Ok(Self {
            stop,
            transfers,
            thread: Some(thread),
        })
    }

    /// Committed transfers up to now.
    pub(super) fn transfers(&self) -> u64 {
        self.transfers.load(Ordering::Relaxed)
    }

    /// Stops, and says how many transfers were committed.
    pub(super) fn end(mut self) -> Result<u64, CommandError> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome.map_err(sqlite)?,
            _ => return Err(CommandError::new(Kind::Failed, "the demo's players stopped on a fault")),
        }
        Ok(self.transfers())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Nobody is left to hear of its error: the demo has failed already.
            let _ = thread.join();
        }
    }
}

fn play(mut connection: Connection, stop: &AtomicBool, transfers: &AtomicU64) -> rusqlite::Result<()> {
    let mut noise = Noise(0x90_1d);
    while !stop.load(Ordering::Relaxed) {
        let (payer, payee) = (1 + noise.below(ACCOUNTS), 1 + noise.below(ACCOUNTS));
        let (payer, payee) = (i64::try_from(payer).unwrap_or(1), i64::try_from(payee).unwrap_or(1));
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let paid = transaction.execute(
            "update account set coins = coins - 5 where id = ?1 and coins >= 5",
            [payer],
        )?;
        if paid == 1 {
            transaction.execute("update account set coins = coins + 5 where id = ?1", [payee])?;
            transaction.execute(
                "insert into transfer(payer, payee, coins) values (?1, ?2, 5)",
                [payer, payee],
            )?;
        }
        transaction.commit()?;
        transfers.fetch_add(u64::from(paid == 1), Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    Ok(connection)
}

fn io(error: std::io::Error) -> CommandError {
    CommandError::new(Kind::Failed, error)
}

fn sqlite(error: rusqlite::Error) -> CommandError {
    CommandError::new(Kind::Failed, error)
}

/// Numbers without pattern, the same in every demo. Not for secrets.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
