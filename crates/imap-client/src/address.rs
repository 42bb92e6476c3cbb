//! Where a server is, as operators write it: `imap://host:port`, `imaps://host`.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Whether TLS begins with the connection; else by STARTTLS.
    pub tls: bool,
    /// Its name, or its address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

const SCHEMES: [(&str, bool, u16); 2] = [("imap://", false, 143), ("imaps://", true, 993)];

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Address(text.to_owned());
        let of_scheme = SCHEMES.iter().find_map(|(scheme, tls, port)| {
            let (start, rest) = text.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some((*tls, *port, rest))
        });
        let (tls, usual_port, rest) = of_scheme.ok_or_else(wrong)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
                (host, if rest.is_empty() { None } else { rest.strip_prefix(':') })
            }
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(wrong());
        }
        let port = port.map_or(Ok(usual_port), str::parse).map_err(|_| wrong())?;
        Ok(Self { tls, host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "imaps" } else { "imap" };
        let Self { host, port, .. } = self;
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_with_and_without_port_and_by_address() {
        let shown = |text: &str| text.parse::<Address>().unwrap().to_string();
        assert_eq!(shown("imap://store7"), "imap://store7:143");
        assert_eq!(shown("IMAPS://mail.example.org/"), "imaps://mail.example.org:993");
        assert_eq!(shown("imap://127.0.0.1:1143"), "imap://127.0.0.1:1143");
        assert_eq!(shown("imaps://[::1]:7"), "imaps://[::1]:7");
        assert_eq!(shown("imap://[::1]"), "imap://[::1]:143");
    }

    #[test]
    fn what_names_no_server_says_how_one_is_named() {
        let wrong =
            ["", "store7", "http://x", "imap://", "imap://a b", "imap://u:p@h", "imap://x:y"];
        for text in wrong {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("imaps://HOST"), "{text}: {error}");
        }
    }
}
