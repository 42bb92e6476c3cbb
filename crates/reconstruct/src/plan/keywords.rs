//! The keywords of a mailbox whose `cyrus.header` is lost: which bit is called what. Names from
//! elsewhere are only guesses, and count where a checksum in the index proves them.

mod by_file_crc;
mod by_sync_crc;
mod candidates;

use mailstore_format::header_file::remains::is_atom;
use mailstore_format::header_file::{FlagNames, HeaderFile};

use super::Draughtsman;
use crate::finding::{Code, Remedy};
use candidates::{Candidates, span};

impl Draughtsman<'_> {
    /// The mailbox's lost `cyrus.header`, as far as a copy or what is left of it is proved to be it
    /// by one of these CRCs, the likeliest first. With where it is from.
    pub(super) fn proved_whole(&self, crcs: &[u32]) -> Option<(HeaderFile, String)> {
        let traces = &self.evidence.witnesses.header_traces;
        let restored = traces.restored.as_ref().filter(|file| crcs.contains(&file.crc));
        if let Some(file) = restored.filter(|file| self.is_own(&file.value)) {
            let how = "what was damaged of its bytes is put right";
            return Some((file.value.clone(), how.to_owned()));
        }
        let fits_messages = |file: &&HeaderFile| {
            by_sync_crc::confirms(&self.evidence.index, &file.flag_names) == Some(true)
        };
        let possible = traces.possible.iter().filter(|file| self.is_own(file));
        let mut possible = possible.filter(fits_messages);
        if let (Some(file), None) = (possible.next(), possible.next()) {
            let how = "what was damaged of its bytes is put right, as its keywords prove, which fit \
                       the messages";
            return Some((file.clone(), how.to_owned()));
        }
        let mut copies =
            crcs.iter().flat_map(|crc| traces.copies.iter().filter(move |copy| copy.crc == *crc));
        let copy = copies.find(|copy| self.is_own(&copy.value))?;
        Some((copy.value.clone(), format!("run {} kept a copy of it", copy.run)))
    }

    /// Gives `header`, made anew from mailboxes.db, the keywords that can be proved, else those that
    /// were read from the damaged file.
    pub(super) fn restore_keywords(&mut self, header: &mut HeaderFile) {
        let candidates = Candidates::of(&self.evidence.witnesses.header_traces, None);
        if !self.prove_keywords(header, &candidates) && span(&candidates.remains) > 0 {
            header.flag_names = candidates.remains;
            let by = "by nothing: they were read from the damaged cyrus.header";
            self.report_keywords(&header.flag_names, Code::KeywordsUnproved, by);
        }
    }

    /// Checks the keywords of a `cyrus.header` that decodes and is not the file that the index
    /// knows. Where nothing proves them, or others, they are believed up to the first that is none.
    pub(super) fn check_keywords(&mut self, found: &HeaderFile, crc: u32) {
        if self.evidence.header_file_crcs().any(|known| known == crc) {
            return;
        }
        let all_atoms = found.flag_names.iter().all(|(_, name)| is_atom(name));
        let confirmed = by_sync_crc::confirms(&self.evidence.index, &found.flag_names);
        if all_atoms && (confirmed == Some(true) || !self.evidence.index.header_proven) {
            return;
        }
        let names = &found.flag_names;
        let candidates = Candidates::of(&self.evidence.witnesses.header_traces, Some(names));
        let mut header = self.header_file.clone().unwrap_or_else(|| found.clone());
        if !self.prove_keywords(&mut header, &candidates) {
            if all_atoms {
                return;
            }
            header.flag_names = up_to_the_first_that_is_none(names);
            let by = "by nothing: they stand before damage in cyrus.header";
            self.report_keywords(&header.flag_names, Code::KeywordsUnproved, by);
        }
        let detail = match self.evidence.header_file_crcs().next() {
            Some(known) => {
                format!(
                    "its CRC is {crc:08x}, the index knows {known:08x}: its keywords are damaged"
                )
            }
            None => "one of its keywords cannot be one: they are damaged".to_owned(),
        };
        self.find(Code::HeaderFileDamaged, Remedy::Repair, detail);
        self.header_file = Some(header);
    }

    /// Gives `header` the keywords that a checksum proves, if any does.
    fn prove_keywords(&mut self, header: &mut HeaderFile, candidates: &Candidates) -> bool {
        let used = self.slots_in_use();
        let mut crcs = self.evidence.header_file_crcs();
        let by = if let Some(proved) = crcs.find_map(|crc| candidates.prove_file(header, used, crc))
        {
            *header = proved;
            "by the CRC that the index holds of cyrus.header"
        } else if let Some(names) = by_sync_crc::prove(&self.evidence.index, candidates) {
            header.flag_names = names;
            "by the checksum that the index holds for replication"
        } else {
            return false;
        };
        self.report_keywords(&header.flag_names, Code::KeywordsProved, by);
        true
    }

    fn report_keywords(&mut self, names: &FlagNames, code: Code, by: &str) {
        let slots = names.iter().map(|(slot, name)| format!("{slot} {}", name.escape_ascii()));
        let slots: Vec<_> = slots.collect();
        if !slots.is_empty() {
            let detail = format!("keywords by slot, proved {by}: {}", slots.join(", "));
            self.find(code, Remedy::Repair, detail);
        }
    }

    fn is_own(&self, file: &HeaderFile) -> bool {
        let listed = self.evidence.witnesses.header.as_ref();
        let listed = listed.and_then(|header| header.uniqueid.as_ref());
        listed.is_none() || file.uniqueid.is_none() || listed == file.uniqueid.as_ref()
    }
}

fn up_to_the_first_that_is_none(names: &FlagNames) -> FlagNames {
    let mut sound = FlagNames::default();
    for (slot, name) in names.iter().take_while(|(_, name)| is_atom(name)) {
        sound.set(slot, Some(name.to_vec()));
    }
    sound
}
