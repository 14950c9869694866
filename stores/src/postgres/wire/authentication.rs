//! Logging in: SCRAM-SHA-256, MD5, clear text where nobody can listen, or nothing when the server asks for nothing.
//!
//! Invariant: a password goes out in clear only over TLS, a unix socket or loopback, whatever the server asks for.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::connection::Connection;
use super::error::{ServerError, WireError};
use crate::postgres::password::{Password, PasswordChoice};
use crate::postgres::url::PostgresUrl;

/// Answers the server until it is ready for queries, and gives the process id behind the session.
pub(crate) fn log_in(
    connection: &mut Connection,
    url: &PostgresUrl,
    choose: impl Fn() -> PasswordChoice,
) -> Result<i32, WireError> {
    let mut process_id = 0;
    let password = || match choose() {
        PasswordChoice::Found(password) => Ok(password),
        PasswordChoice::None(why) => Err(WireError::Refused {
            reason: format!("the server asks for the password of {}, and there is none", url.user()),
            hint: Some(format!(
                "{why}; give it by PGPASSWORD or a line `host:port:database:user:password` in ~/.pgpass (mode 0600)"
            )),
        }),
    };
    loop {
        match connection.receive()?.parse()? {
            Message::AuthenticationOk => {}
            Message::BackendKeyData(body) => process_id = body.process_id(),
            Message::ReadyForQuery(_) => return Ok(process_id),
            Message::ErrorResponse(body) => return Err(WireError::Server(Box::new(ServerError::read(body.fields())?))),
            Message::AuthenticationCleartextPassword => {
                if !connection.is_private() {
                    return Err(WireError::Refused {
                        reason: "the server asks for the password in clear over an unencrypted connection".into(),
                        hint: Some(
                            "use sslmode=require or stricter, or `scram-sha-256` in the server's pg_hba.conf".into(),
                        ),
                    });
                }
                send_password(connection, password()?.expose().as_bytes())?;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(url.user().as_bytes(), password()?.expose().as_bytes(), body.salt());
                send_password(connection, hash.as_bytes())?;
            }
            Message::AuthenticationSasl(body) => {
                let offered: Vec<String> = body.mechanisms().map(|name| Ok(name.to_owned())).collect()?;
                if !offered.iter().any(|name| name == SCRAM_SHA_256) {
                    return Err(WireError::Refused {
                        reason: format!("the server offers only {} to log in", offered.join(", ")),
                        hint: None,
                    });
                }
                scram(connection, &password()?)?;
            }
            _ => {
                return Err(WireError::Refused {
                    reason: "the server asks for a way to log in that is not supported (GSSAPI, SSPI or certificate)"
                        .into(),
                    hint: Some("let pg_hba.conf ask this role for scram-sha-256".into()),
                });
            }
        }
    }
}

fn scram(connection: &mut Connection, password: &Password) -> Result<(), WireError> {
    let mut scram = ScramSha256::new(password.expose().as_bytes(), ChannelBinding::unsupported());
    let mut message = BytesMut::new();
    frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut message)?;
    connection.send(&message)?;
    loop {
        match connection.receive()?.parse()? {
            Message::AuthenticationSaslContinue(body) => {
                scram.update(body.data()).map_err(broken)?;
                message.clear();
                frontend::sasl_response(scram.message(), &mut message)?;
                connection.send(&message)?;
            }
            // The server proves that it knows the password too.
            Message::AuthenticationSaslFinal(body) => return scram.finish(body.data()).map_err(broken),
            Message::ErrorResponse(body) => return Err(WireError::Server(Box::new(ServerError::read(body.fields())?))),
            _ => return Err(WireError::protocol("something else than SCRAM's next step arrived")),
        }
    }
}

fn broken(error: std::io::Error) -> WireError {
    WireError::Protocol(format!("the server's part of SCRAM-SHA-256 is wrong: {error}"))
}

fn send_password(connection: &mut Connection, password: &[u8]) -> Result<(), WireError> {
    let mut message = BytesMut::new();
    frontend::password_message(password, &mut message)?;
    connection.send(&message)
}
