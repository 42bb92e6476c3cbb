//! Whose a directory is, by what lies in it and by its path.

use std::ffi::OsStr;
use std::path::{Component, Path};

use mailstore::name::InternalName;
use mailstore_format::mboxlist::MailboxType;

use super::walk::Directory;
use super::{UserFileAt, UserFileOf};

/// What a directory says of the mailbox it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uniqueid: Vec<u8>,
    pub(super) name: Option<InternalName>,
    pub(super) dav: bool,
}

/// Of which mailbox a directory is; `None` where it is none's. The path counts where the directory
/// itself does not tell.
pub(super) fn of(directory: &Directory, root: &Path, deleted_prefix: &[u8]) -> Option<Identity> {
    let holds_mail = directory.has_server_files || directory.messages > 0;
    if !holds_mail {
        return None;
    }
    let below = directory.place.below();
    let whole = root.join(below);
    let by_id = of_path(below).or_else(|| of_path(&whole));
    let by_name = || name_of_path(below, deleted_prefix);
    let by_name = by_name().or_else(|| name_of_path(&whole, deleted_prefix));
    let header = directory.header.as_ref();
    let told = header.and_then(|header| header.uniqueid.clone()).filter(|id| !id.is_empty());
    let uniqueid = told.or(by_id).unwrap_or_default();
    let name = header.and_then(|header| header.name.clone()).map(InternalName::new).or(by_name);
    let mbtype = header.and_then(|header| header.mbtype.as_deref());
    let dav = mbtype.is_some_and(|letters| MailboxType::from_letters(letters).is_dav());
    let nameless = uniqueid.is_empty() && name.is_none();
    (!nameless || directory.has_server_files).then_some(Identity { uniqueid, name, dav })
}

fn components(path: &Path) -> Vec<&[u8]> {
    let normal = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.as_encoded_bytes()),
        _ => None,
    });
    normal.collect()
}

/// The unique id that a path ends with: `…/3/x/3x01yxu0u2cf81mo11l7ahm9`. Of the levels above, fsck
/// may have left only the last.
pub(super) fn of_path(path: &Path) -> Option<Vec<u8>> {
    let components = components(path);
    let [.., above, id] = components.as_slice() else { return None };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = id.len() >= 8 && id.iter().all(plain) && *above == id.get(1..2)?;
    fits.then(|| id.to_vec())
}

/// The internal name that a path by name stands for: what follows the last level `user`, with the
/// deleted prefix and the domain in front of it. Shared mailboxes cannot be told from directories
/// that are none.
fn name_of_path(path: &Path, deleted_prefix: &[u8]) -> Option<InternalName> {
    let components = components(path);
    let user = components.iter().rposition(|component| *component == b"user")?;
    let levels = components.get(user..)?;
    // In the layout by id, `user` holds the users' own files.
    if levels.len() < 2 || levels.get(1) == Some(&&b"uuid"[..]) {
        return None;
    }
    let before = components.get(..user)?;
    let mut name = Vec::new();
    if let Some(at) = before.iter().rposition(|component| *component == b"domain") {
        let domain = before.iter().skip(at.saturating_add(1)).find(|level| level.len() > 1)?;
        name.extend_from_slice(domain);
        name.push(b'!');
    }
    let mut all: Vec<&[u8]> = Vec::new();
    if before.last() == Some(&deleted_prefix) {
        all.push(deleted_prefix);
    }
    all.extend(levels);
    name.extend(all.join(&b'.'));
    Some(InternalName::new(name))
}

/// The files that the server keeps of one kind about users, in a directory: `conversations.db` in one
/// that is named by the INBOX, or `alice.conversations`.
pub(super) fn user_files_in(directory: &Directory, kind: &str) -> Vec<UserFileAt> {
    let mut found = Vec::new();
    for (name, _) in &directory.others {
        let of = if name.as_encoded_bytes() == [kind.as_bytes(), b".db"].concat() {
            of_path(directory.place.below()).map(UserFileOf::Inbox)
        } else {
            let stem = name.as_encoded_bytes().strip_suffix(kind.as_bytes());
            let user = stem.and_then(|stem| stem.strip_suffix(b"."));
            user.map(|user| UserFileOf::User(user.to_vec()))
        };
        let place = directory.place.clone();
        found.extend(of.map(|of| UserFileAt { of, place, name: name.clone() }));
    }
    found
}

/// Whether a file is one of the server's own databases, which are no mail.
pub(super) fn is_database(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    [".db", ".conversations", ".seen"].iter().any(|end| name.ends_with(end.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str) -> Option<String> {
        name_of_path(Path::new(path), b"DELETED").map(|name| name.to_string())
    }

    #[test]
    fn a_path_by_name_tells_the_name() {
        let cases = [
            ("spool/a/user/alice/Sent", Some("user.alice.Sent")),
            ("user/gina^dot", Some("user.gina^dot")),
            ("u/DELETED/user/erin/Trash/6B0120AA", Some("DELETED.user.erin.Trash.6B0120AA")),
            ("domain/e/example.com/b/user/bob", Some("example.com!user.bob")),
            ("conf/user/uuid/3/x", None),
            ("spool/s/shared", None),
            ("user", None),
        ];
        for (path, expected) in cases {
            assert_eq!(name(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a_path_by_id_tells_the_id_with_whatever_is_left_of_it() {
        let id = b"3x01yxu0u2cf81mo11l7ahm9".to_vec();
        for path in ["spool/uuid/3/x", "#1234/x", "x"] {
            let path = Path::new(path).join("3x01yxu0u2cf81mo11l7ahm9");
            assert_eq!(of_path(&path), Some(id.clone()), "{path:?}");
        }
        assert_eq!(of_path(Path::new("a/user/alice")), None);
        assert_eq!(of_path(Path::new("3x01yxu0u2cf81mo11l7ahm9")), None);
    }
}
