//! Which mailbox of the server is meant, and how it is called there.

use incident::MailboxWithGaps;
use mailstore::name::NameParts;
use mailstore::namespace::{Namespace, NamespaceRules};
use mailstore_format::UidValidity;
use reconstruct::Target;

use super::tree::Tree;

/// Levels of names that the server cannot be told.
const ODD_NAME: &str = "its name cannot be said on this server";

/// A mailbox that is delivered into.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub(super) with_gaps: &'a MailboxWithGaps,
    /// As operators call it.
    pub(super) name: String,
    called: Called,
    /// The store's own list has it.
    is_listed: bool,
    /// The UIDVALIDITY that this list has of it.
    uidvalidity: Option<UidValidity>,
    /// Where its messages come instead.
    detour: Option<Detour>,
}

/// Where the messages of a mailbox come instead of into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Detour {
    /// Into its owner's INBOX.
    Inbox,
    /// Into a folder of a tree, of these levels.
    Tree(Vec<Vec<u8>>),
}

/// Whose a mailbox is, and its name among his.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Called {
    /// Nobody's where it is shared.
    user: Option<String>,
    /// The levels of its name: below the user's INBOX, or all of a shared mailbox.
    levels: Vec<Vec<u8>>,
}

impl<'a> Place<'a> {
    /// A mailbox of a store that this machine has.
    pub(super) fn listed(
        with_gaps: &'a MailboxWithGaps,
        target: &Target,
        namespace: &Namespace,
    ) -> Self {
        let called = Called::of(&namespace.parts(&target.internal_name()));
        Self {
            with_gaps,
            name: target.name.clone(),
            called,
            is_listed: true,
            uidvalidity: target.listed.uidvalidity,
            detour: None,
        }
    }

    /// A mailbox that only the incident knows, by the name that it had there.
    pub(super) fn recorded(with_gaps: &'a MailboxWithGaps) -> Result<Self, String> {
        let name = &with_gaps.mailbox.name;
        let called = Called::recorded(name)?;
        let (name, is_listed, uidvalidity, detour) = (name.clone(), false, None, None);
        Ok(Self { with_gaps, name, called, is_listed, uidvalidity, detour })
    }

    /// The same, but its messages come into its owner's INBOX. What is that already stays.
    pub(super) fn into_inbox(self) -> Result<Self, String> {
        self.require_owner()?;
        let detour = (!self.called.levels.is_empty()).then_some(Detour::Inbox);
        Ok(Self { detour, ..self })
    }

    /// The same, but its messages come into the folder of `tree` that is for it.
    pub(super) fn into_tree(self, tree: &Tree) -> Result<Self, String> {
        self.require_owner()?;
        let detour = Some(Detour::Tree(tree.levels_of(&self.called.levels)));
        Ok(Self { detour, ..self })
    }

    fn require_owner(&self) -> Result<(), String> {
        self.called
            .user
            .as_ref()
            .map(drop)
            .ok_or_else(|| "it belongs to nobody: there is no other folder of its owner".to_owned())
    }

    /// Where its messages come instead of into it, if they do.
    pub(super) fn detour(&self) -> Option<&Detour> {
        self.detour.as_ref()
    }

    /// Whether it is its owner's INBOX.
    pub(super) fn is_inbox(&self) -> bool {
        self.called.user.is_some() && self.called.levels.is_empty()
    }

    /// What messages come into, whoever else's do too: places of which this is equal are worked on
    /// one after the other.
    pub(super) fn destination(&self) -> (Option<&str>, &[Vec<u8>]) {
        let levels = match &self.detour {
            None => self.called.levels.as_slice(),
            Some(Detour::Inbox) => &[],
            Some(Detour::Tree(levels)) => levels,
        };
        (self.user(), levels)
    }

    /// What operators call the INBOX of its owner, where `name` is how they call one of his mailboxes.
    pub(super) fn inbox_of(name: &str) -> String {
        let (path, domain) = name.split_once('@').map_or((name, None), |(a, b)| (a, Some(b)));
        let separator = if path.starts_with("user/") { '/' } else { '.' };
        let ends = path.char_indices().filter(|(_, c)| *c == separator).nth(1);
        let inbox = ends.and_then(|(end, _)| path.get(..end)).unwrap_or(path);
        domain.map_or_else(|| inbox.to_owned(), |domain| format!("{inbox}@{domain}"))
    }

    /// Whether another mailbox, of this name, has the same owner.
    pub(super) fn has_owner_of(&self, name: &str) -> bool {
        Called::recorded(name).is_ok_and(|other| other.user == self.called.user)
    }

    /// Whose it is; nobody's where it is shared.
    pub(super) fn user(&self) -> Option<&str> {
        self.called.user.as_deref()
    }

    /// Whether the store's own list has it.
    pub(super) fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// The UIDVALIDITY that the store's own list has of it.
    pub(super) fn uidvalidity(&self) -> Option<UidValidity> {
        self.uidvalidity
    }

    /// What servers with lasting names call it; none where it has no such name.
    pub(super) fn uniqueid(&self) -> Option<&str> {
        let id = self.with_gaps.mailbox.uniqueid.as_str();
        // What has no unique id is known by its internal name.
        Some(id).filter(|id| !id.is_empty() && !id.contains(['.', '!']))
    }

    /// How the server calls it to the one who logged in.
    pub(super) fn own_name_on(
        &self,
        personal: &imap_client::Namespace,
    ) -> Result<Vec<u8>, &'static str> {
        self.called.name_on(personal)
    }

    /// How the server calls what its messages come into.
    pub(super) fn name_on(
        &self,
        personal: &imap_client::Namespace,
    ) -> Result<Vec<u8>, &'static str> {
        let (user, levels) = self.destination();
        let called = Called { user: user.map(str::to_owned), levels: levels.to_vec() };
        called.name_on(personal)
    }
}

impl Called {
    fn of(parts: &NameParts) -> Self {
        let user = parts.userid().map(|user| String::from_utf8_lossy(&user).into_owned());
        Self { user, levels: parts.boxes.clone() }
    }

    /// By the name that the incident has.
    fn recorded(name: &str) -> Result<Self, String> {
        let namespace = namespace_of(name);
        let internal = namespace.parse_operator(name).map_err(|error| error.to_string())?;
        Ok(Self::of(&namespace.parts(&internal)))
    }

    fn name_on(&self, personal: &imap_client::Namespace) -> Result<Vec<u8>, &'static str> {
        if self.user.is_some() && self.levels.is_empty() {
            return Ok(b"INBOX".to_vec());
        }
        let mut name = if self.user.is_some() { personal.prefix.clone() } else { Vec::new() };
        for (depth, level) in self.levels.iter().enumerate() {
            if depth > 0 {
                name.push(personal.separator.ok_or(ODD_NAME)?);
            }
            for &byte in level {
                match byte {
                    // As Cyrus shows a dot within a level where dots separate.
                    b'.' if personal.separator == Some(b'.') => name.push(b'^'),
                    _ if personal.separator == Some(byte) => return Err(ODD_NAME),
                    _ => name.push(byte),
                }
            }
        }
        Ok(name)
    }
}

/// The rules by which the incident's name was made: only its separator can be told from it.
fn namespace_of(name: &str) -> Namespace {
    let slash = name.find('/');
    let is_slashed = slash.is_some_and(|slash| name.find('.').is_none_or(|dot| slash < dot));
    NamespaceRules {
        unix_hierarchy_separator: is_slashed,
        domains: name.contains('@'),
        default_domain: Vec::new(),
        deleted_prefix: b"DELETED".to_vec(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(name: &str, prefix: &str, separator: u8) -> (Option<String>, String) {
        let called = Called::recorded(name).unwrap();
        let separator = Some(separator);
        let personal = imap_client::Namespace { prefix: prefix.into(), separator };
        let name = called.name_on(&personal).map(|name| String::from_utf8(name).unwrap());
        (called.user, name.unwrap_or_else(str::to_owned))
    }

    #[test]
    fn the_inbox_of_an_owner_is_told_from_any_of_his_folders() {
        assert_eq!(Place::inbox_of("user.alice.Work.Old"), "user.alice");
        assert_eq!(Place::inbox_of("user.alice"), "user.alice");
        assert_eq!(Place::inbox_of("user/a.b/Work@example.org"), "user/a.b@example.org");
    }

    #[test]
    fn a_folder_has_the_name_that_its_owner_sees() {
        let alice = |name: &str| (Some("alice".to_owned()), name.to_owned());
        assert_eq!(called("user.alice", "INBOX.", b'.'), alice("INBOX"));
        assert_eq!(called("user.alice.Work.Old", "INBOX.", b'.'), alice("INBOX.Work.Old"));
        assert_eq!(called("user/alice/Work/Old", "", b'/'), alice("Work/Old"));
        assert_eq!(called("user/alice/v1.2", "INBOX.", b'.'), alice("INBOX.v1^2"));
        assert_eq!(called("user.alice.v1^2", "", b'/'), alice("v1.2"));
        let (user, name) = called("user/alice/Work@example.org", "", b'/');
        assert_eq!((user.as_deref(), name.as_str()), (Some("alice@example.org"), "Work"));
        assert_eq!(called("shared.notices", "INBOX.", b'.'), (None, "shared.notices".to_owned()));
    }
}
