//! TLS for syslog (RFC 5425): the server is checked by name or address, as in a browser.

use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::destination::Server;
use crate::failure::Failure;

/// Where distributions keep the certificates that sign others: Debian, Red Hat, SUSE.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// What connections to a server have in common.
///
/// # Errors
/// Certificates or a key cannot be read.
pub(super) fn config(server: &Server) -> Result<Arc<ClientConfig>, Failure> {
    made(server).map(Arc::new).map_err(Failure::BadInput)
}

/// Makes a TLS connection of a stream.
///
/// # Errors
/// The server is not who it should be, or speaks no TLS.
pub(super) fn connect(
    config: &Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    // Now, so that a server that is refused is an error before anything is told to it.
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

fn made(server: &Server) -> anyhow::Result<ClientConfig> {
    let system = || SYSTEM.iter().map(Path::new).find(|path| path.is_file());
    let Some(ca) = server.ca.as_deref().or_else(system) else {
        bail!("this system has no certificates in {}; name a file: tls://HOST?ca=FILE", SYSTEM.join(", "));
    };
    let mut roots = RootCertStore::empty();
    // Of those of a system, some may be of a kind that is not known here.
    let (usable, _) = roots.add_parsable_certificates(certificates(ca)?);
    if usable == 0 {
        bail!("no certificate in {} can be used", ca.display());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &server.own else { return Ok(builder.with_no_client_auth()) };
    let secret = PrivateKeyDer::from_pem_file(key).with_context(|| format!("cannot read the key {}", key.display()))?;
    builder
        .with_client_auth_cert(certificates(certificate)?, secret)
        .with_context(|| format!("{} and {} do not fit each other", certificate.display(), key.display()))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let context = || format!("cannot read the certificates in {}", path.display());
    let found = CertificateDer::pem_file_iter(path).with_context(context)?;
    found.collect::<Result<Vec<_>, _>>().with_context(context)
}
