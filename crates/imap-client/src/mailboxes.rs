//! Making mailboxes: CREATE with what they are for (RFC 6154), their ACLs (RFC 4314).

use crate::error::Error;
use crate::session::{Session, mailbox_name};
use crate::text::quoted;

impl Session {
    /// CREATE. `special_use` are attributes such as `\\Sent`, blanks in between, and only asked for
    /// where [`Session::makes_special_mailboxes`].
    pub fn create(&mut self, mailbox: &[u8], special_use: Option<&str>) -> Result<(), Error> {
        let name = mailbox_name(mailbox)?;
        let special_use = special_use.filter(|it| self.makes_special_mailboxes() && is_use(it));
        let line = match special_use {
            Some(special_use) => format!("CREATE {name} (USE ({special_use}))"),
            None => format!("CREATE {name}"),
        };
        self.must("CREATE", &line, &mut |_| Ok(()))
    }

    /// Whether [`Session::create`] can say what a mailbox is for.
    #[must_use]
    pub fn makes_special_mailboxes(&self) -> bool {
        self.offers("CREATE-SPECIAL-USE")
    }

    /// SUBSCRIBE.
    pub fn subscribe(&mut self, mailbox: &[u8]) -> Result<(), Error> {
        let name = mailbox_name(mailbox)?;
        self.must("SUBSCRIBE", &format!("SUBSCRIBE {name}"), &mut |_| Ok(()))
    }

    /// SETACL: these are the rights of `identifier` from now on.
    pub fn set_acl(&mut self, mailbox: &[u8], identifier: &str, rights: &str) -> Result<(), Error> {
        let name = mailbox_name(mailbox)?;
        let words = quoted(identifier.as_bytes()).zip(quoted(rights.as_bytes()));
        let (identifier, rights) = words.ok_or_else(|| {
            Error::Protocol(format!("'{}' cannot be said in IMAP", identifier.escape_debug()))
        })?;
        self.must("SETACL", &format!("SETACL {name} {identifier} {rights}"), &mut |_| Ok(()))
    }
}

/// Whether a text is attributes of mailboxes, so that it can stand in a command.
fn is_use(text: &str) -> bool {
    let is_attribute = |word: &str| {
        let name = word.strip_prefix('\\').unwrap_or_default();
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    !text.is_empty() && text.split(' ').all(is_attribute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_attributes_are_said_to_be_a_use() {
        for good in ["\\Sent", "\\Sent \\Archive"] {
            assert!(is_use(good), "{good}");
        }
        for bad in ["", "Sent", "\\Sent)", "\\Sent  \\Trash", "\\Sent\r\nx"] {
            assert!(!is_use(bad), "{bad}");
        }
    }
}
