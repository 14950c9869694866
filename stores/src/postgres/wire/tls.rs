//! TLS to a PostgreSQL server, by `sslmode`.
//!
//! Invariant: `verify-full` checks chain and name, `verify-ca` the chain, `require` and `prefer` encrypt without asking who is
//! there, as libpq does. The handshake's own signature is checked in every mode.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};

use super::error::WireError;
use crate::postgres::url::{Host, PostgresUrl, RootCert, SslMode};

pub(crate) fn start(
    url: &PostgresUrl,
    mode: SslMode,
    mut socket: TcpStream,
) -> Result<StreamOwned<ClientConnection, TcpStream>, WireError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new(url, mode, Arc::clone(&provider))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls_failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let Host::Tcp(host) = &url.host else {
        return Err(WireError::protocol("TLS runs over TCP only"));
    };
    let name = ServerName::try_from(host.clone())
        .map_err(|_| WireError::protocol(format!("{host} is no name that a certificate can carry")))?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(tls_failed)?;
    while connection.is_handshaking() {
        connection
            .complete_io(&mut socket)
            .map_err(|error| handshake_failed(error, mode))?;
    }
    Ok(StreamOwned::new(connection, socket))
}

fn tls_failed(error: rustls::Error) -> WireError {
    WireError::Io(io::Error::other(error))
}

fn handshake_failed(error: io::Error, mode: SslMode) -> WireError {
    let certificate = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .is_some_and(|inner| matches!(inner, rustls::Error::InvalidCertificate(_)));
    if !certificate {
        return WireError::Io(error);
    }
    let hint = match mode {
        SslMode::VerifyFull => {
            "sslrootcert must hold the authority that signed the server's certificate, and the certificate (its subject alternative names) the host in the url"
        }
        _ => "sslrootcert must hold the authority that signed the server's certificate",
    };
    WireError::Refused {
        reason: error.to_string(),
        hint: Some(hint.into()),
    }
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Absent where nobody is asked who is there.
    chain: Option<Chain>,
}

#[derive(Debug)]
struct Chain {
    webpki: Arc<WebPkiServerVerifier>,
    roots: Vec<CertificateDer<'static>>,
    check_name: bool,
}

impl Verifier {
    fn new(url: &PostgresUrl, mode: SslMode, provider: Arc<CryptoProvider>) -> Result<Verifier, WireError> {
        if !matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull) {
            return Ok(Verifier { provider, chain: None });
        }
        let (roots, place) = match &url.ssl_root_cert {
            RootCert::File(file) => {
                let unreadable = |error| WireError::Refused {
                    reason: format!("sslrootcert {} cannot be used: {error}", file.display()),
                    hint: None,
                };
                let roots: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(unreadable)?.collect();
                (roots.map_err(unreadable)?, file.display().to_string())
            }
            RootCert::System => (
                rustls_native_certs::load_native_certs().certs,
                "the operating system".into(),
            ),
        };
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider))
            .build()
            .map_err(|error| WireError::Refused {
                reason: format!("{place} has no usable root certificate: {error}"),
                hint: Some("name the authority's certificate with sslrootcert=FILE".into()),
            })?;
        let check_name = mode == SslMode::VerifyFull;
        Ok(Verifier {
            provider,
            chain: Some(Chain {
                webpki,
                roots,
                check_name,
            }),
        })
    }
}

impl Chain {
    fn verify(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        match self.webpki.verify_server_cert(server, intermediates, name, ocsp, now) {
            Ok(_) => Ok(()),
            // The chain is proven before the name is looked at.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.check_name => Ok(()),
            // `openssl req -x509` makes a server certificate that is its own authority: webpki takes no authority for a server,
            // but here the very certificate was named as trusted. Its validity period has been checked by then.
            Err(error) if is_authority(&error) && self.roots.iter().any(|root| root.as_ref() == server.as_ref()) => {
                if self.check_name {
                    verify_server_name(&ParsedCertificate::try_from(server)?, name)?;
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn is_authority(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::Other(other)) if other.to_string().contains("CaUsedAsEndEntity"))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(chain) = &self.chain {
            chain.verify(server, intermediates, name, ocsp, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            server,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            server,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
