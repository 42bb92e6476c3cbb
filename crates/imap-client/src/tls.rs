//! Whose certificates are believed.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::address::Address;
use crate::error::Error;

/// Whose certificates are believed.
#[derive(Debug, Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Those that this machine trusts.
    pub fn of_system() -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() { Err(Error::NoRoots) } else { Ok(Self::of(roots)) }
    }

    /// The certificate authorities in a file (PEM), and no others.
    pub fn of_file(path: &Path) -> Result<Self, Error> {
        let wrong = |why: String| Error::Certificates { path: path.to_owned(), why };
        let mut roots = RootCertStore::empty();
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.is_empty() { Err(wrong("it has none".to_owned())) } else { Ok(Self::of(roots)) }
    }

    fn of(roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has suites of every version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(Arc::new(config))
    }

    /// What is to speak with the server.
    pub(crate) fn connection(&self, address: &Address) -> Result<ClientConnection, Error> {
        let insecure = |why: String| Error::Insecure { address: address.to_string(), why };
        let name = ServerName::try_from(address.host.clone())
            .map_err(|_| insecure("its name can be in no certificate".to_owned()))?;
        ClientConnection::new(Arc::clone(&self.0), name)
            .map_err(|error| insecure(error.to_string()))
    }
}
