//! Where a mailbox lies on disk: by its unique id or by its name, and on which roots.
//!
//! Names and ids come from a database that may be damaged or hostile, so nothing becomes part of
//! a path that could lead out of its root.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::config::{ImapdConf, MetaFile};
use crate::name::{InternalName, NameParts, replaced};

/// Why a mailbox has no place on disk.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LocationError {
    /// The configuration does not say where the partition lies.
    #[error(
        "mailbox {name} is on partition '{partition}', for which the configuration has no partition-{partition}"
    )]
    UnknownPartition {
        /// The mailbox.
        name: InternalName,
        /// The partition that mailboxes.db names.
        partition: String,
    },
    /// A name that would lead elsewhere or nowhere (a `/`, NUL or nothing in it).
    #[error("the mailbox name {0} cannot be a path")]
    UnsafeName(InternalName),
    /// A unique id other than letters, digits, `-` and `_`, two at least.
    #[error("the unique id '{}' cannot be a path", .0.escape_ascii())]
    UnsafeId(Vec<u8>),
}

/// How the directory of a mailbox is found. Each mailbox's entry in mailboxes.db says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// By unique id: `uuid/x/y/<uniqueid>` (3.6 on).
    ById,
    /// By name: `[hash letter/]user/alice/Sent`.
    ByName,
}

/// The rules that turn names into paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRules {
    hashed: bool,
    full_hash: bool,
    deleted_prefix: Vec<u8>,
    default_domain: Vec<u8>,
}

impl From<&ImapdConf> for PathRules {
    fn from(conf: &ImapdConf) -> Self {
        Self {
            hashed: conf.hash_imap_spool(),
            full_hash: conf.full_dir_hash(),
            deleted_prefix: conf.deleted_prefix().to_vec(),
            default_domain: conf.default_domain().to_vec(),
        }
    }
}

impl PathRules {
    /// The path of `name` below `root` (`imap/mboxname.c`, `mboxname_hash`). Names of locks take
    /// the same way.
    pub fn by_name(&self, root: &Path, name: &InternalName) -> Result<PathBuf, LocationError> {
        let parts = NameParts::of(name, &self.deleted_prefix, &self.default_domain);
        let levels = parts.levels(&self.deleted_prefix);
        let mut path = root.to_path_buf();
        let mut push = |component: &[u8]| {
            if matches!(component, b"" | b"." | b"..")
                || component.iter().any(|b| b"/\0".contains(b))
            {
                return Err(LocationError::UnsafeName(name.clone()));
            }
            path.push(OsStr::from_bytes(component));
            Ok(())
        };
        if let Some(domain) = &parts.domain {
            push(b"domain")?;
            if self.hashed {
                push(&[self.letter(domain)])?;
            }
            push(domain)?;
        }
        let Some(hashed_level) = levels.get(1).or(levels.first()) else {
            return Err(LocationError::UnsafeName(name.clone()));
        };
        if self.hashed {
            push(&[self.letter(hashed_level)])?;
        }
        for level in &levels {
            push(&replaced(level, b'.', b'^'))?;
        }
        Ok(path)
    }

    /// The path of the mailbox with unique id `id` below `root` (`mboxname_id_hash`).
    pub fn by_id(root: &Path, id: &[u8]) -> Result<PathBuf, LocationError> {
        let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
        match id {
            [first, second, ..] if id.iter().all(harmless) => {
                let mut path = root.join("uuid");
                path.push(OsStr::from_bytes(&[*first]));
                path.push(OsStr::from_bytes(&[*second]));
                path.push(OsStr::from_bytes(id));
                Ok(path)
            }
            _ => Err(LocationError::UnsafeId(id.to_vec())),
        }
    }

    /// The file with this suffix that the server keeps below `configdirectory` about the user of a
    /// mailbox, or about all shared ones, where it is not kept by unique id
    /// (`mboxname_conf_getpath_legacy`). It is hashed whatever the spool is.
    pub fn by_owner(
        &self,
        config_directory: &Path,
        parts: &NameParts,
        suffix: &str,
    ) -> Result<PathBuf, LocationError> {
        let safe = |name: &[u8]| {
            let odd = matches!(name, b"" | b"." | b"..") || name.iter().any(|b| b"/\0".contains(b));
            if odd { Err(LocationError::UnsafeName(InternalName::new(name))) } else { Ok(()) }
        };
        let mut path = config_directory.to_path_buf();
        if let Some(domain) = &parts.domain {
            safe(domain)?;
            path.push("domain");
            path.push(OsStr::from_bytes(&[self.letter(domain)]));
            path.push(OsStr::from_bytes(domain));
        }
        let stem = match &parts.localpart {
            Some(local) => {
                safe(local)?;
                path.push("user");
                path.push(OsStr::from_bytes(&[self.letter(local)]));
                local.as_slice()
            }
            None => b"shared",
        };
        path.push(OsStr::from_bytes(&[stem, b".", suffix.as_bytes()].concat()));
        Ok(path)
    }

    /// The directory letter (`lib/util.c`, `dir_hash_c`): a hash of what stands before the first
    /// dot, as one of A-W; or the first letter, `q` where it is none.
    pub(crate) fn letter(&self, name: &[u8]) -> u8 {
        if self.full_hash {
            let hash = name
                .iter()
                .take_while(|&&byte| byte != b'.')
                .fold(0u32, |hash, &byte| (hash << 3 ^ hash >> 5) ^ u32::from(byte));
            b"ABCDEFGHIJKLMNOPQRSTUVW"[(hash % 23) as usize]
        } else {
            name.first().map(u8::to_ascii_lowercase).filter(u8::is_ascii_lowercase).unwrap_or(b'q')
        }
    }
}

/// The roots a mailbox's files lie under, for checks that each is mounted and has room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRoots {
    /// Message files.
    pub data: PathBuf,
    /// `metapartition-<name>`, if there is one.
    pub meta: Option<PathBuf>,
    /// Archived messages, if archiving is on for the partition.
    pub archive: Option<PathBuf>,
}

/// Where the files of one mailbox lie. Nothing of it need exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxLocation {
    /// The partition's name; empty where a directory was given instead of a mailbox.
    pub partition: String,
    /// The roots of that partition.
    pub partition_roots: PartitionRoots,
    /// The directory of the message files.
    pub spool: PathBuf,
    /// `cyrus.header`
    pub header: PathBuf,
    /// `cyrus.index`
    pub index: PathBuf,
    /// `cyrus.cache` of the messages in [`Self::spool`]
    pub cache: PathBuf,
    /// `cyrus.annotations`: annotations of messages
    pub annotations: PathBuf,
    /// `cyrus.expunge`, which only releases before 2.4 made, and which today's act on
    pub expunge: PathBuf,
    /// `cyrus.squat`, the old search index
    pub squat: PathBuf,
    /// The directory of archived message files
    pub archive: Option<PathBuf>,
    /// `cyrus.cache` of the messages in [`Self::archive`]
    pub archive_cache: Option<PathBuf>,
}

impl MailboxLocation {
    /// Where the mailbox `name` with unique id `id` lies (`imap/mboxname.c`, `mboxname_datapath`,
    /// `mboxname_metapath`, `mboxname_archivepath`). `id` is only looked at for [`Layout::ById`].
    pub fn of(
        conf: &ImapdConf,
        name: &InternalName,
        id: &[u8],
        layout: Layout,
        partition: &str,
    ) -> Result<Self, LocationError> {
        let Some(roots) = conf.partition(partition) else {
            let partition = partition.to_owned();
            return Err(LocationError::UnknownPartition { name: name.clone(), partition });
        };
        let rules = PathRules::from(conf);
        let directory = |root: &Path| match layout {
            Layout::ById => PathRules::by_id(root, id),
            Layout::ByName => rules.by_name(root, name),
        };
        let meta = |file: MetaFile| -> Result<PathBuf, LocationError> {
            Ok(directory(&conf.meta_root(&roots, file))?.join(file.file_name()))
        };
        let archive = roots.archive.as_deref();
        Ok(Self {
            spool: directory(&roots.data)?,
            header: meta(MetaFile::Header)?,
            index: meta(MetaFile::Index)?,
            cache: meta(MetaFile::Cache)?,
            annotations: meta(MetaFile::Annotations)?,
            expunge: meta(MetaFile::Expunge)?,
            squat: meta(MetaFile::Squat)?,
            archive: archive.map(directory).transpose()?,
            archive_cache: archive.map(|_| meta(MetaFile::ArchiveCache)).transpose()?,
            partition: roots.name,
            partition_roots: PartitionRoots {
                data: roots.data,
                meta: roots.meta,
                archive: roots.archive,
            },
        })
    }

    /// A mailbox that lies in one directory, with no configuration around it. Its root is the
    /// directory itself.
    #[must_use]
    pub fn in_directory(directory: &Path) -> Self {
        let file = |file: MetaFile| directory.join(file.file_name());
        Self {
            partition: String::new(),
            partition_roots: PartitionRoots { data: directory.into(), meta: None, archive: None },
            spool: directory.into(),
            header: file(MetaFile::Header),
            index: file(MetaFile::Index),
            cache: file(MetaFile::Cache),
            annotations: file(MetaFile::Annotations),
            expunge: file(MetaFile::Expunge),
            squat: file(MetaFile::Squat),
            archive: None,
            archive_cache: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(hashed: bool, full_hash: bool) -> PathRules {
        PathRules {
            hashed,
            full_hash,
            deleted_prefix: b"DELETED".to_vec(),
            default_domain: b"internal".to_vec(),
        }
    }

    fn by_name(rules: &PathRules, name: &str) -> String {
        rules.by_name(Path::new("/s"), &InternalName::new(name)).unwrap().display().to_string()
    }

    #[test]
    fn a_path_by_name_hashes_the_second_level() {
        let hashed = rules(true, false);
        assert_eq!(by_name(&hashed, "user.erin.Sent"), "/s/e/user/erin/Sent");
        assert_eq!(by_name(&hashed, "user.gina^dot"), "/s/g/user/gina^dot");
        assert_eq!(by_name(&hashed, "shared"), "/s/s/shared");
        assert_eq!(by_name(&hashed, "shared.notices"), "/s/n/shared/notices");
        assert_eq!(by_name(&hashed, "user.7up"), "/s/q/user/7up");
        assert_eq!(
            by_name(&hashed, "DELETED.user.erin.Trash.6B0120AA"),
            "/s/u/DELETED/user/erin/Trash/6B0120AA"
        );
        assert_eq!(by_name(&hashed, "Example.com!user.Bob"), "/s/domain/e/Example.com/b/user/Bob");
        assert_eq!(
            by_name(&rules(false, false), "example.com!user.bob"),
            "/s/domain/example.com/user/bob"
        );
    }

    /// As Cyrus 3.6.1's `mbpath` prints them.
    #[test]
    fn the_full_hash_is_a_letter_from_a_to_w_over_what_precedes_a_dot() {
        let full = rules(true, true);
        assert_eq!(by_name(&full, "shared"), "/s/T/shared");
        assert_eq!(by_name(&full, "shared.notices"), "/s/W/shared/notices");
        assert_eq!(by_name(&full, "shared.no^dots"), "/s/O/shared/no^dots");
    }

    #[test]
    fn a_path_by_id_uses_its_first_two_characters() {
        let path = PathRules::by_id(Path::new("/s"), b"3x01yxu0u2cf81mo11l7ahm9").unwrap();
        assert_eq!(path, Path::new("/s/uuid/3/x/3x01yxu0u2cf81mo11l7ahm9"));
    }

    #[test]
    fn nothing_leads_out_of_the_root() {
        for id in [&b""[..], b"x", b"../../etc", b"..", b"a/", b"ab\0"] {
            assert!(PathRules::by_id(Path::new("/s"), id).is_err(), "{id:?}");
        }
        for name in ["", "user.../../etc", "..!user.alice", "user.a/b", "user.a\0", "a/b!user.x"] {
            let name = InternalName::new(name);
            assert!(rules(true, false).by_name(Path::new("/s"), &name).is_err(), "{name}");
        }
    }
}
