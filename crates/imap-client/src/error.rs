//! Why a session could not go on.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use thiserror::Error;

/// An operation that failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A text names no server.
    #[error("'{0}' names no IMAP server: it is imap://HOST, imap://HOST:PORT or imaps://HOST")]
    Address(String),

    /// The server cannot be reached.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The server.
        address: String,
        /// What the system said.
        source: io::Error,
    },

    /// A file of certificates cannot be used.
    #[error("{path} has no usable certificates: {why}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },

    /// The machine has no certificates that it trusts.
    #[error("this machine trusts no certificate: name the file of your own CA (imap_ca)")]
    NoRoots,

    /// No trust was established.
    #[error("no secure connection to {address}: {why}")]
    Insecure {
        /// The server.
        address: String,
        /// Why.
        why: String,
    },

    /// The password would be sent in the clear.
    #[error(
        "{peer} offers no TLS, and a password is not sent to it in the clear: use imaps://, or say \
         --allow-plaintext"
    )]
    Plaintext {
        /// The server.
        peer: IpAddr,
    },

    /// The server does not let the user in.
    #[error("the server does not let '{user}' in: {said}")]
    LoginRefused {
        /// The user as whom to be.
        user: String,
        /// What the server said.
        said: String,
    },

    /// The server answered a command with NO or BAD.
    #[error("{command}: the server says {said}")]
    Refused {
        /// The command.
        command: &'static str,
        /// What the server said.
        said: crate::reply::Status,
    },

    /// The connection is gone.
    #[error("the connection is lost: {0}")]
    Lost(String),

    /// What the server sent is not IMAP, or more than was asked for.
    #[error("the server breaks the protocol: {0}")]
    Protocol(String),
}

impl Error {
    /// Whether another connection may fare better.
    #[must_use]
    pub const fn is_of_the_connection(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Lost(_) | Self::Protocol(_))
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Self::Lost("the server did not answer in time".to_owned())
            }
            io::ErrorKind::UnexpectedEof => Self::Lost("the server closed it".to_owned()),
            _ => Self::Lost(error.to_string()),
        }
    }
}
