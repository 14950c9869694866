//! A proxy before a real S3 server that lies: it leaves headers out of requests, or answers in the server's place.
//!
//! What it changes is no longer signed, so it leaves the signature out as well: the bucket behind it must be open to everybody.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It is passed on as it is.
    Pass,
    /// It is passed on unsigned and without the headers whose names begin so, lower case.
    Without(&'static str),
    /// It is answered here, with this status and this body.
    Says(u16, &'static str),
}

type Rule = dyn Fn(&str) -> Deed + Send + Sync;

/// A listening proxy; gone when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    ended: Arc<AtomicBool>,
    heads: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy before `server` (`host:port`); `rule` is given each request's line and headers.
    pub fn before(server: &str, rule: impl Fn(&str) -> Deed + Send + Sync + 'static) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        let (ended, heads) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (server, rule): (String, Arc<Rule>) = (server.to_owned(), Arc::new(rule));
        let thread = std::thread::spawn({
            let (ended, heads) = (Arc::clone(&ended), Arc::clone(&heads));
            move || {
                for client in listener.incoming().flatten() {
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    let (server, rule, heads) = (server.clone(), Arc::clone(&rule), Arc::clone(&heads));
                    std::thread::spawn(move || drop(exchange(client, &server, &*rule, &heads)));
                }
            }
        });
        let thread = Some(thread);
        Proxy {
            address,
            ended,
            heads,
            thread,
        }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The line and headers of every request so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        drop(TcpStream::connect(&self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request and its answer; each connection carries one.
fn exchange(mut client: TcpStream, server: &str, rule: &Rule, heads: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heads.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
    let deed = rule(&head);
    let (mut length, mut kept) = (0, String::new());
    for line in head.trim_end().split("\r\n") {
        let name = line.split(':').next().unwrap_or_default().to_lowercase();
        match name.as_str() {
            "content-length" => length = line[name.len() + 1..].trim().parse().unwrap_or(0),
            "expect" => client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?,
            _ => {}
        }
        let left_out = match deed {
            Deed::Without(prefix) => name.starts_with(prefix) || name == "authorization",
            _ => false,
        };
        if !left_out && !["connection", "expect"].contains(&name.as_str()) {
            kept += &format!("{line}\r\n");
        }
    }
    let mut body = client.try_clone()?.take(length);
    if let Deed::Says(status, text) = deed {
        std::io::copy(&mut body, &mut std::io::sink())?;
        let length = text.len();
        // The answer to a HEAD has no body, whatever it says of its length.
        let text = if head.starts_with("HEAD ") { "" } else { text };
        write!(
            client,
            "HTTP/1.1 {status} Said\r\nServer: testkit\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        )?;
        return client.shutdown(Shutdown::Both);
    }
    let mut server = TcpStream::connect(server)?;
    write!(server, "{kept}Connection: close\r\n\r\n")?;
    std::io::copy(&mut body, &mut server)?;
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}
