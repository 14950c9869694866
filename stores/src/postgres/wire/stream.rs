//! The socket under a connection: TCP, unix or TLS over TCP, always with timeouts.
//!
//! Invariant: `sslmode=require` and stricter never end in an unencrypted stream.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustix::net::sockopt;

use super::error::WireError;
use super::tls;
use crate::postgres::url::{Host, PostgresUrl, SslMode};

/// A connected socket.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Stream {
    /// Connects, and encrypts as far as `encrypt` demands.
    pub(crate) fn connect(url: &PostgresUrl, encrypt: SslMode) -> Result<Stream, WireError> {
        let mut stream = match &url.host {
            Host::Socket(directory) => {
                // The kernel either answers at once or has no listener: no timeout is needed for this step.
                let stream = UnixStream::connect(directory.join(format!(".s.PGSQL.{}", url.port)))?;
                return Stream::with_timeouts(Stream::Unix(stream), url.connect_timeout);
            }
            Host::Tcp(name) => Stream::with_timeouts(
                Stream::Tcp(connect_tcp(name, url.port, url.connect_timeout)?),
                url.connect_timeout,
            )?,
        };
        if encrypt == SslMode::Disable {
            return Ok(stream);
        }
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        stream.write_all(&request)?;
        stream.flush()?;
        // Exactly one byte: whatever follows it unencrypted could have been put there by someone else.
        let mut answer = [0_u8];
        stream.read_exact(&mut answer)?;
        match (answer[0], stream) {
            (b'S', Stream::Tcp(socket)) => tls::start(url, encrypt, socket).map(|tls| Stream::Tls(Box::new(tls))),
            (b'N', stream) if encrypt == SslMode::Prefer => Ok(stream),
            (b'N', _) => Err(WireError::Refused {
                reason: "the server offers no encryption, and sslmode demands it".into(),
                hint: Some("set `ssl = on` on the server, or say sslmode=disable where the network is trusted".into()),
            }),
            _ => Err(WireError::protocol(
                "it answered the request for encryption with neither yes nor no: is it a PostgreSQL server?",
            )),
        }
    }

    fn with_timeouts(stream: Stream, limit: Duration) -> Result<Stream, WireError> {
        stream.set_timeouts(limit)?;
        Ok(stream)
    }

    /// No single read or write waits longer.
    pub(crate) fn set_timeouts(&self, limit: Duration) -> io::Result<()> {
        let limit = Some(limit.max(Duration::from_millis(1)));
        match self {
            Stream::Unix(socket) => socket
                .set_read_timeout(limit)
                .and_then(|()| socket.set_write_timeout(limit)),
            Stream::Tcp(socket) => socket
                .set_read_timeout(limit)
                .and_then(|()| socket.set_write_timeout(limit)),
            Stream::Tls(tls) => tls
                .sock
                .set_read_timeout(limit)
                .and_then(|()| tls.sock.set_write_timeout(limit)),
        }
    }

    /// Nobody between here and the server can read what is sent.
    pub(crate) fn is_private(&self) -> bool {
        match self {
            Stream::Tls(_) | Stream::Unix(_) => true,
            Stream::Tcp(socket) => socket.peer_addr().is_ok_and(|address| address.ip().is_loopback()),
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Stream::Tcp(_) => "tcp",
            Stream::Unix(_) => "unix",
            Stream::Tls(_) => "tls",
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => socket.read(buffer),
            Stream::Unix(socket) => socket.read(buffer),
            Stream::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => socket.write(bytes),
            Stream::Unix(socket) => socket.write(bytes),
            Stream::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(socket) => socket.flush(),
            Stream::Unix(socket) => socket.flush(),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}

fn connect_tcp(name: &str, port: u16, limit: Duration) -> Result<TcpStream, WireError> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{name} has no address"));
    for address in (name, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                // A peer that vanished without a word is noticed even while the server is silent for a long checkpoint.
                sockopt::set_socket_keepalive(&socket, true).map_err(io::Error::from)?;
                sockopt::set_tcp_keepidle(&socket, Duration::from_secs(30)).map_err(io::Error::from)?;
                sockopt::set_tcp_keepintvl(&socket, Duration::from_secs(10)).map_err(io::Error::from)?;
                sockopt::set_tcp_keepcnt(&socket, 3).map_err(io::Error::from)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last.into())
}
