//! What is left of a damaged `cyrus.header`: the whole file where its CRC proves it, else the
//! keywords that can still be made out.

use super::{FlagNames, HeaderFile, HeaderForm, MAGIC};
use crate::UserFlags;

/// No `cyrus.header` is longer: 128 keywords and an ACL of some thousand entries.
const LONGEST: usize = 1 << 18;
/// Of a longer file not every place is tried: each costs reading the file once.
const LONGEST_TRIED_EVERYWHERE: usize = 1 << 14;
/// So many possible headers are looked at.
const MOST_POSSIBLE: usize = 256;
/// The polynomial of the CRC-32 in reflected form.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// The whole file of which `damaged` is left, where `crc` proves it: with the first lines, which
/// are the same in every file, put back, or with the one changed byte put back that explains why
/// the CRC is another.
///
/// Of 2^32 CRCs 255 are explained so for each byte of the file: one with other damage is taken for
/// one of these once in 50,000.
#[must_use]
pub fn restored(damaged: &[u8], crc: u32) -> Option<Vec<u8>> {
    if damaged.len() > LONGEST {
        return None;
    }
    let mut with_magic = damaged.to_vec();
    with_magic.get_mut(..MAGIC.len())?.copy_from_slice(MAGIC);
    if super::crc(&with_magic) == crc {
        return Some(with_magic);
    }
    let one_byte = corrections(damaged, crc).find(|(_, change)| u32::from_le_bytes(*change) < 256);
    let (position, change) = one_byte?;
    Some(changed(damaged, position, change))
}

/// Every header that `damaged` can have been, with CRC `crc`, before up to four neighbouring bytes
/// were changed, and whose keywords are all keywords: about one for every byte of these by chance
/// alone, so that something else has to prove which. None for a file of more than 16 KiB, which
/// takes an ACL of hundreds of entries.
#[must_use]
pub fn possibly_restored(damaged: &[u8], crc: u32) -> Vec<HeaderFile> {
    if damaged.len() > LONGEST_TRIED_EVERYWHERE {
        return Vec::new();
    }
    // Of the places that a change of fewer bytes fits, the one where it begins.
    let beginnings = corrections(damaged, crc).filter(|(_, [first, ..])| *first != 0);
    let files = beginnings.filter_map(|(position, change)| {
        HeaderFile::decode(&changed(damaged, position, change)).ok()
    });
    let has_keywords = |file: &HeaderFile| file.flag_names.iter().all(|(_, name)| is_atom(name));
    files.filter(has_keywords).take(MOST_POSSIBLE).collect()
}

fn changed(damaged: &[u8], position: usize, change: [u8; 4]) -> Vec<u8> {
    let mut bytes = damaged.to_vec();
    let hit = bytes.get_mut(position..).unwrap_or_default();
    hit.iter_mut().zip(change).for_each(|(byte, mask)| *byte ^= mask);
    bytes
}

/// For each place, the change of the four bytes there that gives a file this CRC: there is always
/// one, and only one, because a CRC-32 is linear and as long.
///
/// A change of the bytes at `position` is a change of the CRC's register there, which takes one step
/// for each bit to the end of the file; so many steps back from the difference in the CRC is it.
fn corrections(damaged: &[u8], crc: u32) -> impl Iterator<Item = (usize, [u8; 4])> {
    let mut register = super::crc(damaged) ^ crc;
    let len = damaged.len();
    let differs = register != 0;
    (0..len).rev().filter(move |_| differs).filter_map(move |position| {
        for _ in 0..8 {
            let odd = register >> 31;
            register = ((register ^ POLYNOMIAL.wrapping_mul(odd)) << 1) | odd;
        }
        let change = register.to_le_bytes();
        let within = len.saturating_sub(position);
        let fits = change.iter().skip(within).all(|&byte| byte == 0);
        fits.then_some((position, change))
    })
}

/// The keywords that can be made out in a file that cannot be decoded: from the first on as long as
/// each is an IMAP atom between whole delimiters, so that its slot is certain. Where nothing of the
/// kind is left there are none.
#[must_use]
pub fn flag_names(damaged: &[u8]) -> (HeaderForm, FlagNames) {
    let body = damaged.get(MAGIC.len()..).unwrap_or_default();
    if let Some(list) = after_last(damaged, b" U (") {
        return (HeaderForm::Dlist, names(list, b')'));
    }
    let is_text = |line: &&[u8]| line.iter().all(|&b| b == b'\t' || !b.is_ascii_control());
    let mut lines = body.splitn(3, |&byte| byte == b'\n');
    let first = lines.next().filter(is_text).filter(|line| line.contains(&b'\t'));
    match (first, lines.next()) {
        (Some(_), Some(_)) if !body.starts_with(b"%") => {
            let at = body.iter().position(|&byte| byte == b'\n').unwrap_or(body.len());
            let list = body.get(at.saturating_add(1)..).unwrap_or_default();
            (HeaderForm::Lines, names(list, b'\n'))
        }
        _ => (HeaderForm::Dlist, FlagNames::default()),
    }
}

fn after_last<'a>(bytes: &'a [u8], pattern: &[u8]) -> Option<&'a [u8]> {
    let at = bytes.windows(pattern.len()).rposition(|window| window == pattern)?;
    bytes.get(at.saturating_add(pattern.len())..)
}

/// Names separated by single spaces, up to the first that is none or has no end.
fn names(list: &[u8], end: u8) -> FlagNames {
    let mut names = FlagNames::default();
    let mut rest = list;
    for slot in 0..UserFlags::SLOTS {
        let delimiter = rest.iter().position(|&byte| byte == b' ' || byte == end);
        let Some((name, after)) = delimiter.and_then(|at| rest.split_at_checked(at)) else { break };
        let is_hole = name.is_empty() || name == b"NIL";
        if !is_hole && !is_atom(name) {
            break;
        }
        if !is_hole {
            names.set(slot, Some(name.to_vec()));
        }
        if after.first() == Some(&end) {
            break;
        }
        rest = after.get(1..).unwrap_or_default();
    }
    names
}

/// Whether `name` is an IMAP atom, as every keyword is (`imparse_isatom` in `imap/imparse.c`).
#[must_use]
pub fn is_atom(name: &[u8]) -> bool {
    let special = |byte: &u8| !byte.is_ascii_graphic() || b"(){%*\"\\]".contains(byte);
    !name.is_empty() && !name.iter().any(special)
}

impl HeaderFile {
    /// The bytes of this header as the parts before and after its keywords, in the form in which
    /// Cyrus writes it with them: to try many sets of names without writing the rest each time.
    #[must_use]
    pub fn around_flag_names(&self) -> (Vec<u8>, Vec<u8>) {
        /// No header holds it: in each form it is written as it is.
        const MARK: &[u8] = b"-0-keywords-0-";
        let mut marked = self.clone();
        marked.flag_names = FlagNames::default();
        marked.flag_names.set(0, Some(MARK.to_vec()));
        let bytes = marked.encode();
        let at = bytes.windows(MARK.len()).rposition(|window| window == MARK).unwrap_or(0);
        let (before, rest) = bytes.split_at_checked(at).unwrap_or((&bytes, &[]));
        (before.to_vec(), rest.get(MARK.len()..).unwrap_or_default().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DLIST: &[u8] = b"%(T e N user.erin I 11bt A %(erin lrs) U (Work NIL $Later))\n";
    const LINES: &[u8] = b"user.erin\t11bt\nWork $Later \nerin\tlrs\t\n";

    fn file(body: &[u8]) -> Vec<u8> {
        [MAGIC, body].concat()
    }

    fn found(damaged: &[u8]) -> Vec<(usize, String)> {
        let (_, names) = flag_names(damaged);
        names.iter().map(|(slot, name)| (slot, String::from_utf8_lossy(name).into())).collect()
    }

    #[test]
    fn a_changed_byte_is_put_back_wherever_it_is() {
        let whole = file(DLIST);
        let crc = super::super::crc(&whole);
        for position in 0..whole.len() {
            for mask in [1, 0x80, 0x55, 0xff] {
                let mut damaged = whole.clone();
                damaged[position] ^= mask;
                assert_eq!(restored(&damaged, crc).as_deref(), Some(whole.as_slice()));
            }
        }
    }

    #[test]
    fn up_to_four_neighbouring_bytes_are_put_back_among_other_possibilities() {
        let whole = file(DLIST);
        let crc = super::super::crc(&whole);
        let header = HeaderFile::decode(&whole).unwrap();
        let start = whole.len() - 12;
        for (position, change) in [(start, [7, 0, 1, 9]), (start + 3, [1, 2, 0, 0])] {
            let mut damaged = whole.clone();
            damaged[position..position + 4].iter_mut().zip(change).for_each(|(b, m)| *b ^= m);
            assert!(possibly_restored(&damaged, crc).contains(&header), "{position}");
            assert_eq!(restored(&damaged, crc), None);
        }
        assert_eq!(possibly_restored(&whole, crc), []);
    }

    #[test]
    fn destroyed_first_lines_are_put_back_and_other_damage_is_not_guessed() {
        let whole = file(LINES);
        let crc = super::super::crc(&whole);
        let mut damaged = whole.clone();
        damaged[..MAGIC.len()].fill(0);
        assert_eq!(restored(&damaged, crc).as_deref(), Some(whole.as_slice()));
        damaged[MAGIC.len()..MAGIC.len() + 5].fill(0);
        assert_eq!(restored(&damaged, crc), None);
        assert_eq!(restored(&whole[..9], crc), None);
    }

    /// Every byte of it was changed and the whole read, which took minutes for 256 KiB.
    #[test]
    fn a_file_far_longer_than_any_header_is_not_tried_at_every_place() {
        let rights = "erin lrs ".repeat(2000);
        let mut damaged = file(format!("%(T e A %({rights}))\n").as_bytes());
        let crc = super::super::crc(&damaged);
        damaged[MAGIC.len() + 30] ^= 1;
        assert_eq!(possibly_restored(&damaged, crc), []);
        assert!(restored(&damaged, crc).is_some(), "one byte is still put back");
    }

    #[test]
    fn keywords_in_front_of_the_damage_are_made_out_with_their_slots() {
        let whole = file(DLIST);
        let all = [(0, "Work".to_owned()), (2, "$Later".to_owned())];
        assert_eq!(found(&whole[..whole.len() - 2]), all, "the end is cut off");
        assert_eq!(found(&whole[..whole.len() - 5]), all[..1], "the last name is cut");
        let mut damaged = whole.clone();
        damaged[MAGIC.len() + 3..MAGIC.len() + 12].fill(0xff);
        assert_eq!(found(&damaged), all, "the damage is before them");
        let at = whole.len() - b"NIL $Later))\n".len();
        damaged[at] = 0;
        assert_eq!(found(&damaged), all[..1], "what follows damage has no certain slot");
        assert_eq!(found(&file(LINES)[..MAGIC.len() + 20]), all[..1], "the old form too");
        assert_eq!(found(b""), []);
        assert_eq!(found(&file(b"garbage\nWork Later \n")), []);
    }

    #[test]
    fn the_parts_around_the_keywords_join_to_the_whole_file() {
        for (body, names) in [(DLIST, &b"Work NIL $Later"[..]), (LINES, b"Work $Later")] {
            let header = HeaderFile::decode(&file(body)).unwrap();
            let (before, after) = header.around_flag_names();
            assert_eq!([&before, names, &after].concat(), file(body));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_atoms_or_nothing(random: Vec<u8>, at in 0_usize..60, crc: u32) {
            let mut damaged = file(DLIST);
            let cut = damaged.len().min(MAGIC.len().saturating_add(at));
            damaged.truncate(cut);
            damaged.extend(&random);
            let (_, names) = flag_names(&damaged);
            prop_assert!(names.iter().all(|(_, name)| is_atom(name)));
            if let Some(whole) = restored(&damaged, crc) {
                prop_assert_eq!(super::super::crc(&whole), crc);
            }
        }
    }
}
