//! `cyrus.header` in both forms, and what is left of a damaged one.

use mailstore_format::UserFlags;
use mailstore_format::header_file::{self, HeaderFile, remains};

/// The file read and written back, and the same bytes taken for the remains of a file with the CRC
/// that the file without its first byte has: one that does not fit.
pub(crate) fn check(bytes: &[u8]) {
    if let Ok(header) = HeaderFile::decode(bytes) {
        let written = header.encode();
        assert_eq!(HeaderFile::decode(&written).as_ref(), Ok(&header));
        assert!(written.len() <= 8 * bytes.len());
        assert!(header.flag_names.iter().all(|(slot, _)| slot < UserFlags::SLOTS));
        let (before, after) = header.around_flag_names();
        assert!(before.len() + after.len() <= 8 * bytes.len());
    }
    let crc = header_file::crc(bytes.get(1..).unwrap_or_default());
    if let Some(whole) = remains::restored(bytes, crc) {
        assert_eq!((whole.len(), header_file::crc(&whole)), (bytes.len(), crc));
    }
    let possible = remains::possibly_restored(bytes, crc);
    assert!(possible.len() <= 256);
    for header in possible {
        assert!(header.flag_names.iter().all(|(_, name)| remains::is_atom(name)));
    }
    let (_, names) = remains::flag_names(bytes);
    for (slot, name) in names.iter() {
        assert!(slot < UserFlags::SLOTS && remains::is_atom(name));
        assert!(memchr::memmem::find(bytes, name).is_some(), "a keyword was invented");
    }
}
