//! Damage to `cyrus.cache`.

use std::fs;

use anyhow::Result;

use super::index_header::byte;
use super::kind::{Done, Kind, Scene};
use super::place::Place;

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "cache-removed", what: "there is no cache", inflict: removed },
    Kind {
        name: "cache-emptied",
        what: "the cache has no bytes",
        inflict: |scene| {
            changed(scene, |bytes, _| {
                bytes.clear();
                "0 bytes".into()
            })
        },
    },
    Kind {
        name: "cache-truncated",
        what: "the cache ends at any byte",
        inflict: |scene| {
            changed(scene, |bytes, scene| {
                bytes.truncate(scene.random.below(bytes.len()));
                format!("{} bytes left", bytes.len())
            })
        },
    },
    Kind {
        name: "cache-garbage",
        what: "a stretch of the cache is random bytes",
        inflict: |scene| {
            changed(scene, |bytes, scene| {
                let begin = scene.random.below(bytes.len());
                let end = begin + 1 + scene.random.below(bytes.len() - begin);
                bytes[begin..end].fill_with(|| byte(scene.random));
                format!("bytes {begin} to {end}")
            })
        },
    },
    Kind {
        name: "cache-page-zeroed",
        what: "a page of 4096 bytes of the cache is all NULs",
        inflict: |scene| {
            changed(scene, |bytes, scene| {
                let begin = 4096 * scene.random.below(bytes.len().div_ceil(4096));
                let end = (begin + 4096).min(bytes.len());
                bytes[begin..end].fill(0);
                format!("bytes {begin} to {end}")
            })
        },
    },
    Kind {
        name: "cache-foreign",
        what: "the cache of another mailbox is laid over this one's",
        inflict: foreign,
    },
];

fn changed(
    scene: &mut Scene<'_>,
    change: impl Fn(&mut Vec<u8>, &mut Scene<'_>) -> String,
) -> Result<Option<Done>> {
    let Ok(mut bytes) = fs::read(&scene.place.cache) else { return Ok(None) };
    if bytes.is_empty() {
        return Ok(None);
    }
    let detail = change(&mut bytes, scene);
    Place::put(&scene.place.cache, &bytes)?;
    Ok(Some(Done::new(detail)))
}

fn removed(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    if !scene.place.cache.exists() {
        return Ok(None);
    }
    fs::remove_file(&scene.place.cache)?;
    Ok(Some(Done::new("removed")))
}

fn foreign(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let others: Vec<&Place> = scene.others.iter().filter(|other| other.cache.exists()).collect();
    if others.is_empty() {
        return Ok(None);
    }
    let other = others[scene.random.below(others.len())];
    Place::put(&scene.place.cache, &fs::read(&other.cache)?)?;
    Ok(Some(Done::new(format!("of {}", other.mailbox))))
}
