//! Damage to the header of `cyrus.index`.

use anyhow::Result;
use mailstore_format::index::{IndexHeader, Layout};
use mailstore_format::{ModSeq, Uid};

use super::index_files::IndexBytes;
use super::kind::{Done, Kind, Scene};
use crate::generate::Random;

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "index-header-bit",
        what: "one bit of the index header is flipped",
        inflict: |scene| bits(scene, 1),
    },
    Kind {
        name: "index-header-bits",
        what: "two to nine bits of the index header are flipped",
        inflict: |scene| {
            let count = 2 + scene.random.below(8);
            bits(scene, count)
        },
    },
    Kind {
        name: "index-header-zeroed",
        what: "the index header is all NULs",
        inflict: |scene| overwritten(scene, "zeroed", |_| 0),
    },
    Kind {
        name: "index-header-garbage",
        what: "the index header is random bytes",
        inflict: |scene| overwritten(scene, "garbage", byte),
    },
    Kind {
        name: "index-header-wrong-numbers",
        what: "counts, last UID, modseq or checksums of the index header are wrong, its CRC is right",
        inflict: wrong_numbers,
    },
    Kind {
        name: "index-header-wrong-layout",
        what: "version, start offset or record size in the index header are wrong, its CRC is right",
        inflict: wrong_layout,
    },
];

/// A random byte.
pub(super) fn byte(random: &mut Random) -> u8 {
    random.bits().to_be_bytes()[0]
}

fn bits(scene: &mut Scene<'_>, count: usize) -> Result<Option<Done>> {
    let Some(mut index) = IndexBytes::read(scene.place) else { return Ok(None) };
    let end = index.layout.header_size.min(index.bytes.len());
    if end == 0 {
        return Ok(None);
    }
    let mut flipped = Vec::new();
    while flipped.len() < count {
        let bit = scene.random.below(end * 8);
        if !flipped.contains(&bit) {
            index.bytes[bit / 8] ^= 1 << (bit % 8);
            flipped.push(bit);
        }
    }
    index.write()?;
    Ok(Some(Done::new(format!("bits {flipped:?} of the header"))))
}

fn overwritten(
    scene: &mut Scene<'_>,
    how: &str,
    content: fn(&mut Random) -> u8,
) -> Result<Option<Done>> {
    let Some(mut index) = IndexBytes::read(scene.place) else { return Ok(None) };
    let end = index.layout.header_size.min(index.bytes.len());
    for position in &mut index.bytes[..end] {
        *position = content(scene.random);
    }
    index.write()?;
    Ok(Some(Done::new(format!("{end} bytes of header {how}"))))
}

/// The first version whose header and records have CRCs, at their ends.
const FIRST_WITH_CRC: u32 = 12;

fn wrong_numbers(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let Some(mut index) = IndexBytes::read(scene.place) else { return Ok(None) };
    let Ok(mut header) = IndexHeader::decode_with(&index.bytes, index.layout) else {
        return Ok(None);
    };
    let mut detail = Vec::new();
    for _ in 0..=scene.random.below(3) {
        detail.push(one_wrong_number(&mut header, scene.random));
    }
    let mut bytes = header.encode(index.layout);
    let has_crc = index.layout.version >= FIRST_WITH_CRC;
    if has_crc && !IndexHeader::crc_state(&index.bytes, index.layout).is_good() {
        // As wrong as before: numbers that nothing proves are not to become proven ones.
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&index.bytes[end - 4..end]);
    }
    index.bytes.splice(..bytes.len(), bytes);
    index.write()?;
    Ok(Some(Done::new(detail.join(", "))))
}

/// Numbers that a server would notice are wrong. A last UID or a modseq that is merely too high is no
/// damage, and a wrong UIDVALIDITY under a good CRC nothing could tell from a right one.
fn one_wrong_number(header: &mut IndexHeader, random: &mut Random) -> String {
    let other = |number: u32, random: &mut Random| {
        let number = usize::try_from(number).unwrap_or_default();
        let new = match random.below(3) {
            0 => random.below(number.max(1)),
            1 => number + 1 + random.below(1000),
            _ => 0,
        };
        u32::try_from(new).unwrap_or(u32::MAX)
    };
    match random.below(10) {
        0 | 1 => {
            header.num_records = other(header.num_records, random);
            format!("num_records {}", header.num_records)
        }
        2 => {
            let lower = random.below(usize::try_from(header.last_uid.0).unwrap_or_default());
            header.last_uid = Uid(u32::try_from(lower).unwrap_or_default());
            format!("last_uid {lower}")
        }
        3 => {
            header.exists = other(header.exists, random);
            format!("exists {}", header.exists)
        }
        4 => {
            header.deleted = other(header.deleted, random);
            format!("deleted {}", header.deleted)
        }
        5 => {
            header.unseen = other(header.unseen, random);
            format!("unseen {}", header.unseen)
        }
        6 => {
            header.quota_mailbox_used = random.bits() >> 20;
            format!("quota_mailbox_used {}", header.quota_mailbox_used)
        }
        7 => {
            header.highestmodseq = ModSeq(header.highestmodseq.0 / 2);
            format!("highestmodseq {}", header.highestmodseq.0)
        }
        8 => {
            header.sync_crcs.basic ^= 0x0bad_cafe;
            "synccrcs.basic".into()
        }
        _ => {
            header.header_file_crc ^= 0x0bad_cafe;
            "header_file_crc".into()
        }
    }
}

fn wrong_layout(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    // Minor version, start offset, record size: the same places in every version.
    const FIELDS: [(&str, usize); 3] =
        [("minor_version", 8), ("start_offset", 12), ("record_size", 16)];
    let Some(mut index) = IndexBytes::read(scene.place) else { return Ok(None) };
    if index.bytes.len() < index.layout.header_size {
        return Ok(None);
    }
    let (field, offset) = FIELDS[scene.random.below(FIELDS.len())];
    let new = match (field, scene.random.below(3)) {
        ("minor_version", _) => 6 + scene.random.below(14),
        (_, 0) => 0,
        (_, 1) => index.layout.record_size - 8,
        _ => index.layout.header_size + 4 * (1 + scene.random.below(20)),
    };
    let new = u32::try_from(new)?;
    let before = index.bytes[..index.layout.header_size].to_vec();
    index.bytes[offset..offset + 4].copy_from_slice(&new.to_be_bytes());
    seal(&mut index.bytes, &before, index.layout);
    index.write()?;
    Ok(Some(Done::new(format!("{field} {new}"))))
}

/// Makes the header's CRC right where it was so in the bytes `before`: numbers that nothing proves
/// are not to become proven ones. Only for versions that have a CRC, at the header's end.
pub(super) fn seal(index: &mut [u8], before: &[u8], layout: &Layout) {
    let was_right = IndexHeader::crc_state(before, layout).is_good();
    if was_right && index.len() >= layout.header_size {
        let (content, crc) = index[..layout.header_size].split_at_mut(layout.header_size - 4);
        crc.copy_from_slice(&crc32fast::hash(content).to_be_bytes());
    }
}
