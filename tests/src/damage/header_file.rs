//! Damage to `cyrus.header`.

use std::fs;

use anyhow::Result;
use mailstore_format::header_file::MAGIC;

use super::index_header::byte;
use super::kind::{Done, Kind, Scene};
use super::place::Place;

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "header-file-bit",
        what: "one bit of cyrus.header is flipped",
        inflict: |scene| {
            changed(scene, |bytes, scene| {
                let bit = scene.random.below(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                format!("bit {bit}")
            })
        },
    },
    Kind {
        name: "header-file-truncated",
        what: "cyrus.header ends at any byte",
        inflict: |scene| {
            changed(scene, |bytes, scene| {
                bytes.truncate(scene.random.below(bytes.len()));
                format!("{} bytes left", bytes.len())
            })
        },
    },
    Kind {
        name: "header-file-emptied",
        what: "cyrus.header has no bytes",
        inflict: |scene| {
            changed(scene, |bytes, _| {
                bytes.clear();
                "0 bytes".into()
            })
        },
    },
    Kind {
        name: "header-file-garbage",
        what: "cyrus.header is random bytes",
        inflict: |scene| {
            changed(scene, |bytes, scene| {
                bytes.fill_with(|| byte(scene.random));
                format!("{} bytes", bytes.len())
            })
        },
    },
    Kind {
        name: "header-file-flag-names",
        what: "the keywords' names in cyrus.header are overwritten",
        inflict: |scene| changed(scene, |bytes, scene| flag_names(bytes, scene)),
    },
    Kind { name: "header-file-removed", what: "there is no cyrus.header", inflict: removed },
];

fn changed(
    scene: &mut Scene<'_>,
    change: impl Fn(&mut Vec<u8>, &mut Scene<'_>) -> String,
) -> Result<Option<Done>> {
    let Ok(mut bytes) = fs::read(&scene.place.header) else { return Ok(None) };
    if bytes.is_empty() {
        return Ok(None);
    }
    let detail = change(&mut bytes, scene);
    Place::put(&scene.place.header, &bytes)?;
    Ok(Some(Done::new(detail)))
}

/// In the list form the names stand at the end, in the form of lines before the last line; whichever
/// it is, a stretch from somewhere behind the magic is hit that holds some of them.
fn flag_names(bytes: &mut [u8], scene: &mut Scene<'_>) -> String {
    let start = bytes.windows(4).position(|four| four == b" U (").map(|at| at + 4);
    let start = start.unwrap_or(MAGIC.len().min(bytes.len() - 1));
    let begin = start + scene.random.below(bytes.len() - start);
    let end = begin + 1 + scene.random.below(bytes.len() - begin);
    let zeroed = scene.random.one_in(2);
    bytes[begin..end].fill_with(|| if zeroed { 0 } else { byte(scene.random) });
    format!("bytes {begin} to {end}{}", if zeroed { " zeroed" } else { "" })
}

fn removed(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    if !scene.place.header.exists() {
        return Ok(None);
    }
    fs::remove_file(&scene.place.header)?;
    Ok(Some(Done::new("removed")))
}
