//! Damage to the content of message files, and messages under each other's names.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::index_header::byte;
use super::kind::{Done, Kind, Scene};
use super::place::Place;

pub(super) const KINDS: &[Kind] = &[
    Kind { name: "message-removed", what: "one to three message files are gone", inflict: removed },
    Kind {
        name: "message-emptied",
        what: "one to three message files have no bytes",
        inflict: |scene| some(scene, 3, |_, _| Some(Vec::new())),
    },
    Kind {
        name: "message-zeroed",
        what: "one to three message files are NULs, from the start or from any byte on",
        inflict: |scene| {
            some(scene, 3, |bytes, scene| {
                let begin =
                    if scene.random.one_in(2) { 0 } else { scene.random.below(bytes.len()) };
                let mut new = bytes.to_vec();
                new[begin..].fill(0);
                Some(new)
            })
        },
    },
    Kind {
        name: "message-truncated",
        what: "one to three message files end at any byte",
        inflict: |scene| {
            some(scene, 3, |bytes, scene| Some(bytes[..scene.random.below(bytes.len())].to_vec()))
        },
    },
    Kind {
        name: "message-garbage",
        what: "a stretch of one to three message files is random bytes",
        inflict: |scene| {
            some(scene, 3, |bytes, scene| {
                let begin = scene.random.below(bytes.len());
                let end = begin + 1 + scene.random.below((bytes.len() - begin).min(512));
                let mut new = bytes.to_vec();
                new[begin..end].fill_with(|| byte(scene.random));
                Some(new)
            })
        },
    },
    Kind {
        name: "message-lf",
        what: "the line ends of one to four message files are LF instead of CRLF",
        inflict: |scene| some(scene, 4, |bytes, _| with_lf(bytes)),
    },
    Kind {
        name: "messages-swapped",
        what: "two message files have changed names",
        inflict: swapped,
    },
    Kind {
        name: "messages-shifted",
        what: "in a run of message files each has the next one's name, the last the first one's",
        inflict: shifted,
    },
    Kind {
        name: "message-copied",
        what: "a message file is there a second time, under the name of a UID that is free",
        inflict: copied,
    },
];

fn messages(scene: &Scene<'_>) -> Result<Vec<(u32, PathBuf)>> {
    let mut found: Vec<_> = scene.place.messages()?.into_iter().collect();
    found.retain(|(_, path)| path.metadata().is_ok_and(|metadata| metadata.len() > 0));
    Ok(found)
}

/// One to `most` messages, each once.
fn drawn(scene: &mut Scene<'_>, most: usize) -> Result<Vec<(u32, PathBuf)>> {
    let mut left = messages(scene)?;
    let count = (1 + scene.random.below(most)).min(left.len());
    Ok((0..count).map(|_| left.swap_remove(scene.random.below(left.len()))).collect())
}

fn some(
    scene: &mut Scene<'_>,
    most: usize,
    change: impl Fn(&[u8], &mut Scene<'_>) -> Option<Vec<u8>>,
) -> Result<Option<Done>> {
    let mut detail = Vec::new();
    let mut uids = Vec::new();
    for (uid, path) in drawn(scene, most)? {
        let bytes = fs::read(&path)?;
        if let Some(new) = change(&bytes, scene) {
            Place::rewrite(&path, &new)?;
            detail.push(format!("{uid}.: {} of {} bytes", new.len(), bytes.len()));
            uids.push(uid);
        }
    }
    Ok((!uids.is_empty()).then(|| Done::new(detail.join(", ")).hitting(uids)))
}

/// `None` where a message has other line ends than CRLF, and could not be made whole again.
fn with_lf(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut lf = bytes.to_vec();
    let mut previous = 0;
    lf.retain(|&now| {
        let before = std::mem::replace(&mut previous, now);
        now != b'\r' || before == b'\r'
    });
    (with_crlf(&lf) == bytes).then_some(lf)
}

/// The same with CRLF wherever a bare LF stands.
pub(super) fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut crlf = Vec::with_capacity(bytes.len());
    for &now in bytes {
        if now == b'\n' && crlf.last() != Some(&b'\r') {
            crlf.push(b'\r');
        }
        crlf.push(now);
    }
    crlf
}

fn removed(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let drawn = drawn(scene, 3)?;
    for (_, path) in &drawn {
        fs::remove_file(path)?;
    }
    let uids: Vec<u32> = drawn.iter().map(|(uid, _)| *uid).collect();
    Ok((!uids.is_empty()).then(|| Done::new(format!("{uids:?}")).hitting(uids)))
}

fn swapped(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let (found, first) = run(scene, 2)?;
    let [(one, path), .., (other, other_path)] = &found[first..] else { return Ok(None) };
    Place::exchange(path, other_path)?;
    Ok(Some(Done::new(format!("{one}. and {other}.")).hitting([*one, *other])))
}

fn shifted(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let (found, first) = run(scene, 3)?;
    let end = found.len().min(first + 3 + scene.random.below(8));
    let run = &found[first..end];
    let (Some((one, head)), Some((other, _))) = (run.first(), run.last()) else {
        return Ok(None);
    };
    // Exchanged with the first again and again, each message goes one name further.
    for (_, path) in &run[1..] {
        Place::exchange(head, path)?;
    }
    let uids: Vec<u32> = run.iter().map(|(uid, _)| *uid).collect();
    Ok(Some(Done::new(format!("{one}. to {other}.")).hitting(uids)))
}

/// The messages of the directory that has most of them, and the number of one that at least
/// `length - 1` follow.
fn run(scene: &mut Scene<'_>, length: usize) -> Result<(Vec<(u32, PathBuf)>, usize)> {
    let spool = &scene.place.spool;
    let lies_in_spool = |(_, path): &(u32, PathBuf)| path.parent() == Some(spool);
    let (in_spool, archived): (Vec<_>, Vec<_>) =
        messages(scene)?.into_iter().partition(lies_in_spool);
    let found = if in_spool.len() < archived.len() { archived } else { in_spool };
    if found.len() < length {
        return Ok((Vec::new(), 0));
    }
    let first = scene.random.below(found.len() + 1 - length);
    Ok((found, first))
}

fn copied(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let Some((uid, path)) = drawn(scene, 1)?.pop() else { return Ok(None) };
    let taken: Vec<u32> = messages(scene)?.into_iter().map(|(uid, _)| uid).collect();
    let last = taken.last().copied().unwrap_or_default();
    let mut free = (1..=last + 20).filter(|uid| !taken.contains(uid));
    let choice = scene.random.below(usize::try_from(last)? + 20 - taken.len());
    let Some(new) = free.nth(choice) else { return Ok(None) };
    let copy = path.with_file_name(format!("{new}."));
    if copy.symlink_metadata().is_ok() {
        return Ok(None);
    }
    let linked = scene.random.one_in(2);
    if linked {
        fs::hard_link(&path, &copy)?;
    } else {
        Place::put(&copy, &fs::read(&path)?)?;
    }
    let how = if linked { "linked" } else { "copied" };
    Ok(Some(Done::new(format!("{uid}. {how} to {new}.")).hitting([uid, new])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_lost_are_line_ends_that_can_come_back() {
        let message = b"Subject: a\r\n\r\nb\r\n";
        let lf = with_lf(message).unwrap();
        assert_eq!(lf, b"Subject: a\n\nb\n");
        assert_eq!(with_crlf(&lf), message);
        assert_eq!(with_lf(b"mixed\n and\r\n"), None);
    }
}
