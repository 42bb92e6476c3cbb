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
