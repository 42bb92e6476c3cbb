//! `imapd.conf`: the file read through [`ImapdConf::load`], but for ones that include others, which
//! would have it read whatever a fuzzer names.

use std::collections::BTreeMap;
use std::io::{Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use mailstore::config::{ImapdConf, MetaFile};
use tempfile::tempfile;

const META_FILES: [MetaFile; 9] = [
    MetaFile::Header,
    MetaFile::Index,
    MetaFile::Cache,
    MetaFile::Expunge,
    MetaFile::Squat,
    MetaFile::Annotations,
    MetaFile::Lock,
    MetaFile::Dav,
    MetaFile::ArchiveCache,
];

/// What the configuration says is what its lines say.
pub(crate) fn check(bytes: &[u8]) {
    let lines = options(bytes);
    if lines.keys().any(|option| option.starts_with('@')) {
        return;
    }
    let Some(conf) = loaded(bytes) else { return };
    for (option, value) in &lines {
        assert_eq!(conf.get(option).map(OsStrExt::as_bytes), Some(value.as_slice()), "{option}");
    }
    let partitions = conf.partitions();
    assert!(!partitions.is_empty());
    for partition in partitions {
        assert_eq!(conf.partition(&partition.name).as_ref(), Some(&partition));
        for file in META_FILES {
            assert!(!conf.meta_root(&partition, file).as_os_str().is_empty());
        }
    }
    assert!(conf.umask() <= 0o777 && !conf.sync_log_channels().is_empty());
    assert!(conf.replication_configured() || !lines.contains_key("sync_host"));
    let paths = [conf.lock_root(), conf.mailboxes_db(), conf.annotations_db(), conf.quota_db()];
    assert!(paths.iter().all(|path| !path.as_os_str().is_empty()));
}

/// Loads a file that has no name, so that nothing is left of it.
fn loaded(bytes: &[u8]) -> Option<ImapdConf> {
    let mut file = tempfile().expect("a temporary file can be made");
    file.write_all(bytes).and_then(|()| file.rewind()).expect("it can be written");
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    ImapdConf::load(&path).ok()
}

/// The options as a reader who knows nothing else would see them: one `name: value` a line.
fn options(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut joined = Vec::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        joined.extend(line.strip_suffix(b"\\\n").unwrap_or(line));
    }
    let joined = joined.strip_suffix(b"\\").unwrap_or(&joined);
    let mut options = BTreeMap::new();
    for line in joined.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii();
        let colon = memchr::memchr(b':', line).unwrap_or(0);
        let (name, value) = line.split_at(colon);
        if !name.is_empty() && !name.starts_with(b"#") {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            options.insert(name, value[1..].trim_ascii().to_vec());
        }
    }
    options
}
