//! The counters of a user.

use mailstore_format::counters::Counters;

/// The file as it is, and with its CRC put right.
pub(crate) fn check(bytes: &[u8]) {
    decoded(bytes);
    if let Some((covered, _)) = bytes.split_last_chunk::<4>() {
        decoded(&[covered, &crc32fast::hash(covered).to_be_bytes()].concat());
    }
}

/// Everything that the file holds is read: what is read makes the file again.
fn decoded(bytes: &[u8]) {
    let Ok(counters) = Counters::decode(bytes) else { return };
    let mut written = counters.generation.to_be_bytes().to_vec();
    // The first version had no field for its number.
    match counters.version {
        0 if bytes.len() == 48 => written.extend(&bytes[4..8]),
        version => written.extend(version.to_be_bytes()),
    }
    written.extend(counters.modseqs().flat_map(|(_, modseq)| modseq.0.to_be_bytes()));
    written.extend(counters.uidvalidity.0.to_be_bytes());
    written.extend(crc32fast::hash(&written).to_be_bytes());
    assert_eq!(written, bytes);
    let named =
        |name| counters.modseqs().find(|(known, _)| *known == name).map(|(_, modseq)| modseq);
    assert_eq!(named("highestmodseq"), Some(counters.highestmodseq));
    assert_eq!(named("mailmodseq"), Some(counters.mailmodseq));
}
