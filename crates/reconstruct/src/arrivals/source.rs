//! Reading messages that are to come from where they are.

use std::path::Path;

use mailstore::volume::GuardedDir;
use mailstore_format::line_ends::{bare_lfs, with_crlf};
use mailstore_format::{Guid, Timestamp};

use super::Arrival;
use crate::examine::LARGEST_MESSAGE;

impl Arrival {
    /// Reads the message wherever it can be had, and tells where; else why it cannot be. Its SHA-1 is
    /// the one that is asked for.
    pub fn read_into(&self, message: &mut Vec<u8>) -> Result<&Path, String> {
        let mut reasons = Vec::new();
        for source in &self.sources {
            match read_source(source, self.guid, message) {
                Ok(()) => return Ok(source),
                Err(why) => reasons.push(why),
            }
        }
        Err(reasons.join("; "))
    }

    /// When it was received: as it is known, else as its newest Received field has it.
    #[must_use]
    pub fn received(&self, by_its_header: Option<Timestamp>) -> Option<Timestamp> {
        Some(self.internaldate).filter(|&date| date != Timestamp(0)).or(by_its_header)
    }
}

/// Reads the message with this SHA-1, with CRLF for LF where it takes that; why it cannot be had,
/// where it cannot.
fn read_source(source: &Path, guid: Guid, message: &mut Vec<u8>) -> Result<(), String> {
    let shown = source.display();
    let (Some(parent), Some(name)) = (source.parent(), source.file_name()) else {
        return Err(format!("{shown} is no file"));
    };
    // The path is one that was found without following a link, and so it is opened.
    let read = GuardedDir::open_under(Path::new("/"), parent)
        .and_then(|directory| directory.read_into(name, LARGEST_MESSAGE, message));
    read.map_err(|error| format!("{shown} cannot be read: {error}"))?;
    if Guid::of(message) == guid {
        return Ok(());
    }
    let bare = bare_lfs(message);
    let converted = if bare > 0 { with_crlf(message, bare) } else { Vec::new() };
    if Guid::of(&converted) != guid || converted.is_empty() {
        return Err(format!("{shown} is not the message any more: its SHA-1 is another"));
    }
    *message = converted;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_bytes_are_taken_or_what_they_were_before_their_line_ends_were_changed() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (path, link) = (root.join("7."), root.join("8."));
        let message = b"A: 1\r\n\r\none\r\n";
        let guid = Guid::of(message);
        let mut read = Vec::new();
        for copy in [&message[..], b"A: 1\n\none\n", b"A: 1\r\n\none\r\n"] {
            std::fs::write(&path, copy).unwrap();
            read_source(&path, guid, &mut read).unwrap();
            assert_eq!(read, message);
        }
        std::fs::write(&path, b"A: 1\n\ntwo\n").unwrap();
        assert!(read_source(&path, guid, &mut read).unwrap_err().contains("SHA-1"));
        std::fs::write(&path, message).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read_source(&link, guid, &mut read).is_err());
        std::os::unix::fs::symlink(&root, root.join("dir")).unwrap();
        assert!(read_source(&root.join("dir/7."), guid, &mut read).is_err());
        assert!(read_source(&root.join("9."), guid, &mut read).is_err());
    }
}
