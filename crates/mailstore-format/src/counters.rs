//! The counters of a user or of the shared mailboxes: `<user>.counters`, `counters.db`,
//! `shared.counters` (`imap/mboxname.c`). Byte table: `docs/format/counters.md`.

use crate::{DecodeError, ModSeq, UidValidity};

/// How many modseqs each version holds. All of them keep to one order, of which a version has the
/// first so many.
const MODSEQS_OF_VERSION: [usize; 10] = [4, 5, 6, 9, 11, 13, 23, 27, 31, 35];

/// The modseqs in that order, by Cyrus's names.
const MODSEQS: [&str; 35] = [
    "highestmodseq",
    "mailmodseq",
    "caldavmodseq",
    "carddavmodseq",
    "notesmodseq",
    "mailfoldersmodseq",
    "caldavfoldersmodseq",
    "carddavfoldersmodseq",
    "notesfoldersmodseq",
    "quotamodseq",
    "raclmodseq",
    "submissionmodseq",
    "submissionfoldersmodseq",
    "maildeletedmodseq",
    "caldavdeletedmodseq",
    "carddavdeletedmodseq",
    "notesdeletedmodseq",
    "submissiondeletedmodseq",
    "mailfoldersdeletedmodseq",
    "caldavfoldersdeletedmodseq",
    "carddavfoldersdeletedmodseq",
    "notesfoldersdeletedmodseq",
    "submissionfoldersdeletedmodseq",
    "davnotificationmodseq",
    "davnotificationdeletedmodseq",
    "davnotificationfoldersmodseq",
    "davnotificationfoldersdeletedmodseq",
    "jmapnotificationmodseq",
    "jmapnotificationdeletedmodseq",
    "jmapnotificationfoldersmodseq",
    "jmapnotificationfoldersdeletedmodseq",
    "sievemodseq",
    "sievedeletedmodseq",
    "sievefoldersmodseq",
    "sievefoldersdeletedmodseq",
];

const MODSEQS_AT: usize = 8;

/// The counters as they were last written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// The version of the file, 0 to 9.
    pub version: u32,
    /// How often the file was written.
    pub generation: u32,
    /// The highest modseq that was handed out: a client may have seen up to there.
    pub highestmodseq: ModSeq,
    /// The highest modseq of a change to mail.
    pub mailmodseq: ModSeq,
    /// The highest UIDVALIDITY that was handed out.
    pub uidvalidity: UidValidity,
    modseqs: Vec<ModSeq>,
}

impl Counters {
    /// Reads the whole file, whichever its version (`mboxname_buf_to_counters`).
    ///
    /// # Errors
    /// Where the version is unknown, the length is not that of the version, or the checksum is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let word = |at: usize, field| {
            let found = bytes.get(at..).and_then(|rest| rest.first_chunk().copied());
            let left = bytes.len().saturating_sub(at);
            found
                .map(u32::from_be_bytes)
                .ok_or_else(|| DecodeError::truncated(at as u64, field, 4, left))
        };
        let generation = word(0, "generation")?;
        // The first version had no field for it: anything can be there.
        let version = if bytes.len() == 48 { 0 } else { word(4, "version")? };
        let count = usize::try_from(version).ok().and_then(|nth| MODSEQS_OF_VERSION.get(nth));
        let Some(&count) = count else {
            return Err(DecodeError::new(4, "version", "0 to 9", version.to_string()));
        };
        let uidvalidity_at = count.saturating_mul(8).saturating_add(MODSEQS_AT);
        let crc_at = uidvalidity_at.saturating_add(4);
        if bytes.len() != crc_at.saturating_add(4) {
            let (expected, found) = (crc_at.saturating_add(4), bytes.len());
            let (expected, found) = (format!("{expected} bytes"), format!("{found} bytes"));
            return Err(DecodeError::new(0, "length", expected, found));
        }
        let (stored, computed) =
            (word(crc_at, "crc")?, crc32fast::hash(bytes.get(..crc_at).unwrap_or_default()));
        if stored != computed {
            let (expected, found) = (format!("{computed:08x}"), format!("{stored:08x}"));
            return Err(DecodeError::new(crc_at as u64, "crc", expected, found));
        }
        let modseqs = bytes.get(MODSEQS_AT..uidvalidity_at).unwrap_or_default();
        let modseqs: Vec<_> =
            modseqs.as_chunks().0.iter().map(|&chunk| ModSeq(u64::from_be_bytes(chunk))).collect();
        Ok(Self {
            version,
            generation,
            highestmodseq: modseqs.first().copied().unwrap_or_default(),
            mailmodseq: modseqs.get(1).copied().unwrap_or_default(),
            uidvalidity: UidValidity(word(uidvalidity_at, "uidvalidity")?),
            modseqs,
        })
    }

    /// The modseqs this version holds, under Cyrus's names, in their order in the file.
    pub fn modseqs(&self) -> impl Iterator<Item = (&'static str, ModSeq)> + '_ {
        MODSEQS.into_iter().zip(self.modseqs.iter().copied())
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may fail by panicking")]
mod tests {
    use super::*;

    fn file(version: u32, count: u64) -> Vec<u8> {
        let mut bytes = [7_u32.to_be_bytes(), version.to_be_bytes()].concat();
        bytes.extend((1..=count).flat_map(|nth| (nth * 100).to_be_bytes()));
        bytes.extend(1_795_235_995_u32.to_be_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend(crc.to_be_bytes());
        bytes
    }

    #[test]
    fn every_version_gives_highestmodseq_and_uidvalidity() {
        for (version, count) in (0..).zip([4, 5, 6, 9, 11, 13, 23, 27, 31, 35]) {
            let counters = Counters::decode(&file(version, count)).expect("a known version");
            assert_eq!(counters.highestmodseq, ModSeq(100));
            assert_eq!(counters.uidvalidity, UidValidity(1_795_235_995));
            assert_eq!(counters.modseqs().count() as u64, count);
        }
    }

    #[test]
    fn real_files_of_both_releases_decode() {
        let file = include_bytes!("../testdata/counters-3.6.1.db");
        let counters = Counters::decode(file).expect("Cyrus's own");
        assert_eq!((counters.version, counters.highestmodseq), (9, ModSeq(140)));
        let named: Vec<_> = counters.modseqs().filter(|(_, modseq)| modseq.0 > 0).collect();
        let expected = [
            ("highestmodseq", ModSeq(140)),
            ("mailmodseq", ModSeq(140)),
            ("mailfoldersmodseq", ModSeq(125)),
            ("quotamodseq", ModSeq(129)),
            ("maildeletedmodseq", ModSeq(130)),
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn a_flipped_bit_or_a_cut_is_an_error() {
        let file = file(9, 35);
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x10;
            assert!(Counters::decode(&damaged).is_err(), "byte {at}");
            assert!(Counters::decode(&file[..at]).is_err(), "cut at {at}");
        }
    }
}
