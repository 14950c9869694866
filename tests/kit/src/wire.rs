//! A wire to a real server that can be cut: forwards TCP connections, with a fault for the first ones and none for the rest.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What happens to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    Whole,
    /// It is closed before anything is forwarded.
    Refused,
    /// The request arrives and is carried out; its answer does not come back.
    AnswerLost,
    /// After so many bytes of answer it breaks off.
    AnswerBreaksAfter(usize),
    /// The answer is 503 SlowDown, and nothing is forwarded.
    Busy,
    /// After so many bytes of answer nothing more comes, and nobody hangs up.
    AnswerStallsAfter(usize),
    /// So many bytes of request are read, and then nobody reads or answers any more.
    TakesOnly(usize),
    /// One answer comes back; after that the other end is gone, and nobody hung up.
    GoneAfterOneAnswer,
    /// Nobody ever reads or answers.
    Silent,
}

/// A listening wire; cut for good when dropped.
#[derive(Debug)]
pub struct Wire {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
    clients: Arc<Mutex<Vec<TcpStream>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

const BUSY: &str = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Later.</Message></Error>";

impl Wire {
    /// A wire to `server`, whose first connections have these faults, one each.
    pub fn to(server: &str, cuts: &[Cut]) -> Wire {
        Self::at(Ipv4Addr::LOCALHOST, server, cuts)
    }

    /// The same, with its near end at another of this host's addresses.
    pub fn at(near: Ipv4Addr, server: &str, cuts: &[Cut]) -> Wire {
        let listener = TcpListener::bind((near, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let clients = Arc::<Mutex<Vec<TcpStream>>>::default();
        let ended = Arc::<AtomicBool>::default();
        let (server, mut cuts) = (server.to_owned(), VecDeque::from(cuts.to_vec()));
        let thread = std::thread::spawn({
            let (heads, clients, ended) = (Arc::clone(&heads), Arc::clone(&clients), Arc::clone(&ended));
            move || {
                for client in listener.incoming().flatten() {
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    let cut = cuts.pop_front().unwrap_or(Cut::Whole);
                    clients
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend(client.try_clone());
                    if cut != Cut::Silent {
                        let (server, heads) = (server.clone(), Arc::clone(&heads));
                        std::thread::spawn(move || drop(connection(client, &server, cut, &heads)));
                    }
                }
            }
        });
        let thread = Some(thread);
        Wire {
            address,
            heads,
            clients,
            ended,
            thread,
        }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first bytes of each connection, as text: request line and headers.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        drop(TcpStream::connect(&self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for client in self.clients.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }
}

fn connection(mut client: TcpStream, server: &str, cut: Cut, heads: &Mutex<Vec<String>>) -> std::io::Result<()> {
    if cut == Cut::Refused {
        return client.shutdown(Shutdown::Both);
    }
    let mut first = [0; 16 << 10];
    let length = client.read(&mut first)?;
    let head = String::from_utf8_lossy(&first[..length]).into_owned();
    heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    if cut == Cut::Busy {
        let length = BUSY.len();
        write!(
            client,
            "HTTP/1.1 503 Slow Down\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{BUSY}"
        )?;
        return client.shutdown(Shutdown::Both);
    }

    if let Cut::TakesOnly(bytes) = cut {
        std::io::copy(
            &mut client.take((bytes.max(length) - length) as u64),
            &mut std::io::sink(),
        )?;
        return Ok(());
    }

    let mut server = TcpStream::connect(server)?;
    server.write_all(&first[..length])?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    match cut {
        Cut::AnswerLost => {
            let mut answer = [0];
            server.read_exact(&mut answer)?;
        }
        Cut::AnswerBreaksAfter(bytes) => {
            std::io::copy(&mut Read::by_ref(&mut server).take(bytes as u64), &mut client)?;
        }
        // Whoever listens holds the connection open until the wire is dropped.
        Cut::AnswerStallsAfter(bytes) => {
            std::io::copy(&mut Read::by_ref(&mut server).take(bytes as u64), &mut client)?;
            return Ok(());
        }
        Cut::GoneAfterOneAnswer => {
            let mut answer = [0; 16 << 10];
            let length = server.read(&mut answer)?;
            client.write_all(&answer[..length])?;
            return server.shutdown(Shutdown::Both);
        }
        _ => {
            std::io::copy(&mut server, &mut client)?;
        }
    }
    client.shutdown(Shutdown::Both)?;
    server.shutdown(Shutdown::Both)
}
