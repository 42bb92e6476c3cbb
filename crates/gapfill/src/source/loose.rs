//! Files that may be messages and are in no mailbox.

use std::ffi::OsString;
use std::sync::Arc;

use mailstore::volume::{ReadError, message_file_name};
use mailstore_format::{Guid, Timestamp};

use super::SourceKind;
use super::identity::is_database;
use super::walk::{Directory, is_numbered_piece};
use crate::hash::with_file;
use crate::listing::Listing;
use crate::mail::{field, looks_like_mail, with_crlf};
use crate::place::{Place, Skipped};

/// A file that may be a message.
#[derive(Debug, Clone)]
pub(crate) struct LooseAt {
    pub(crate) place: Arc<Place>,
    pub(crate) name: OsString,
    pub(crate) ino: u64,
}

/// What the bytes of a loose file told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LooseFile {
    /// The SHA-1 of its bytes as they are.
    pub(crate) guid: Guid,
    /// The SHA-1 of its bytes as Cyrus stores them, where their line ends are others.
    pub(crate) guid_with_crlf: Option<Guid>,
    pub(crate) size: u64,
    pub(crate) mtime: Timestamp,
    pub(crate) is_mail: bool,
    /// For whom it was, as its header says, surest first.
    pub(crate) recipients: Vec<Recipient>,
}

/// Somebody a message was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipient {
    pub(crate) address: Vec<u8>,
    /// The header field that says so.
    pub(crate) field: &'static str,
}

/// The fields that say for whom a message was delivered, surest first. They are written by mail
/// servers at delivery; `To` is written by the sender and says nothing of that.
pub(crate) const DELIVERY_FIELDS: [&str; 3] = ["X-Delivered-To", "Delivered-To", "Envelope-To"];

/// So many recipients of a message are asked for.
const RECIPIENTS: usize = 16;
/// No address is longer (RFC 5321, 4.5.3.1), in bytes.
const LONGEST_ADDRESS: usize = 320;

/// Takes the loose files out of a directory. In a server's tree only what has a message's name, or
/// lies in `lost+found`, may be one: its other files are databases, logs and scripts.
pub(super) fn in_directory(
    directory: &mut Directory,
    kind: SourceKind,
    in_mailbox: bool,
) -> Vec<LooseAt> {
    let found_by_fsck = directory
        .place
        .below()
        .iter()
        .any(|level| level == "lost+found" || is_numbered_piece(level));
    let anything = match kind {
        SourceKind::Files | SourceKind::Maildir | SourceKind::LostAndFound => true,
        SourceKind::Cyrus | SourceKind::Mailbox => in_mailbox || found_by_fsck,
    };
    let place = Arc::new(directory.place.clone());
    let at = |name: OsString, ino| LooseAt { place: Arc::clone(&place), name, ino };
    let mut found = Vec::new();
    if directory.messages > 0 && !in_mailbox {
        let listed_again = || directory.place.open().and_then(|opened| Listing::of(&opened)).ok();
        let listing = directory.listing.clone().or_else(listed_again);
        let messages = listing.into_iter().flat_map(|listing| listing.messages);
        found.extend(messages.map(|file| at(message_file_name(file.uid).into(), file.ino)));
    }
    // There may be millions: their names are moved, not copied.
    let others = std::mem::take(&mut directory.others);
    found.reserve_exact(if anything { others.len() } else { 0 });
    for (name, ino) in others {
        if (anything || is_numbered_piece(&name)) && !is_database(&name) {
            found.push(at(name, ino));
        }
    }
    found
}

/// Reads a loose file.
pub(crate) fn read_loose(at: &LooseAt) -> Result<LooseFile, Skipped> {
    let read = || -> Result<LooseFile, ReadError> {
        let directory = at.place.open()?;
        with_file(&directory, &at.name, |bytes, meta| LooseFile {
            guid: Guid::of(bytes),
            guid_with_crlf: with_crlf(bytes).map(|converted| Guid::of(&converted)),
            size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            mtime: meta.mtime,
            is_mail: looks_like_mail(bytes),
            recipients: recipients(bytes),
        })
    };
    read().map_err(|error| Skipped::of(at.place.entry(&at.name), error))
}

/// The first recipients that the delivery fields name: no message was delivered to many.
fn recipients(message: &[u8]) -> Vec<Recipient> {
    let mut found = Vec::new();
    for name in DELIVERY_FIELDS {
        for value in field(message, name.to_ascii_lowercase().as_bytes()) {
            let bare = value.trim_ascii();
            let bare = bare.strip_prefix(b"<").unwrap_or(bare);
            let address = bare.strip_suffix(b">").unwrap_or(bare);
            if found.len() == RECIPIENTS {
                return found;
            }
            if address.len() <= LONGEST_ADDRESS {
                found.push(Recipient { address: address.to_vec(), field: name });
            }
        }
    }
    found
}

impl LooseFile {
    /// The GUID it has, or would have, in a Cyrus store.
    pub(crate) fn stored_guid(&self) -> Guid {
        self.guid_with_crlf.unwrap_or(self.guid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_few_recipients_with_addresses_of_a_sane_length() {
        let fields = "Delivered-To: <a@example.com>\r\n".repeat(1000);
        let long = format!("X-Delivered-To: {}\r\n", "x".repeat(1000));
        let message = format!("{long}{fields}\r\n");
        let found = recipients(message.as_bytes());
        assert_eq!(found.len(), RECIPIENTS);
        assert!(found.iter().all(|recipient| recipient.address == b"a@example.com"));
    }
}
