//! TLS by rustls, with ring's cryptography.

use crate::config::Config;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// What is trusted, and who we are.
struct Files {
    ca: Option<PathBuf>,
    own: Option<(PathBuf, PathBuf)>,
}

/// Agrees on TLS with the server, whose certificate must be for `host`. Files are read each time, so that renewed
/// certificates are used without a restart.
///
/// # Errors
/// If a file cannot be read, or the other side is not trusted or does not trust us.
pub(super) async fn connect(stream: TcpStream, host: &str, config: &Config) -> io::Result<TlsStream<TcpStream>> {
    let files = Files {
        ca: config.tls_ca_file.clone(),
        own: config.tls_cert_file.clone().zip(config.tls_key_file.clone()),
    };
    let name = ServerName::try_from(host.to_string())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("'{host}': {error}")))?;
    // Reading files and parsing some hundred certificates must not keep other tasks waiting.
    let config = tokio::task::spawn_blocking(move || client_config(&files)).await??;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

fn client_config(files: &Files) -> io::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots(files.ca.as_deref())?);
    match &files.own {
        None => Ok(builder.with_no_client_auth()),
        Some((cert, key)) => {
            let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, &error))?;
            builder
                .with_client_auth_cert(certificates(cert)?, key_der)
                .map_err(|error| bad(cert, &error))
        }
    }
}

fn roots(ca: Option<&Path>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| bad(path, &error))?;
            }
        }
        None => {
            let loaded = rustls_native_certs::load_native_certs();
            // Systems carry certificates that nobody can read; what can be read is enough.
            roots.add_parsable_certificates(loaded.certs);
        }
    }
    if roots.is_empty() {
        let what = "no certificate is trusted: the system has none; name a file in Config::tls_ca_file";
        return Err(io::Error::new(io::ErrorKind::NotFound, what));
    }
    Ok(roots)
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let parsed = CertificateDer::pem_file_iter(path).map_err(|error| bad(path, &error))?;
    let all: Vec<_> = parsed.collect::<Result<_, _>>().map_err(|error| bad(path, &error))?;
    if all.is_empty() {
        return Err(bad(path, &"no certificate in it"));
    }
    Ok(all)
}

fn bad(path: &Path, why: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {why}", path.display()))
}
