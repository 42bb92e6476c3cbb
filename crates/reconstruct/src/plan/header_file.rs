//! `cyrus.header`: believed, corrected or made anew.

use mailstore_format::header_file::HeaderFile;

use super::Draughtsman;
use crate::evidence::HeaderFileEvidence;
use crate::finding::{Code, Finding, Remedy};

impl Draughtsman<'_> {
    /// Files of another mailbox in this one's place: a restore or a rename went wrong, and to repair
    /// either from the other's files would mix them.
    pub(super) fn belongs_to_another_mailbox(&mut self) -> bool {
        let HeaderFileEvidence::Sound { value, crc } = &self.evidence.header_file else {
            return false;
        };
        let listed = self.evidence.witnesses.header.as_ref();
        let listed = listed.and_then(|header| header.uniqueid.clone());
        let (Some(listed), Some(found)) = (listed, value.uniqueid.clone()) else { return false };
        let is_whole = self.index_vouches_for(*crc) || !differ_by_damage(&listed, &found);
        if listed == found || !is_whole {
            return false;
        }
        let text = |id: &[u8]| String::from_utf8_lossy(id).into_owned();
        let detail = format!(
            "cyrus.header has the unique id {}, mailboxes.db has {}: these are another mailbox's \
             files; left alone",
            text(&found),
            text(&listed)
        );
        self.find(Code::MailboxMismatch, Remedy::Left, detail);
        true
    }

    /// Makes sure there is a `cyrus.header` to work with; `false` where there can be none.
    pub(super) fn settle_header_file(&mut self) -> bool {
        let (code, why) = match &self.evidence.header_file {
            HeaderFileEvidence::Sound { value, crc } => {
                if !self.index_vouches_for(*crc) && !self.put_right(value, *crc) {
                    self.check_against_the_list(value);
                    self.check_keywords(value, *crc);
                }
                return true;
            }
            HeaderFileEvidence::Unreadable(why) => {
                let detail =
                    format!("cyrus.header cannot be read: {why}; the mailbox is left alone");
                self.find(Code::HeaderFileDamaged, Remedy::Left, detail);
                return false;
            }
            HeaderFileEvidence::Damaged(why) => (Code::HeaderFileDamaged, why.clone()),
            HeaderFileEvidence::Missing => {
                (Code::HeaderFileMissing, "there is no cyrus.header".to_owned())
            }
        };
        let crcs: Vec<_> = self.evidence.header_file_crcs().collect();
        if let Some((header, how)) = self.proved_whole(&crcs) {
            let detail = format!("{why}; {how}, as the CRC in the index proves");
            self.find(code, Remedy::Repair, detail);
            self.header_file = Some(header);
            return true;
        }
        if let Some(mut header) = self.evidence.witnesses.header.clone() {
            self.find(code, Remedy::Repair, format!("{why}; made anew from mailboxes.db"));
            self.report_older_list();
            self.restore_keywords(&mut header);
            self.header_file = Some(header);
            return true;
        }
        self.find(
            code,
            Remedy::Left,
            format!("{why}, and no mailboxes.db tells its content: run with -C imapd.conf"),
        );
        false
    }

    /// Puts a `cyrus.header` right that decodes, but whose CRC shows what is damaged in it. A copy of
    /// an earlier run may be older than the file, if nothing of that is damaged; so may a leftover
    /// index, and counts only where the file is not the one that a damaged index header knows.
    fn put_right(&mut self, found: &HeaderFile, crc: u32) -> bool {
        if self.evidence.header_file_crcs().any(|known| known == crc) {
            return false;
        }
        let from_copy = |file: &HeaderFile| {
            let copies = &self.evidence.witnesses.header_traces.copies;
            copies.iter().any(|copy| copy.value == *file)
        };
        let known = self.evidence.proven_header_file_crc();
        let proved = known.and_then(|known| self.proved_whole(&[known]));
        let proved = proved.filter(|(file, _)| file != found && !from_copy(file));
        let Some((restored, how)) = proved else { return false };
        let detail = format!("it is not the file that the index knows; {how}");
        self.header_file = Some(restored);
        self.find(Code::HeaderFileDamaged, Remedy::Repair, detail);
        true
    }

    /// Tells what an older copy of mailboxes.db had to tell, once it is used.
    pub(super) fn report_older_list(&mut self) {
        let Some(told) = &self.evidence.witnesses.from_older_list else { return };
        let told = format!("mailboxes.db lacks it: {told}");
        let reported = |finding: &Finding| finding.code == Code::MailboxListOlder;
        if !self.findings.iter().any(reported) {
            self.find(Code::MailboxListOlder, Remedy::Note, told);
        }
    }

    /// Whether the index does not know `cyrus.header` by another CRC. Before version 12 it knows none.
    fn index_vouches_for(&self, crc: u32) -> bool {
        let index = &self.evidence.index;
        let known = index.header.as_ref().map_or(0, |header| header.header_file_crc);
        index.header_proven && (known == 0 || known == crc)
    }

    /// A `cyrus.header` for which no index vouches may have been damaged and still decode: what
    /// mailboxes.db knows as well is taken from there. The CRC that is then put right would
    /// otherwise vouch for the damage.
    fn check_against_the_list(&mut self, found: &HeaderFile) {
        let Some(listed) = &self.evidence.witnesses.header else { return };
        let mut header = found.clone();
        let fields = [
            ("name", &mut header.name, &listed.name),
            ("type", &mut header.mbtype, &listed.mbtype),
            ("unique id", &mut header.uniqueid, &listed.uniqueid),
            ("ACL", &mut header.acl, &listed.acl),
        ];
        let mut wrong = Vec::new();
        for (what, found, listed) in fields {
            if found.is_some() && listed.is_some() && found != listed {
                found.clone_from(listed);
                wrong.push(what);
            }
        }
        if !wrong.is_empty() {
            let detail = format!(
                "no index vouches for it, and its {} not as in \
                 mailboxes.db, from where it is taken",
                if let [one] = wrong.as_slice() {
                    format!("{one} is")
                } else {
                    format!("{} are", wrong.join(", "))
                }
            );
            self.find(Code::HeaderFileDamaged, Remedy::Repair, detail);
            self.header_file = Some(header);
        }
    }
}

/// Whether two unique ids are so alike that one is the other with a byte or two damaged.
fn differ_by_damage(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).filter(|(one, other)| one != other).count();
    one.len() == other.len() && differing <= 2
}
