//! A certificate authority of a test's own, and a server's certificate by it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// The files of an authority and of a server's certificate.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority, for clients.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's key.
    pub key: PathBuf,
}

impl Certificates {
    /// New ones in `directory`, for a server of these names.
    pub fn make(directory: &Path, names: &[&str]) -> Result<Self> {
        let mut of_authority = CertificateParams::new(Vec::new())?;
        of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        of_authority.distinguished_name.push(DnType::CommonName, "an authority of a test");
        let key_of_authority = KeyPair::generate()?;
        let authority = of_authority.self_signed(&key_of_authority)?;
        let issuer = Issuer::new(of_authority, key_of_authority);
        let key = KeyPair::generate()?;
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        let put = |name: &str, text: String| {
            let path = directory.join(name);
            fs::write(&path, text).map(|()| path)
        };
        Ok(Self {
            authority: put("authority.pem", authority.pem())?,
            certificate: put("certificate.pem", certificate.pem())?,
            key: put("key.pem", key.serialize_pem())?,
        })
    }
}
