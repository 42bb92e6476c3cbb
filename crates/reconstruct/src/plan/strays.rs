//! Entries whose names are no message's, and entries that are no regular files.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;

use mailstore::spool::{OddKind, message_uid};
use mailstore_format::Uid;

use super::adoption::Found;
use super::loose::{Loose, What};
use super::{Draughtsman, SetAside};
use crate::evidence::{OddInPlace, Place, Reading, Stray};
use crate::finding::{Code, Remedy};

/// The names that NFS gives files which were removed while somebody had them open.
const HELD_OPEN: &[u8] = b".nfs";

impl<'a> Draughtsman<'a> {
    /// Decides about badly named files: a message is served, once; all else stays.
    pub(super) fn settle_strays(&mut self) {
        let mut handled = HashSet::new();
        for stray in &self.evidence.strays {
            if message_uid(stray.name.as_encoded_bytes()).is_some() || is_held_open(&stray.name) {
                continue;
            }
            let Some(reading) = &stray.reading else { continue };
            if self.settle_stray(stray, reading) {
                handled.insert((stray.place, stray.name.clone()));
            }
        }
        self.settle_odd_entries(&handled);
    }

    /// Whether anything becomes of `stray`.
    fn settle_stray(&mut self, stray: &'a Stray, reading: &'a Reading) -> bool {
        let (place, guid) = (stray.place, reading.fields.guid);
        if self.matching.takes(place, &stray.name) {
            self.set_stray_aside(stray, "its message is under its own name again");
            return true;
        }
        let there = self.known.live.contains_key(&guid);
        if let Some(uid) = self.known.tombstones.get(&guid).filter(|_| !there) {
            let name = stray.name.display();
            let detail =
                format!("{name} is the expunged message {uid}; it stays so, the file is set aside");
            self.find(Code::StaysExpunged, Remedy::Repair, detail);
            self.set_stray_aside(stray, "a copy of a message that is expunged");
            return true;
        }
        if !(there || stray.is_mail && !self.evidence.witnesses.dav) {
            return false;
        }
        let found = Found { place, identity: stray.identity, reading };
        let name = stray.name.clone();
        self.loose.push(Loose { found, name, exchanged: false, what: What::Stray });
        true
    }

    fn set_stray_aside(&mut self, stray: &Stray, reason: &'static str) {
        let (place, name, ino) = (stray.place, stray.name.clone(), stray.identity.ino);
        self.file_steps.set_aside.push(SetAside { place, name, ino, reason });
    }

    /// The entry that is no regular file and has the name of message `uid`.
    pub(super) fn odd_entry_of(&self, uid: Uid) -> Option<&'a OddInPlace> {
        let mut odd = self.evidence.directory.odd.iter();
        odd.find(|odd| stands_in_for(odd) == Some(uid))
    }

    fn settle_odd_entries(&mut self, handled: &HashSet<(Place, OsString)>) {
        let evidence = self.evidence;
        for odd in &evidence.directory.odd {
            let OddInPlace { place, entry } = odd;
            let name = entry.name.display();
            if let (Some(uid), OddKind::NotAFile(kind)) = (stands_in_for(odd), entry.kind) {
                if !entry.movable {
                    let detail = format!(
                        "{name} is {kind}, no regular file, and we have no right to move it: the \
                         server dies on it; move it out of the mailbox, then run again"
                    );
                    self.find_about(uid, Code::NotARegularFile, Remedy::Left, detail);
                    continue;
                }
                let detail = format!("{name} is {kind}, no regular file; it is set aside unopened");
                self.find_about(uid, Code::NotARegularFile, Remedy::Repair, detail);
                let puts = &self.file_steps.puts;
                if !puts.iter().any(|put| (put.place, put.uid) == (*place, uid)) {
                    let (name, ino) = (entry.name.clone(), entry.ino);
                    let reason = "it is no regular file";
                    self.file_steps.set_aside.push(SetAside { place: *place, name, ino, reason });
                }
                continue;
            }
            let what = match entry.kind {
                OddKind::BadName if handled.contains(&(*place, entry.name.clone())) => continue,
                OddKind::BadName => {
                    "is no message's name and none of the server's files".to_owned()
                }
                OddKind::NotAFile(kind) => format!("is {kind}, no regular file"),
                OddKind::Unreadable(errno) => {
                    format!("cannot be looked at: {}", io::Error::from_raw_os_error(errno))
                }
            };
            let detail = format!("{name} {what}; left in place");
            self.find(Code::OddEntry, Remedy::Left, detail);
        }
    }
}

/// The UID of the message whose name an entry has that is no regular file.
fn stands_in_for(odd: &OddInPlace) -> Option<Uid> {
    let is_no_file = matches!(odd.entry.kind, OddKind::NotAFile(_));
    message_uid(odd.entry.name.as_encoded_bytes()).filter(|_| is_no_file)
}

pub(super) fn is_held_open(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(HELD_OPEN)
}
