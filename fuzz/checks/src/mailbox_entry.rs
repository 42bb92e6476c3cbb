//! Records of `mailboxes.db`: a key, a line feed and the value.

use mailstore_format::mboxlist::{MailboxEntry, RecordKey, name_from_db, name_to_db};

use crate::record;

/// The record under a key of each kind, read and written back.
pub(crate) fn check(bytes: &[u8]) {
    let (key, value) = record::split(bytes);
    name_goes_both_ways(key);
    // The domain of a name ends at 0x1d here and at `!` there: with both there are two of them.
    if value.contains(&0x1d) && value.contains(&b'!') {
        return;
    }
    for key in [RecordKey::Name(key), RecordKey::Uniqueid(key), RecordKey::Jmapid(key)] {
        let Ok(entry) = MailboxEntry::decode(key, value) else { continue };
        let written = entry.encode();
        // The name comes from the key, which the value may repeat.
        let most = 8 * bytes.len() + 64;
        assert!(written.len() <= most, "{} bytes became {}", bytes.len(), written.len());
        let again = MailboxEntry::decode(key, &written).expect("it was written");
        assert_eq!(again.encode(), written, "what is written is written the same again");
        assert_eq!(fields(&again), fields(&entry));
    }
}

/// All that a record says, without the form in which it was written.
fn fields(entry: &MailboxEntry) -> impl PartialEq + std::fmt::Debug + '_ {
    (
        (&entry.name, &entry.uniqueid, &entry.jmapid, &entry.partition, &entry.server),
        (&entry.acl, entry.uidvalidity, entry.foldermodseq, entry.createdmodseq, entry.mtime),
        (&entry.legacy_specialuse, &entry.former_names, entry.mbtype.letters()),
    )
}

/// A name as the database holds it survives where it has none of what only internal names have.
fn name_goes_both_ways(stored: &[u8]) {
    let internal = name_from_db(stored);
    assert_eq!(internal.len(), stored.len());
    if !stored.iter().any(|byte| b"^!\x1d".contains(byte)) {
        assert_eq!(name_to_db(&internal), stored);
    }
}
