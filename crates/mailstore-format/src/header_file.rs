//! `cyrus.header`: what a mailbox is called, who may use it, and what its keywords are called.
//!
//! Two forms: three lines of text up to Cyrus 3.4, one keyed list of [`crate::dlist`] since 3.6.
//! Both are described in `docs/format/cyrus-header.md`. The file has no checksum of its own; the
//! index header keeps one of the whole file ([`crc`]).
//!
//! Source: `mailbox_read_header`, `_parse_header_data`, `mailbox_commit_header` in
//! `imap/mailbox.c`.
//!
//! ```
//! use mailstore_format::header_file::{HeaderFile, HeaderForm, MAGIC};
//!
//! let mut header = HeaderFile::new(HeaderForm::Dlist);
//! header.mbtype = Some(b"e".to_vec());
//! header.name = Some(b"user.erin".to_vec());
//! header.uniqueid = Some(b"11bt3fji0y5vaoninu64vsgh".to_vec());
//! header.acl = Some(b"erin\tlrs\t".to_vec());
//! header.flag_names.set(1, Some(b"Work".to_vec()));
//!
//! let bytes = header.encode();
//! let text = b"%(T e N user.erin I 11bt3fji0y5vaoninu64vsgh A %(erin lrs) U (NIL Work))\n";
//! assert_eq!(bytes, [MAGIC, text].concat());
//! assert_eq!(HeaderFile::decode(&bytes)?.encode(), bytes);
//! # Ok::<(), mailstore_format::DecodeError>(())
//! ```

mod dlist_form;
mod flag_names;
mod line_form;
pub mod remains;

use crate::DecodeError;
use crate::dlist::Dlist;

pub use flag_names::FlagNames;

/// The first bytes of every `cyrus.header` (`MAILBOX_HEADER_MAGIC`).
pub const MAGIC: &[u8] = b"\xa1\x02\x8b\x0dCyrus mailbox header\n\
    \"The best thing about this system was that it had lots of goals.\"\n\
    \t--Jim Morris on Andrew\n";

/// How the file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderForm {
    /// Three lines: quota root and unique id, keywords, ACL.
    Lines,
    /// One keyed list, which also holds the name and type.
    Dlist,
}

/// A `cyrus.header`. Texts are bytes as they are on disk.
///
/// Change the fields and [`HeaderFile::encode`] writes them; all else that the file held, keys
/// that are not known here included, is written back as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderFile {
    /// How the file is written.
    pub form: HeaderForm,
    /// The internal name. Only in the list form.
    pub name: Option<Vec<u8>>,
    /// The type, in the letters of `mailboxes.db`. Only in the list form.
    pub mbtype: Option<Vec<u8>>,
    /// The unique id. Missing in ancient files only.
    pub uniqueid: Option<Vec<u8>>,
    /// JMAP's id of the mailbox. Only in the list form, since 3.13.
    pub jmapid: Option<Vec<u8>>,
    /// The quota root's internal name, where there is one.
    pub quotaroot: Option<Vec<u8>>,
    /// The ACL in Cyrus's own text: identifier, tab, rights, tab, and so on.
    pub acl: Option<Vec<u8>>,
    /// What the bits of [`crate::UserFlags`] mean.
    pub flag_names: FlagNames,
    /// All pairs of the list form as they were read.
    pairs: Vec<(Vec<u8>, Dlist)>,
    /// What follows the unique id on the first line, its tab included.
    first_line_rest: Vec<u8>,
    /// Whether the second line ends with its last keyword, not with a space after it.
    no_closing_space: bool,
    /// What follows the list or the third line.
    trailing: Vec<u8>,
}

impl HeaderFile {
    /// A header that says nothing yet.
    #[must_use]
    pub fn new(form: HeaderForm) -> Self {
        Self {
            form,
            name: None,
            mbtype: None,
            uniqueid: None,
            jmapid: None,
            quotaroot: None,
            acl: None,
            flag_names: FlagNames::default(),
            pairs: Vec::new(),
            first_line_rest: Vec::new(),
            no_closing_space: false,
            trailing: match form {
                HeaderForm::Lines => Vec::new(),
                HeaderForm::Dlist => b"\n".to_vec(),
            },
        }
    }

    /// Reads a `cyrus.header` of either form. Fails where Cyrus would refuse it as
    /// `IMAP_MAILBOX_BADFORMAT`, and beyond 128 keywords, which would overrun Cyrus's memory.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Some(body) = bytes.strip_prefix(MAGIC) else {
            let front = bytes.get(..MAGIC.len()).unwrap_or(bytes).escape_ascii().to_string();
            return Err(DecodeError::new(0, "magic", MAGIC.escape_ascii().to_string(), front));
        };
        let decoded =
            if body.starts_with(b"%") { dlist_form::decode(body) } else { line_form::decode(body) };
        decoded.map_err(|error| {
            let offset = error.offset.saturating_add(u64::try_from(MAGIC.len()).unwrap_or(0));
            DecodeError { offset, ..error }
        })
    }

    /// The file's bytes. Those of a file that was read and not changed are the same as before.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        match self.form {
            HeaderForm::Lines => line_form::encode_into(self, &mut bytes),
            HeaderForm::Dlist => dlist_form::encode_into(self, &mut bytes),
        }
        bytes
    }
}

/// The CRC-32 of a whole `cyrus.header`, as the index header keeps it (`header_file_crc`): it
/// proves that keywords and flag bits belong together.
#[must_use]
pub fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_without_the_magic_or_with_half_of_it_is_an_error() {
        for bytes in [&b""[..], &MAGIC[..9], b"%(T e)\n", &MAGIC[1..]] {
            assert_eq!(HeaderFile::decode(bytes).unwrap_err().field, "magic");
        }
    }

    /// Cyrus finds an invalid format (`mailbox_read_header`): cut by one byte, it was once left so.
    #[test]
    fn a_list_whose_line_does_not_end_is_an_error() {
        let list = b"%(T e N user.erin I abc A %(erin lrs) U (Work))";
        assert!(HeaderFile::decode(&[MAGIC, list].concat()).is_err());
        assert!(HeaderFile::decode(&[MAGIC, list, b"\n"].concat()).is_ok());
        assert!(HeaderFile::decode(&[MAGIC, b"%(T e\nN user.erin)\n"].concat()).is_err());
    }

    #[test]
    fn an_error_counts_its_offset_from_the_start_of_the_file() {
        let bytes = [MAGIC, b"%(T e N\n"].concat();
        assert!(HeaderFile::decode(&bytes).unwrap_err().offset > MAGIC.len() as u64);
    }

    proptest! {
        #[test]
        fn any_change_of_a_file_gives_a_header_or_an_error(
            place in 0usize..80,
            byte in any::<u8>(),
            cut in 0usize..90,
        ) {
            let body = b"%(T e N user.erin I abc J P-F Q user.erin A %(erin lrs) U (Work NIL) X (1 2))\n";
            let mut body = body.to_vec();
            if let Some(at) = body.get_mut(place) {
                *at = byte;
            }
            body.truncate(cut);
            let bytes = [MAGIC, &body].concat();
            if let Ok(header) = HeaderFile::decode(&bytes) {
                prop_assert_eq!(HeaderFile::decode(&header.encode()), Ok(header));
            }
        }
    }
}
