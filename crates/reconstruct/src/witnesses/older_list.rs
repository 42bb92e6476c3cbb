//! The older copies of mailboxes.db that the server keeps, as far as mailboxes.db says less.

use std::path::{Path, PathBuf};

use mailstore_format::db;
use mailstore_format::mboxlist::{MailboxEntry, MailboxList};

use crate::evidence::Witnesses;
use crate::gather::read_file;
use crate::target::{Target, acl_text};

/// A larger one is not read into memory.
const LARGEST: u64 = 1 << 30;

/// A copy of mailboxes.db.
#[derive(Debug)]
pub(super) struct OlderList {
    path: PathBuf,
    list: MailboxList,
}

impl OlderList {
    /// Reads a copy; nobody writes into one, so it takes no lock.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        read_file(path, LARGEST, &mut bytes).ok()?;
        let list = MailboxList::from_database(&db::read(&bytes).ok()?);
        Some(Self { path: path.into(), list })
    }

    /// Adds to `witnesses` what they lack of the mailbox and this copy knows.
    pub(super) fn complete(&self, target: &Target, witnesses: &mut Witnesses) {
        let Some(entry) = self.entry_of(target) else { return };
        let mut taken = Vec::new();
        let lacks_uidvalidity = witnesses.uidvalidity.is_none_or(|known| known.0 == 0);
        let known = entry.uidvalidity.filter(|known| lacks_uidvalidity && known.0 != 0);
        if known.is_some() {
            witnesses.uidvalidity = known;
            taken.push("UIDVALIDITY");
        }
        let lacks_acl = witnesses.header.as_mut().filter(|header| header.acl.is_none());
        if let (Some(header), Some(acl)) = (lacks_acl, entry.acl.as_deref()) {
            header.acl = Some(acl_text(acl));
            taken.push("ACL");
        }
        for (field, known, what) in [
            (&mut witnesses.createdmodseq, entry.createdmodseq, "createdmodseq"),
            (&mut witnesses.foldermodseq, entry.foldermodseq, "foldermodseq"),
        ] {
            if field.is_none() && known.is_some() {
                *field = known;
                taken.push(what);
            }
        }
        if !taken.is_empty() {
            let told = format!("{} from {}", taken.join(", "), self.path.display());
            let before = witnesses.from_older_list.take().map(|before| format!("{before}; "));
            witnesses.from_older_list = Some(before.unwrap_or_default() + &told);
        }
    }

    /// Its record of the mailbox: of the same name, and not of another unique id.
    fn entry_of(&self, target: &Target) -> Option<&MailboxEntry> {
        let [id, name] = &target.annotation_keys;
        let by_id = (!id.is_empty()).then(|| self.list.by_uniqueid.get(id)).flatten();
        let by_name = self.list.by_name.get(name).filter(|listed| {
            listed.entry.uniqueid.as_ref().is_none_or(|known| id.is_empty() || known == id)
        });
        let found = by_name.or(by_id.filter(|listed| listed.entry.name == *name))?;
        (!found.entry.mbtype.is_deleted()).then_some(&found.entry)
    }
}

#[cfg(test)]
mod tests {
    use mailstore_format::UidValidity;
    use mailstore_format::header_file::{HeaderFile, HeaderForm};

    use super::*;

    /// What the copy in this directory adds for the mailbox of this unique id.
    fn completed(copy: &[u8], id: &str) -> Witnesses {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mailboxes.db");
        std::fs::write(&path, copy).unwrap();
        let mut target = Target::in_directory(directory.path());
        target.annotation_keys = [id.into(), b"user.erin".to_vec()];
        let header = Some(HeaderFile::new(HeaderForm::Dlist));
        let mut witnesses = Witnesses { header, ..Witnesses::default() };
        OlderList::read(&path).unwrap().complete(&target, &mut witnesses);
        witnesses
    }

    const COPY: &[u8] = b"I11bt\t%(T e N user\x1ferin M 1)\n\
        Nuser\x1ferin\t%(T e I 11bt P default V 42 C 3 F 7 M 1 A %(erin lrs))\n";

    #[test]
    fn what_the_list_lacks_is_taken_from_a_copy_and_named() {
        let witnesses = completed(COPY, "11bt");
        assert_eq!(witnesses.uidvalidity, Some(UidValidity(42)));
        assert_eq!(witnesses.header.unwrap().acl.as_deref(), Some(&b"erin\tlrs\t"[..]));
        let told = witnesses.from_older_list.unwrap();
        assert!(told.starts_with("UIDVALIDITY, ACL, createdmodseq, foldermodseq from "), "{told}");
    }

    #[test]
    fn a_copy_that_knows_another_mailbox_of_this_name_or_a_deleted_one_tells_nothing() {
        assert_eq!(completed(COPY, "another").uidvalidity, None);
        let deleted = COPY.escape_ascii().to_string().replace("%(T e I", "%(T de I");
        let deleted = deleted.replace("\\x1f", "\x1f").replace("\\t", "\t").replace("\\n", "\n");
        assert_eq!(completed(deleted.as_bytes(), "11bt").uidvalidity, None);
    }
}
