//! Damage to the entries of a mailbox directory: bad names, and what is no regular file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Result;
use nix::sys::stat::{Mode, SFlag, mknod};

use super::kind::{Done, Kind, Scene};
use super::place::Place;

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "message-misnamed",
        what: "a message file has a name that is none: 007., 12, 99999999999., x., .nfs0001, 0.",
        inflict: misnamed,
    },
    Kind {
        name: "message-copied-badly",
        what: "a message file is there a second time, under a name that is none",
        inflict: copied_badly,
    },
    Kind {
        name: "entry-directory",
        what: "a directory where a message should be, or where the next ones will be",
        inflict: |scene| {
            odd(scene, "a directory", |path| {
                fs::create_dir(path)?;
                Ok(fs::write(path.join("5."), "Subject: in a directory\r\n\r\n")?)
            })
        },
    },
    Kind {
        name: "entry-symlink-other",
        what: "a symbolic link to another message where a message should be",
        inflict: |scene| {
            let target = scene.place.messages()?.into_values().next();
            let Some(target) = target else { return Ok(None) };
            odd(scene, "a link to a message", |path| Ok(symlink(&target, path)?))
        },
    },
    Kind {
        name: "entry-symlink-dangling",
        what: "a symbolic link to nothing where a message should be",
        inflict: |scene| {
            odd(scene, "a link to nothing", |path| Ok(symlink("/nonexistent/message", path)?))
        },
    },
    Kind {
        name: "entry-symlink-system",
        what: "a symbolic link to a file of the system where a message should be",
        inflict: |scene| {
            odd(scene, "a link to /etc/passwd", |path| Ok(symlink("/etc/passwd", path)?))
        },
    },
    Kind {
        name: "entry-fifo",
        what: "a FIFO where a message should be",
        inflict: |scene| odd(scene, "a FIFO", |path| special(path, SFlag::S_IFIFO)),
    },
    Kind {
        name: "entry-socket",
        what: "a socket where a message should be",
        inflict: |scene| odd(scene, "a socket", |path| special(path, SFlag::S_IFSOCK)),
    },
];

fn special(path: &Path, kind: SFlag) -> Result<()> {
    Ok(mknod(path, kind, Mode::S_IRUSR | Mode::S_IWUSR, 0)?)
}

/// Puts something in the place of a message, or under a name that no message has yet.
fn odd(
    scene: &mut Scene<'_>,
    what: &str,
    make: impl Fn(&Path) -> Result<()>,
) -> Result<Option<Done>> {
    let messages: Vec<_> = scene.place.messages()?.into_iter().collect();
    let (uid, path) = if messages.is_empty() || scene.random.one_in(3) {
        let last = messages.last().map_or(0, |(uid, _)| *uid);
        let uid = last + 1 + u32::try_from(scene.random.below(20))?;
        (uid, scene.place.spool.join(format!("{uid}.")))
    } else {
        // The first one may be what a link is to lead to.
        let (uid, path) =
            messages[(1 + scene.random.below(messages.len())) % messages.len()].clone();
        fs::remove_file(&path)?;
        (uid, path)
    };
    if path.symlink_metadata().is_ok() {
        return Ok(None);
    }
    make(&path)?;
    Place::give(&path)?;
    Ok(Some(Done::new(format!("{what} as {uid}.")).hitting([uid])))
}

/// A message and a bad name for it that is free.
fn bad_name(scene: &mut Scene<'_>) -> Result<Option<(u32, PathBuf, String)>> {
    let messages: Vec<_> = scene.place.messages()?.into_iter().collect();
    if messages.is_empty() {
        return Ok(None);
    }
    let (uid, path) = messages[scene.random.below(messages.len())].clone();
    let name = match scene.random.below(9) {
        0 => format!("00{uid}."),
        1 => uid.to_string(),
        2 => "99999999999.".into(),
        3 => "x.".into(),
        4 => ".nfs0001".into(),
        5 => "0.".into(),
        6 => format!("{uid}.~"),
        7 => format!("-{uid}."),
        _ => format!(" {uid}."),
    };
    let is_free = path.with_file_name(&name).symlink_metadata().is_err();
    Ok(is_free.then_some((uid, path, name)))
}

fn misnamed(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let Some((uid, path, name)) = bad_name(scene)? else { return Ok(None) };
    fs::rename(&path, path.with_file_name(&name))?;
    Ok(Some(Done::new(format!("{uid}. is now {name:?}")).hitting([uid])))
}

fn copied_badly(scene: &mut Scene<'_>) -> Result<Option<Done>> {
    let Some((uid, path, name)) = bad_name(scene)? else { return Ok(None) };
    let copy = path.with_file_name(&name);
    if scene.random.one_in(2) {
        fs::hard_link(&path, &copy)?;
    } else {
        Place::put(&copy, &fs::read(&path)?)?;
    }
    Ok(Some(Done::new(format!("{uid}. is also {name:?}")).hitting([uid])))
}
