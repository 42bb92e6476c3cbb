//! A whole directory tree, for asserting that something changed nothing in it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use mailstore_format::Guid;

/// Every entry below a directory, the directory itself included (as the empty path).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The entries by their paths relative to the root.
    pub entries: BTreeMap<PathBuf, Entry>,
}

/// A file, directory or anything else, with all that can be seen of it but its access time (which
/// reading changes) and its change time (which links change).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Type and permissions, as `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Inode number.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Modification time: seconds and nanoseconds.
    pub mtime: (i64, i64),
    /// SHA-1 of a file's bytes or of a symbolic link's target; zero for other things.
    pub content: Guid,
}

impl Tree {
    /// Reads all of `root`. Nothing may be writing to it meanwhile.
    pub fn read(root: &Path) -> Result<Self> {
        let mut entries = BTreeMap::new();
        let mut directories = vec![PathBuf::new()];
        entries.insert(PathBuf::new(), Entry::read(root)?);
        while let Some(directory) = directories.pop() {
            let path = root.join(&directory);
            let listing = fs::read_dir(&path);
            for entry in listing.with_context(|| format!("can't list {}", path.display()))? {
                let relative = directory.join(entry?.file_name());
                let entry = Entry::read(&root.join(&relative))?;
                if entry.is_directory() {
                    directories.push(relative.clone());
                }
                entries.insert(relative, entry);
            }
        }
        Ok(Self { entries })
    }

    /// What is different in `after`, one line a difference; empty if nothing is.
    #[must_use]
    pub fn differences(&self, after: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (path, before) in &self.entries {
            match after.entries.get(path) {
                Some(after) => found.extend(before.differences(after, path)),
                None => found.push(format!("{} is gone", path.display())),
            }
        }
        let new = after.entries.keys().filter(|path| !self.entries.contains_key(*path));
        found.extend(new.map(|path| format!("{} is new", path.display())));
        found
    }
}

impl Entry {
    fn read(path: &Path) -> Result<Self> {
        let of_path = || format!("can't read {}", path.display());
        let metadata = fs::symlink_metadata(path).with_context(of_path)?;
        let content = if metadata.is_file() {
            Guid::of(&fs::read(path).with_context(of_path)?)
        } else if metadata.is_symlink() {
            Guid::of(fs::read_link(path)?.as_os_str().as_bytes())
        } else {
            Guid::NULL
        };
        Ok(Self {
            mode: metadata.mode(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            inode: metadata.ino(),
            size: metadata.size(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            content,
        })
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    fn differences(&self, after: &Self, path: &Path) -> Vec<String> {
        let owner = |entry: &Self| format!("{}:{}", entry.uid, entry.gid);
        let mtime = |entry: &Self| format!("{}.{:09}", entry.mtime.0, entry.mtime.1);
        let mut fields = vec![
            ("mode", format!("{:o}", self.mode), format!("{:o}", after.mode)),
            ("owner", owner(self), owner(after)),
            ("inode", self.inode.to_string(), after.inode.to_string()),
            ("mtime", mtime(self), mtime(after)),
            ("content", self.content.to_string(), after.content.to_string()),
        ];
        if !self.is_directory() {
            fields.push(("size", self.size.to_string(), after.size.to_string()));
        }
        fields.retain(|(_, before, after)| before != after);
        let line = |(field, before, after)| {
            format!("{}: {field} was {before} and is {after}", path.display())
        };
        fields.into_iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_seen() -> Result<()> {
        let root = tempfile::tempdir()?;
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("d"))?;
        for name in ["d/rewritten", "removed", "touched", "replaced"] {
            fs::write(at(name), b"same size")?;
        }
        let before = Tree::read(root.path())?;
        assert_eq!(before.differences(&Tree::read(root.path())?), [""; 0]);

        let modified = fs::metadata(at("d/rewritten"))?.modified()?;
        fs::write(at("d/rewritten"), b"SAME SIZE")?;
        fs::File::options().append(true).open(at("d/rewritten"))?.set_modified(modified)?;
        fs::remove_file(at("removed"))?;
        fs::File::options()
            .append(true)
            .open(at("touched"))?
            .set_modified(std::time::UNIX_EPOCH)?;
        fs::copy(at("replaced"), at("new"))?;
        fs::rename(at("new"), at("replaced"))?;
        fs::write(at("d/added"), b"")?;

        let differences = before.differences(&Tree::read(root.path())?).join("\n");
        for expected in
            ["d/rewritten: content", "removed is gone", "touched: mtime", "replaced: inode"]
        {
            assert!(differences.contains(expected), "{expected} in:\n{differences}");
        }
        assert!(differences.contains("d/added is new") && differences.contains("d: mtime"));
        Ok(())
    }
}
