//! A PostgreSQL server that says anything: logging in, answers to queries, the start of a base backup.
//!
//! The input is what the server sends over a unix socket, after as much of a proper conversation as its first byte says.
//! Whatever it is, the source ends with an error and hands no incomplete backup out as taken.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixListener;
use std::sync::{LazyLock, mpsc};

use muster_stores::postgres::{Environment, PostgresSource, PostgresUrl};
use muster_stores::{Entry, Sink, SinkError, Source};

/// The socket's folder, and the way to hand the server what it says next.
static SERVER: LazyLock<(tempfile::TempDir, mpsc::Sender<Vec<u8>>)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let Ok(words) = receiver.recv() else { return };
            // Both directions at once: neither side may wait for the other's buffer.
            let mut hearing = client.try_clone().unwrap();
            let heard = std::thread::spawn(move || hearing.read_to_end(&mut Vec::new()));
            let _ = client.write_all(&words);
            let _ = client.shutdown(Shutdown::Write);
            let _ = heard.join();
        }
    });
    (folder, sender)
});

struct Nowhere;

impl Sink for Nowhere {
    fn entry(&mut self, _entry: Entry) -> Result<(), SinkError> {
        Ok(())
    }

    fn begin_file(&mut self, _entry: Entry) -> Result<(), SinkError> {
        Ok(())
    }

    fn write(&mut self, _bytes: &[u8]) -> Result<(), SinkError> {
        Ok(())
    }

    fn zeros(&mut self, _length: u64) -> Result<(), SinkError> {
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn unreadable(&mut self, _path: &[u8], _reason: String) {}
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag][..], &length, body].concat()
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

fn login() -> Vec<u8> {
    let ok = message(b'R', &[0; 4]);
    let version = message(b'S', b"server_version\x0015.1\0");
    [ok, version, message(b'K', &[0, 0, 0, 9, 0, 0, 0, 1]), ready()].concat()
}

/// A result set of one row.
fn row(values: &[&str]) -> Vec<u8> {
    let count = u16::try_from(values.len()).unwrap().to_be_bytes();
    let field = [&b"x\0"[..], &[0; 6], &25u32.to_be_bytes(), &[0; 8]].concat();
    let value = |value: &&str| [&u32::try_from(value.len()).unwrap().to_be_bytes()[..], value.as_bytes()].concat();
    let values: Vec<u8> = values.iter().flat_map(value).collect();
    [
        message(b'T', &[&count[..], &field.repeat(usize::from(count[1]))].concat()),
        message(b'D', &[&count[..], &values].concat()),
        message(b'C', b"SHOW\0"),
    ]
    .concat()
}

/// The answers to everything that is asked before the backup.
fn look() -> Vec<u8> {
    let first = ["150001", "15.1", "77", "off", "1MB", "8192"];
    let settings = ["100"; 16];
    let answers = first
        .iter()
        .chain(&settings)
        .map(|value| [row(&[value]), ready()].concat());
    let slot = [row(&["muster_9", "0/200028"]), ready()].concat();
    [login(), answers.collect::<Vec<_>>().concat(), slot].concat()
}

fn begin() -> Vec<u8> {
    let copy = message(b'H', &[0, 0, 0]);
    [look(), row(&["0/200028", "1"]), row(&["16384", "/srv"]), copy].concat()
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let salt = message(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]);
    let scram = [
        message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0"),
        message(b'R', b"\0\0\0\x0br=abc,s=c2FsdA==,i=2"),
        message(b'R', b"\0\0\0\x0cv=AAAA"),
    ];
    let error = message(b'E', b"SFATAL\0VFATAL\0C28P01\0Mno\0DMore\0HDo\0\0");
    let stream = [
        message(b'd', b"nbase.tar\0\0"),
        message(b'd', &[b'd'; 513]),
        message(b'c', b""),
    ]
    .concat();
    let ended = [row(&["0/200100", "1"]), message(b'C', b"BASE_BACKUP\0"), ready()].concat();
    let with = |mode: u8, words: Vec<u8>| [&[mode][..], &words].concat();
    vec![
        with(0, salt),
        with(0, scram.concat()),
        with(0, error.clone()),
        with(0, [message(b'N', b"SWARNING\0VWARNING\0Mx\0\0"), login()].concat()),
        with(1, [row(&["150001"]), ready()].concat()),
        with(2, [error, ready()].concat()),
        with(
            2,
            [
                row(&["0/200028", "1"]),
                row(&["16384", "/srv"]),
                message(b'H', &[0, 0, 0]),
            ]
            .concat(),
        ),
        with(3, [stream, ended].concat()),
    ]
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let Some((mode, words)) = data.split_first() else {
        return;
    };
    let before = match mode % 4 {
        0 => Vec::new(),
        1 => login(),
        2 => look(),
        _ => begin(),
    };
    let (folder, sender) = &*SERVER;
    sender.send([&before, words].concat()).unwrap();
    let url = format!(
        "postgresql://u:secret@/db?host={}&sslmode=disable",
        folder.path().display()
    );
    let url = PostgresUrl::parse_with(&url, Environment::default()).unwrap();
    let now = Box::new(|| "2026-11-25T00:00:00Z".to_owned());
    // No input is long enough for the WAL segment that a backup needs.
    let error = PostgresSource::new(url, now).snapshot(&mut Nowhere).unwrap_err();
    assert!(!format!("{error:?}").contains("secret"));
}
