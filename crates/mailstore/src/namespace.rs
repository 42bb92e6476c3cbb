//! How operators write mailbox names, and patterns over them.
//!
//! The server's own tools take names in the administrator's form (`imap/mboxname.c`,
//! `mbname_from_extname` with `isadmin`): `user/alice/Sent`, or with dots where `unixhierarchysep`
//! is off, and `@domain` behind where `virtdomains` is on. The other spelling is understood too
//! where it cannot be meant otherwise: during an outage nobody recalls how that switch stands.

use thiserror::Error;

use crate::config::{ImapdConf, VirtualDomains};
use crate::mutf7;
use crate::name::{InternalName, NameParts, replaced};
use crate::pattern::Pattern;

/// Why a text names no mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing, or a level without letters (`user//x`, a separator at an end).
    #[error("'{0}' is not a mailbox name: a level of it is empty")]
    EmptyLevel(String),
    /// A character that no mailbox name can hold.
    #[error("'{0}' is not a mailbox name: it holds a control character")]
    ControlCharacter(String),
    /// INBOX is a different mailbox for every user.
    #[error("'{0}' is INBOX of whom? Name it as user/NAME")]
    WhoseInbox(String),
}

/// The rules of names on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    separator: u8,
    domains: bool,
    default_domain: Vec<u8>,
    deleted_prefix: Vec<u8>,
}

/// What the rules are made of: for a store whose configuration lies on another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceRules {
    /// Whether operators separate levels by `/`, not by `.`.
    pub unix_hierarchy_separator: bool,
    /// Whether names can have a domain.
    pub domains: bool,
    /// The domain that names are in without saying so.
    pub default_domain: Vec<u8>,
    /// The first level of deleted mailboxes.
    pub deleted_prefix: Vec<u8>,
}

impl From<NamespaceRules> for Namespace {
    fn from(rules: NamespaceRules) -> Self {
        Self {
            separator: if rules.unix_hierarchy_separator { b'/' } else { b'.' },
            domains: rules.domains,
            default_domain: rules.default_domain,
            deleted_prefix: rules.deleted_prefix,
        }
    }
}

impl From<&ImapdConf> for Namespace {
    fn from(conf: &ImapdConf) -> Self {
        Self {
            separator: if conf.unix_hierarchy_separator() { b'/' } else { b'.' },
            domains: conf.virtual_domains() != VirtualDomains::Off,
            default_domain: conf.default_domain().to_vec(),
            deleted_prefix: conf.deleted_prefix().to_vec(),
        }
    }
}

/// Levels (dots in them are dots) and a domain: one way to read what an operator wrote.
struct Reading {
    levels: Vec<Vec<u8>>,
    domain: Option<Vec<u8>>,
}

impl Reading {
    fn internal(&self) -> InternalName {
        let mut name = Vec::new();
        if let Some(domain) = &self.domain {
            name.extend_from_slice(domain);
            name.push(b'!');
        }
        let levels: Vec<_> = self.levels.iter().map(|l| replaced(l, b'.', b'^')).collect();
        name.extend(levels.join(&b'.'));
        InternalName::new(name)
    }
}

impl Namespace {
    /// What the rules are made of.
    #[must_use]
    pub fn rules(&self) -> NamespaceRules {
        NamespaceRules {
            unix_hierarchy_separator: self.separator == b'/',
            domains: self.domains,
            default_domain: self.default_domain.clone(),
            deleted_prefix: self.deleted_prefix.clone(),
        }
    }

    /// What separates levels in operators' names: `/` or `.`.
    #[must_use]
    pub fn separator(&self) -> char {
        self.separator.into()
    }

    /// The first level of deleted mailboxes.
    #[must_use]
    pub fn deleted_prefix(&self) -> &[u8] {
        &self.deleted_prefix
    }

    /// The parts of a name.
    #[must_use]
    pub fn parts(&self, name: &InternalName) -> NameParts {
        NameParts::of(name, &self.deleted_prefix, &self.default_domain)
    }

    /// The userid of the mailbox's owner, with its domain; none for a shared mailbox.
    #[must_use]
    pub fn owner(&self, name: &InternalName) -> Option<Vec<u8>> {
        self.parts(name).userid()
    }

    /// The parts of a user's INBOX. The userid may have a domain.
    #[must_use]
    pub fn user_parts(&self, userid: &[u8]) -> NameParts {
        let (local, domain) = self.split_domain(userid);
        NameParts {
            domain: domain.map(<[u8]>::to_vec),
            localpart: Some(local.to_vec()),
            ..NameParts::default()
        }
    }

    /// A userid as operators write it, without the default domain.
    #[must_use]
    pub fn parse_userid(&self, text: &str) -> Vec<u8> {
        let (local, domain) = self.split_domain(text.as_bytes());
        let mut userid = local.to_vec();
        if let Some(domain) = domain {
            userid.push(b'@');
            userid.extend_from_slice(domain);
        }
        userid
    }

    /// The mailbox an operator names. Modified UTF-7 is taken as it is, UTF-8 is converted.
    ///
    /// Where the text can be read in two ways this is the first of [`Self::operator_readings`].
    pub fn parse_operator(&self, text: &str) -> Result<InternalName, NameError> {
        let mut readings = self.operator_readings(text)?;
        Ok(readings.swap_remove(0))
    }

    /// Every mailbox that an operator can mean by `text`, likeliest first, at least one.
    ///
    /// A dot is ambiguous under `unixhierarchysep` (`shared.notices` is one level, or two), unless
    /// the name begins with `user.` or the deleted prefix; so is one beside a `/` where dots
    /// separate.
    pub fn operator_readings(&self, text: &str) -> Result<Vec<InternalName>, NameError> {
        let readings = self.readings(text)?;
        Ok(readings.iter().map(Reading::internal).collect())
    }

    /// The name as the server's administrative tools print and accept it, in modified UTF-7.
    #[must_use]
    pub fn display(&self, name: &InternalName) -> String {
        String::from_utf8_lossy(&self.external(name)).into_owned()
    }

    /// The name for people: as [`Self::display`], decoded where it is valid modified UTF-7.
    #[must_use]
    pub fn display_decoded(&self, name: &InternalName) -> String {
        mutf7::decode(&self.external(name)).unwrap_or_else(|| self.display(name))
    }

    /// A pattern over operators' names: `*` stands for anything, `%` for anything within a level.
    /// A name without either matches itself.
    pub fn pattern(&self, text: &str) -> Result<Pattern, NameError> {
        let readings = self.readings(text)?;
        let globs = readings
            .iter()
            .map(|reading| self.joined(&reading.levels, reading.domain.as_deref()))
            .collect();
        Ok(Pattern::new(self.clone(), globs))
    }

    fn readings(&self, text: &str) -> Result<Vec<Reading>, NameError> {
        let encoded = mutf7::encode_operator(text);
        if encoded.iter().any(u8::is_ascii_control) || text.chars().any(char::is_control) {
            return Err(NameError::ControlCharacter(text.escape_debug().to_string()));
        }
        let internal_domain =
            encoded.iter().position(|&byte| byte == b'!').filter(|_| self.domains);
        let (levels, domain) = if let Some(mark) = internal_domain {
            let (domain, rest) = encoded.split_at(mark);
            (vec![split(&rest[1..], b".")], self.other_domain(domain))
        } else {
            let (local, domain) = self.split_domain(&encoded);
            (self.split_levels(local), domain)
        };
        for levels in &levels {
            if levels.iter().any(Vec::is_empty) {
                return Err(NameError::EmptyLevel(text.to_owned()));
            }
            if levels.first().is_some_and(|first| first.eq_ignore_ascii_case(b"INBOX")) {
                return Err(NameError::WhoseInbox(text.to_owned()));
            }
        }
        let domain = domain.map(<[u8]>::to_vec);
        Ok(levels.into_iter().map(|levels| Reading { levels, domain: domain.clone() }).collect())
    }

    fn split_levels(&self, local: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let (slash, dot) = (local.contains(&b'/'), local.contains(&b'.'));
        let internal =
            |prefix: &[u8]| local.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(b"."));
        match (self.separator, slash, dot) {
            (b'/', false, true) if internal(b"user") || internal(&self.deleted_prefix) => {
                vec![split(local, b".")]
            }
            (b'/', false, true) => vec![split(local, b"/"), split(local, b".")],
            (b'.', true, true) => vec![split(local, b"/"), split(local, b"./")],
            (b'.', false, _) => vec![split(local, b".")],
            _ => vec![split(local, b"/")],
        }
    }

    pub(crate) fn split_domain<'a>(&self, text: &'a [u8]) -> (&'a [u8], Option<&'a [u8]>) {
        let at = text.iter().rposition(|&byte| byte == b'@').filter(|_| self.domains);
        match at.and_then(|at| text.split_at_checked(at)) {
            Some((local, domain)) => (local, self.other_domain(&domain[1..])),
            None => (text, None),
        }
    }

    fn other_domain<'a>(&self, domain: &'a [u8]) -> Option<&'a [u8]> {
        Some(domain).filter(|domain| *domain != self.default_domain && !domain.is_empty())
    }

    pub(crate) fn external(&self, name: &InternalName) -> Vec<u8> {
        let parts = self.parts(name);
        let levels = parts.levels(&self.deleted_prefix);
        self.joined(&levels, parts.domain.as_deref())
    }

    fn joined(&self, levels: &[Vec<u8>], domain: Option<&[u8]>) -> Vec<u8> {
        let shown = |level: &Vec<u8>| match self.separator {
            b'/' => level.clone(),
            _ => replaced(level, b'.', b'^'),
        };
        let mut name = levels.iter().map(shown).collect::<Vec<_>>().join(&self.separator);
        if let Some(domain) = domain {
            name.push(b'@');
            name.extend_from_slice(domain);
        }
        name
    }
}

/// Levels of `text`, of which `^` stands for a dot.
fn split(text: &[u8], separators: &[u8]) -> Vec<Vec<u8>> {
    let levels = text.split(|byte| separators.contains(byte));
    levels.map(|level| replaced(level, b'^', b'.')).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn namespace(separator: u8, domains: bool) -> Namespace {
        Namespace {
            separator,
            domains,
            default_domain: b"internal".to_vec(),
            deleted_prefix: b"DELETED".to_vec(),
        }
    }

    fn internal(namespace: &Namespace, text: &str) -> String {
        namespace.parse_operator(text).unwrap().to_string()
    }

    #[test]
    fn both_separators_are_understood_under_either_setting() {
        for separator in [b'/', b'.'] {
            let namespace = namespace(separator, false);
            assert_eq!(internal(&namespace, "user.alice.Sent"), "user.alice.Sent");
            assert_eq!(internal(&namespace, "user/alice/Sent"), "user.alice.Sent");
            assert_eq!(internal(&namespace, "user/gina.dot"), "user.gina^dot");
            assert_eq!(internal(&namespace, "user.gina^dot"), "user.gina^dot");
            assert_eq!(
                internal(&namespace, "DELETED.user.erin.Trash.6B0120AA"),
                "DELETED.user.erin.Trash.6B0120AA"
            );
        }
    }

    #[test]
    fn an_ambiguous_dot_gives_both_readings_in_order() {
        let readings = |separator, text| {
            let readings = namespace(separator, false).operator_readings(text).unwrap();
            readings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(readings(b'/', "shared.notices"), ["shared^notices", "shared.notices"]);
        assert_eq!(readings(b'.', "user/alice.Sent"), ["user.alice^Sent", "user.alice.Sent"]);
        assert_eq!(readings(b'.', "shared.notices"), ["shared.notices"]);
    }

    #[test]
    fn a_domain_is_one_only_with_virtual_domains() {
        let with = namespace(b'/', true);
        assert_eq!(internal(&with, "user/alice@example.com"), "example.com!user.alice");
        assert_eq!(internal(&with, "user.alice@example.com"), "example.com!user.alice");
        assert_eq!(internal(&with, "example.com!user.alice"), "example.com!user.alice");
        assert_eq!(internal(&with, "user/alice@internal"), "user.alice");
        assert_eq!(with.parse_userid("alice@internal"), b"alice");
        let without = namespace(b'/', false);
        assert_eq!(internal(&without, "user/alice@example.com"), "user.alice@example^com");
    }

    #[test]
    fn names_beyond_ascii_are_encoded_and_shown_decoded() {
        let namespace = namespace(b'/', false);
        let name = namespace.parse_operator("user/erin/été").unwrap();
        assert_eq!(name.as_bytes(), b"user.erin.&AOk-t&AOk-");
        assert_eq!(namespace.parse_operator("user/erin/&AOk-t&AOk-").unwrap(), name);
        assert_eq!(namespace.display(&name), "user/erin/&AOk-t&AOk-");
        assert_eq!(namespace.display_decoded(&name), "user/erin/été");
    }

    #[test]
    fn what_names_nothing_is_an_error() {
        let namespace = namespace(b'/', true);
        let error = |text: &str| namespace.parse_operator(text).unwrap_err();
        assert!(matches!(error(""), NameError::EmptyLevel(_)));
        assert!(matches!(error("user//x"), NameError::EmptyLevel(_)));
        assert!(matches!(error("user.alice."), NameError::EmptyLevel(_)));
        assert!(matches!(error("user/a\nb"), NameError::ControlCharacter(_)));
        assert!(matches!(error("inbox"), NameError::WhoseInbox(_)));
        assert!(matches!(error("INBOX/Sent"), NameError::WhoseInbox(_)));
    }

    #[test]
    fn display_and_parse_agree() {
        for name in ["user.alice", "example.com!user.gina^dot.Sent", "shared.a^b"] {
            for separator in [b'/', b'.'] {
                let namespace = namespace(separator, true);
                let shown = namespace.display(&InternalName::new(name));
                assert_eq!(internal(&namespace, &shown), name, "{shown}");
            }
        }
        let shown = namespace(b'/', true).display(&InternalName::new("e.org!user.g^d.S"));
        assert_eq!(shown, "user/g.d/S@e.org");
    }
}
