//! What mailboxes of a source are for, as the server's annotations have it (RFC 6154).

use std::collections::HashMap;
use std::ffi::OsStr;

use mailstore_format::annotations::Annotation;
use mailstore_format::db;

use super::walk::Directory;
use crate::place::Place;

/// A larger database is not read.
const LARGEST_DATABASE: u64 = 256 << 20;
/// The server's annotations of mailboxes.
const ANNOTATIONS: &str = "annotations.db";
/// The annotation that says what a mailbox is for (`imap/annotate.c`).
const SPECIAL_USE: &[u8] = b"/specialuse";

/// What each mailbox is for, by the key that the annotations have: its unique id, in releases before
/// 3.6 its internal name.
pub(super) type SpecialUses = HashMap<Vec<u8>, String>;

/// The directories that have annotations of mailboxes.
pub(super) fn places(directories: &[Directory]) -> Vec<Place> {
    let has_annotations = |directory: &&Directory| {
        directory.others.iter().any(|(file, _)| file.as_os_str() == ANNOTATIONS)
    };
    directories.iter().filter(has_annotations).map(|directory| directory.place.clone()).collect()
}

/// Reads them. What cannot be read tells nothing: a mailbox is then for anything.
pub(super) fn read(places: &[Place]) -> SpecialUses {
    let mut uses = SpecialUses::new();
    let mut bytes = Vec::new();
    for place in places {
        let opened = place.open();
        let read = opened.and_then(|opened| {
            opened.read_into(OsStr::new(ANNOTATIONS), LARGEST_DATABASE, &mut bytes)
        });
        let Some(contents) = read.ok().and_then(|_| db::read(&bytes).ok()) else { continue };
        for entry in &contents.entries {
            let Ok(annotation) = Annotation::decode_global(&entry.key, &entry.value) else {
                continue;
            };
            let is_use = annotation.entry == SPECIAL_USE && !annotation.mailbox.is_empty();
            if is_use && !annotation.value.is_empty() {
                let value = String::from_utf8_lossy(&annotation.value).into_owned();
                uses.entry(annotation.mailbox).or_insert(value);
            }
        }
    }
    uses
}
