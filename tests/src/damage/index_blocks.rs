//! Damage to `cyrus.index` that knows nothing of records: pages, blocks, the file's end.

use anyhow::Result;

use super::index_files::IndexBytes;
use super::index_header::byte;
use super::kind::{Done, Kind, Scene};
use crate::generate::Random;

/// Sectors of a disk, pages of a file system.
const BLOCKS: [usize; 2] = [512, 4096];

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "index-page-zeroed",
        what: "a page of 512 or 4096 bytes of the index is all NULs",
        inflict: |scene| page(scene, "zeroed", |_| 0),
    },
    Kind {
        name: "index-page-garbage",
        what: "a page of 512 or 4096 bytes of the index is random bytes",
        inflict: |scene| page(scene, "garbage", byte),
    },
    Kind { name: "index-truncated", what: "the index ends at any byte", inflict: truncated },
    Kind {
        name: "index-block-lost",
        what: "512 or 4096 bytes at a multiple of that are missing from the middle of the index",
        inflict: |scene| lost(scene, false),
    },
    Kind {
        name: "index-block-lost-odd",
        what: "any number of bytes is missing anywhere in the index",
        inflict: |scene| lost(scene, true),
    },
    Kind {
        name: "index-block-inserted",
        what: "512 or 4096 foreign bytes stand at a multiple of that in the index",
        inflict: |scene| inserted(scene, false),
    },
    Kind {
        name: "index-block-inserted-odd",
        what: "any number of foreign bytes stands anywhere in the index",
        inflict: |scene| inserted(scene, true),
    },
];

fn page(scene: &mut Scene<'_>, how: &str, content: fn(&mut Random) -> u8) -> Result<Option<Done>> {
    let Some(mut index) = IndexBytes::read(scene.place) else { return Ok(None) };
    let size = BLOCKS[scene.random.below(BLOCKS.len())];
    let begin = size * scene.random.below(index.bytes.len().div_ceil(size));
    let end = (begin + size).min(index.bytes.len());
    let uids = index.uids_in(begin..end);
    index.bytes[begin..end].fill_with(|| content(scene.random));
    index.write()?;
    Ok(Some(Done::new(format!("bytes {begin} to {end} {how}")).hitting(uids)))
}

fn truncated(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let Some(mut index) = IndexBytes::read(scene.place) else { return Ok(None) };
    let whole = index.bytes.len();
    let length = scene.random.below(whole);
    let uids = index.uids_in(length..whole);
    index.bytes.truncate(length);
    index.write()?;
    Ok(Some(Done::new(format!("{length} bytes of {whole}")).hitting(uids)))
}

fn lost(scene: &mut Scene<'_>, odd: bool) -> Result<Option<Done>> {
    let Some(mut index) = IndexBytes::read(scene.place) else { return Ok(None) };
    let whole = index.bytes.len();
    let (begin, size) = if odd {
        (scene.random.below(whole), 1 + scene.random.below(2000))
    } else {
        let size = BLOCKS[scene.random.below(BLOCKS.len())];
        (size * scene.random.below(whole.div_ceil(size)), size)
    };
    let end = (begin + size).min(whole);
    let uids = index.uids_in(begin..end);
    index.bytes.drain(begin..end);
    index.write()?;
    Ok(Some(Done::new(format!("bytes {begin} to {end} of {whole}")).hitting(uids)))
}

fn inserted(scene: &mut Scene<'_>, odd: bool) -> Result<Option<Done>> {
    let Some(mut index) = IndexBytes::read(scene.place) else { return Ok(None) };
    let whole = index.bytes.len();
    let (at, size) = if odd {
        (scene.random.below(whole), 1 + scene.random.below(2000))
    } else {
        let size = BLOCKS[scene.random.below(BLOCKS.len())];
        (size * scene.random.below(whole.div_ceil(size)), size)
    };
    let mut block = vec![0; size];
    let how = match scene.random.below(3) {
        0 => "NULs",
        1 => {
            block.fill_with(|| byte(scene.random));
            "random bytes"
        }
        _ => {
            // A block of the same file, written to the wrong place.
            let from = scene.random.below(whole);
            let source = index.bytes.iter().copied().cycle().skip(from);
            block = source.take(size).collect();
            "bytes of the same index"
        }
    };
    let uids = index.uids_in(at..at);
    index.bytes.splice(at..at, block);
    index.write()?;
    Ok(Some(Done::new(format!("{size} {how} at {at} of {whole}")).hitting(uids)))
}
