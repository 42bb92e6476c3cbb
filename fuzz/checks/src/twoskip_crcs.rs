//! Twoskip databases: as they are, and with all their CRCs put right, so that what the pointers and
//! lengths say is believed.

use mailstore_format::db::{self, DbKind};

const HEADER_SIZE: usize = 64;

/// The file as it is, and with the CRCs that its lengths ask for.
pub(crate) fn check(bytes: &[u8]) {
    crate::databases::check(bytes);
    if db::recognise(bytes) == Some(DbKind::Twoskip) {
        crate::databases::check(&with_right_crcs(bytes));
    }
}

fn with_right_crcs(bytes: &[u8]) -> Vec<u8> {
    let mut whole = bytes.to_vec();
    if let Some(header) = whole.get_mut(..HEADER_SIZE) {
        let (covered, crc) = header.split_at_mut(HEADER_SIZE - 4);
        crc.copy_from_slice(&crc32fast::hash(covered).to_be_bytes());
    }
    let mut at = HEADER_SIZE;
    while at < whole.len() {
        at = put_right(&mut whole, at).unwrap_or(at + 8);
    }
    whole
}

/// Puts the two CRCs of the record at `at` right; where it ends, if one fits there.
fn put_right(file: &mut [u8], at: usize) -> Option<usize> {
    let record = file.get(at..)?;
    let (&[kind, level, k0, k1, v0, v1, v2, v3], _) = record.split_first_chunk()?;
    let number = |place: usize| -> Option<usize> {
        usize::try_from(u64::from_be_bytes(*record.get(place..)?.first_chunk()?)).ok()
    };
    if !b"=+-$".contains(&kind) || level > 31 {
        return None;
    }
    let mut pointers_at = 8;
    let mut length = |short: usize, marker: usize| {
        let long = (short == marker).then(|| number(pointers_at));
        pointers_at += if long.is_some() { 8 } else { 0 };
        long.unwrap_or(Some(short))
    };
    let key = length(usize::from(u16::from_be_bytes([k0, k1])), 0xffff)?;
    let value = usize::try_from(u32::from_be_bytes([v0, v1, v2, v3])).ok()?;
    let value = length(value, 0xffff_ffff)?;
    let crcs_at = pointers_at + (usize::from(level) + 1) * 8;
    let body = key.checked_add(value)?.checked_next_multiple_of(8)?;
    let end = (crcs_at + 8).checked_add(body)?;
    let head_crc = crc32fast::hash(record.get(..crcs_at)?);
    let body_crc = crc32fast::hash(record.get(crcs_at + 8..end)?);
    let crcs = file.get_mut(at + crcs_at..at + crcs_at + 8)?;
    crcs.copy_from_slice(&[head_crc.to_be_bytes(), body_crc.to_be_bytes()].concat());
    Some(at + end)
}
