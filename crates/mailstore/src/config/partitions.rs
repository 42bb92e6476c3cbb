//! Partitions: roots of the spool, of metadata and of the archive, by partition name.

use std::path::{Path, PathBuf};

use super::file::Settings;
use super::{ConfigError, ImapdConf, path_of, text_of};

/// A metadata file that can lie apart from the messages (`metapartition_files`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetaFile {
    /// `cyrus.header`
    Header,
    /// `cyrus.index`
    Index,
    /// `cyrus.cache`
    Cache,
    /// `cyrus.expunge` (before 2.4)
    Expunge,
    /// `cyrus.squat`
    Squat,
    /// `cyrus.annotations`
    Annotations,
    /// A lock file, once; no release of today has one.
    Lock,
    /// `cyrus.dav`
    Dav,
    /// `cyrus.cache` of the messages in the archive
    ArchiveCache,
}

impl MetaFile {
    const ALL: [(&'static str, Self); 9] = [
        ("header", Self::Header),
        ("index", Self::Index),
        ("cache", Self::Cache),
        ("expunge", Self::Expunge),
        ("squat", Self::Squat),
        ("annotations", Self::Annotations),
        ("lock", Self::Lock),
        ("dav", Self::Dav),
        ("archivecache", Self::ArchiveCache),
    ];

    /// The file's name in its directory.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Header => "cyrus.header",
            Self::Index => "cyrus.index",
            Self::Cache | Self::ArchiveCache => "cyrus.cache",
            Self::Expunge => "cyrus.expunge",
            Self::Squat => "cyrus.squat",
            Self::Annotations => "cyrus.annotations",
            Self::Lock => "cyrus.lock",
            Self::Dav => "cyrus.dav",
        }
    }

    /// The option that names a root for this one file (`imap/mboxname.c`, `mboxname_metapath`).
    /// Annotations follow the index's; that is how the server has it.
    const fn own_root_option(self) -> Option<&'static str> {
        match self {
            Self::Header => Some("metadir-header-"),
            Self::Index | Self::Annotations => Some("metadir-index-"),
            Self::Cache => Some("metadir-cache-"),
            Self::Squat => Some("metadir-squat-"),
            Self::Dav => Some("metadir-dav-"),
            Self::ArchiveCache => Some("metadir-archivecache-"),
            Self::Expunge | Self::Lock => None,
        }
    }
}

/// The roots of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its name, as mailboxes.db has it.
    pub name: String,
    /// `partition-<name>`: message files.
    pub data: PathBuf,
    /// `metapartition-<name>`.
    pub meta: Option<PathBuf>,
    /// `archivepartition-<name>`, where archiving is enabled.
    pub archive: Option<PathBuf>,
}

impl ImapdConf {
    /// `defaultpartition`, in lower case.
    #[must_use]
    pub fn default_partition(&self) -> Option<String> {
        self.settings.get("defaultpartition").map(|name| text_of(name).to_ascii_lowercase())
    }

    /// The partition called `name`, if the configuration has it.
    #[must_use]
    pub fn partition(&self, name: &str) -> Option<Partition> {
        let root = |kind: &str| self.settings.get(&format!("{kind}{name}")).map(path_of);
        Some(Partition {
            name: name.to_owned(),
            data: root("partition-")?,
            meta: root("metapartition-"),
            archive: root("archivepartition-").filter(|_| self.archive_enabled()),
        })
    }

    /// Every partition of the configuration, by name.
    #[must_use]
    pub fn partitions(&self) -> Vec<Partition> {
        let names = self.settings.names().filter_map(|option| option.strip_prefix("partition-"));
        names.filter_map(|name| self.partition(name)).collect()
    }

    /// The root under which the metadata file `file` of mailboxes on `partition` lies
    /// (`imap/mboxname.c`, `mboxname_metapath`).
    #[must_use]
    pub fn meta_root(&self, partition: &Partition, file: MetaFile) -> PathBuf {
        let own = file.own_root_option().and_then(|option| {
            self.settings.get(&format!("{option}{}", partition.name)).map(path_of)
        });
        let meta = || partition.meta.clone().filter(|_| self.meta_files.contains(&file));
        let archive = || partition.archive.clone().filter(|_| file == MetaFile::ArchiveCache);
        own.or_else(meta).or_else(archive).unwrap_or_else(|| partition.data.clone())
    }

    /// As the server at its start: a default partition without a directory is refused, and so is
    /// a configuration that has no partition at all.
    pub(super) fn check_partitions(&self) -> Result<(), ConfigError> {
        let default_exists = self.default_partition().map(|name| self.partition(&name).is_some());
        let option = match default_exists {
            Some(true) => return Ok(()),
            Some(false) => "partition-<defaultpartition>",
            None if !self.partitions().is_empty() => return Ok(()),
            None => "partition-<name>",
        };
        Err(ConfigError::Missing { path: self.path.clone(), option })
    }
}

pub(super) fn meta_files(path: &Path, settings: &Settings) -> Result<Vec<MetaFile>, ConfigError> {
    let value = settings.get("metapartition_files").map_or_else(String::new, text_of);
    value
        .split_ascii_whitespace()
        .map(|word| {
            MetaFile::ALL.iter().find(|(name, _)| *name == word).map(|&(_, file)| file).ok_or_else(
                || ConfigError::Value {
                    path: path.into(),
                    option: "metapartition_files",
                    value: word.to_owned(),
                    expected: "a list of header, index, cache, expunge, squat, annotations, lock, \
                               dav, archivecache",
                },
            )
        })
        .collect()
}
