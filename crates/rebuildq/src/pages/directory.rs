//! The pages as files, for any web server.

mod files;
mod gist;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use mailstore_format::Timestamp;
use thiserror::Error;

use super::{Site, Source, SourceError, json, notices, own, public, token};
use crate::status::{OwnStatus, Status};
use files::Folder;
use gist::Gist;

/// Where the pages of single accounts lie.
const OWN: &str = "u";

/// What a web server may show instead of a page that is not there.
const NOT_FOUND: &str = "404.html";

/// Those who list `u/` would read the tokens: a web server needs to open files only by name.
const OWN_MODE: u32 = 0o711;
const MODE: u32 = 0o755;

/// Why pages could not be written. Those that are not written keep their time, and grow old by it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The source has no answer. Nothing was written.
    #[error("what the status pages say cannot be read: {0}")]
    Source(#[source] SourceError),
    /// There is something else in the directory. Nothing was written.
    #[error(
        "{} holds other files and no status page: name a directory of its own, empty or not there \
         yet",
        path.display()
    )]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// It is a link, or a file. Nothing was written.
    #[error("{} is a symbolic link or no directory: name the directory itself", path.display())]
    NoDirectory {
        /// What should be a directory.
        path: PathBuf,
    },
    /// A token that cannot be the name of a page. It is not told, for it is a secret.
    #[error("the link of an account has a token that is none")]
    Token,
    /// A figure that JSON cannot hold.
    #[error("the figures cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// What the system said.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A directory with the pages: `index.html`, `still.html`, `status.json`, `404.html`, and in `u/` a
/// page for each token.
///
/// Each file is replaced as a whole. A token's page is written at once where something happened that
/// its owner waits for, else when it is five minutes old, and once its account is back only when that
/// changes. The time that a page names is that of what it says: it never changes alone.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    site: Site,
    /// What was written of each token, and of what time that was.
    written: HashMap<String, (Gist, Timestamp)>,
}

impl Directory {
    /// A directory that need not be there yet; that it lies in must. Nothing is read or written.
    #[must_use]
    pub fn new(path: &Path, site: Site) -> Self {
        // Without the slash at the end, behind which a link would be followed.
        Self { path: path.components().collect(), site, written: HashMap::new() }
    }

    /// Writes what has to be written, and removes the pages of tokens that are not in force. To be
    /// called every 30 seconds, which is what the pages tell their readers.
    ///
    /// # Errors
    /// See [`DirectoryError`]. Files before the one that failed are written, those after it are not.
    pub fn write(&mut self, source: &dyn Source) -> Result<(), DirectoryError> {
        let top = Folder::open(&self.path, MODE)?;
        if !top.is_ours(public::FILE, OWN)? {
            return Err(DirectoryError::NotOurs { path: self.path.clone() });
        }
        // Listed before the links are read: what another process adds is then not taken for old.
        let below = top.folder(OWN, OWN_MODE)?;
        top.sweep()?;
        below.sweep()?;
        let there = below.names()?;
        let status = source.status().map_err(DirectoryError::Source)?;
        let linked = source.linked().map_err(DirectoryError::Source)?;

        self.write_public(&top, &status)?;
        if !there.contains(public::FILE) {
            below.replace(public::FILE, &notices::not_found(&self.site))?;
        }
        let in_force = self.write_linked(&below, &there, &status, &linked)?;
        let is_stale = |name: &&String| !in_force.contains(*name) && token::of_page(name).is_some();
        for name in there.iter().filter(is_stale) {
            below.remove(name)?;
        }
        self.written
            .retain(|token, _| token::file_of(token).is_some_and(|f| in_force.contains(&f)));
        below.sync()
    }

    fn write_public(&self, top: &Folder, status: &Status) -> Result<(), DirectoryError> {
        for (file, itself) in [(public::FILE, true), (public::STILL_FILE, false)] {
            top.replace(file, &public::page(status, &self.site, itself))?;
        }
        top.replace(json::FILE, &json::document(status)?)?;
        top.replace(NOT_FOUND, &notices::not_found(&self.site))?;
        top.sync()
    }

    /// Writes the pages of accounts that need it. Returns the names of all that are in force.
    fn write_linked(
        &mut self,
        below: &Folder,
        there: &BTreeSet<String>,
        status: &Status,
        linked: &[(String, OwnStatus)],
    ) -> Result<BTreeSet<String>, DirectoryError> {
        let mut in_force = BTreeSet::new();
        for (token, own) in linked {
            let file = token::file_of(token).ok_or(DirectoryError::Token)?;
            let gist = Gist::of(own, status);
            let last = self.written.get(token).filter(|_| there.contains(&file));
            if !last.is_some_and(|(last, at)| *last == gist && !gist.is_due(*at, status.made)) {
                below.replace(&file, &own::page(own, status, &self.site, gist.renewal()))?;
                self.written.insert(token.clone(), (gist, status.made));
            }
            in_force.insert(file);
        }
        Ok(in_force)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::super::sample::{Still, TOKEN, alice, at};
    use super::*;
    use crate::status::{Phase, Standing};

    /// The files below `path`: names and inodes.
    fn inodes(path: &Path) -> BTreeMap<String, u64> {
        let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
        let named = entries.map(|entry| {
            (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().ino())
        });
        named.collect()
    }

    fn page(path: &Path, token: &str) -> String {
        fs::read_to_string(path.join(token::path_of(token).unwrap())).unwrap()
    }

    struct Scene {
        _parent: tempfile::TempDir,
        path: PathBuf,
        pages: Directory,
        source: Still,
    }

    impl Scene {
        fn new() -> Self {
            let parent = tempfile::tempdir().unwrap();
            let path = parent.path().join("status");
            let pages = Directory::new(&path, Site::default());
            Self { _parent: parent, path, pages, source: Still::new() }
        }

        /// Half a minute later: the time of what is read, and another write.
        fn later(&mut self, seconds: i64) {
            self.source.status.made =
                Timestamp::from_seconds(self.source.status.made.seconds() + seconds);
            self.pages.write(&self.source).unwrap();
        }
    }

    #[test]
    fn all_pages_are_there_after_the_first_write_and_no_name_is_on_the_public_ones() {
        let mut scene = Scene::new();
        scene.pages.write(&scene.source).unwrap();
        let names: Vec<String> = inodes(&scene.path).into_keys().collect();
        assert_eq!(names, ["404.html", "index.html", "status.json", "still.html", "u"]);
        for name in names.iter().filter(|name| *name != "u") {
            let text = fs::read_to_string(scene.path.join(name)).unwrap();
            assert!(!text.contains("alice") && !text.contains(TOKEN), "{name}");
        }
        assert!(page(&scene.path, TOKEN).contains("alice"));
        let listing = fs::read_to_string(scene.path.join("u/index.html")).unwrap();
        assert!(listing.contains("no such page") && !listing.contains(TOKEN));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&scene.path), 0o755);
        assert_eq!(mode(&scene.path.join("u")), 0o711);
    }

    #[test]
    fn pages_of_links_that_are_no_longer_in_force_go_and_other_files_stay() {
        let mut scene = Scene::new();
        scene.pages.write(&scene.source).unwrap();
        let below = scene.path.join("u");
        let others = ["short.html", "0123456789abcdef", "0123456789abcdef.txt", ".htaccess"];
        for name in others {
            fs::write(below.join(name), "an operator's").unwrap();
        }
        symlink("/etc/passwd", below.join("0123456789abcde-link.html")).unwrap();
        fs::write(scene.path.join("0123456789abcdef.html"), "an operator's").unwrap();
        scene.source.linked.clear();
        scene.later(30);
        let names = inodes(&below);
        assert!(!names.contains_key(&format!("{TOKEN}.html")));
        assert_eq!(names.len(), others.len() + 2);
        assert!(scene.path.join("0123456789abcdef.html").exists());
    }

    #[test]
    fn a_directory_of_somebody_else_is_left_as_it_is() {
        let mut scene = Scene::new();
        fs::create_dir(&scene.path).unwrap();
        let refused = |scene: &mut Scene| scene.pages.write(&scene.source).unwrap_err();
        fs::write(scene.path.join("photo.jpg"), "").unwrap();
        assert!(matches!(refused(&mut scene), DirectoryError::NotOurs { .. }));
        fs::write(scene.path.join("index.html"), "<!DOCTYPE html>their home page").unwrap();
        assert!(matches!(refused(&mut scene), DirectoryError::NotOurs { .. }));
        symlink("index.html", scene.path.join("link")).unwrap();
        fs::rename(scene.path.join("link"), scene.path.join("index.html")).unwrap();
        assert!(matches!(refused(&mut scene), DirectoryError::NotOurs { .. }));
        assert_eq!(inodes(&scene.path).len(), 2);
    }

    #[test]
    fn a_link_in_the_place_of_a_directory_is_refused() {
        let mut scene = Scene::new();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), &scene.path).unwrap();
        for path in [scene.path.clone(), scene.path.join("")] {
            let error = Directory::new(&path, Site::default()).write(&scene.source).unwrap_err();
            assert!(matches!(error, DirectoryError::NoDirectory { .. }), "{error}");
        }
        fs::remove_file(&scene.path).unwrap();
        scene.pages.write(&scene.source).unwrap();
        fs::remove_dir_all(scene.path.join("u")).unwrap();
        symlink(elsewhere.path(), scene.path.join("u")).unwrap();
        let error = scene.pages.write(&scene.source).unwrap_err();
        assert!(matches!(error, DirectoryError::NoDirectory { .. }), "{error}");
        assert!(inodes(elsewhere.path()).is_empty());
    }

    #[test]
    fn a_token_that_leads_elsewhere_is_refused_and_not_told() {
        let mut scene = Scene::new();
        scene.source.linked = vec![("../../0123456789abcdef".to_owned(), alice())];
        let error = scene.pages.write(&scene.source).unwrap_err();
        assert!(matches!(error, DirectoryError::Token));
        assert!(!error.to_string().contains("0123456789"));
        assert!(scene.path.join("index.html").exists());
    }

    #[test]
    fn an_accounts_page_is_written_when_something_happens_and_else_when_it_is_five_minutes_old() {
        let mut scene = Scene::new();
        scene.pages.write(&scene.source).unwrap();
        let inode = |scene: &Scene| inodes(&scene.path.join("u"))[&format!("{TOKEN}.html")];
        let public = |scene: &Scene| inodes(&scene.path)["index.html"];
        let (first, first_public) = (inode(&scene), public(&scene));
        let wait = |before| Standing::Waiting { before, estimate: None };
        scene.source.linked[0].1.standing = wait(10);
        scene.later(30);
        assert_eq!(inode(&scene), first);
        assert_ne!(public(&scene), first_public);
        assert!(page(&scene.path, TOKEN).contains("11:58:00 UTC"));

        scene.source.linked[0].1.standing = wait(4);
        scene.later(30);
        assert!(page(&scene.path, TOKEN).contains("4 accounts</strong> are before"));
        assert!(page(&scene.path, TOKEN).contains("11:59:00 UTC"));
        let second = inode(&scene);
        scene.later(240);
        assert_eq!(inode(&scene), second);
        scene.later(30);
        assert!(page(&scene.path, TOKEN).contains("12:03:30 UTC"));

        scene.source.status.phase = Phase::Silent;
        scene.later(30);
        assert!(page(&scene.path, TOKEN).contains("has not reported"));
        scene.source.linked[0].1.is_closed = false;
        scene.later(30);
        assert!(page(&scene.path, TOKEN).contains("Log-in works"));
    }

    #[test]
    fn the_page_of_who_is_back_is_written_once_and_stays_true() {
        let mut scene = Scene::new();
        let own = &mut scene.source.linked[0].1;
        (own.is_closed, own.standing) = (false, Standing::Done { since: at(-60) });
        scene.pages.write(&scene.source).unwrap();
        let inode = |scene: &Scene| inodes(&scene.path.join("u"))[&format!("{TOKEN}.html")];
        let first = inode(&scene);
        scene.source.status.phase = Phase::Silent;
        scene.later(100_000);
        assert_eq!(inode(&scene), first);
        let text = page(&scene.path, TOKEN);
        assert!(!text.contains(" ago") && !text.contains("today"), "{text}");
        assert!(text.contains("11:57 UTC on Saturday 21 November") && !text.contains("id=\"old\""));

        fs::remove_file(scene.path.join(token::path_of(TOKEN).unwrap())).unwrap();
        scene.later(30);
        assert!(page(&scene.path, TOKEN).contains("alice"));
    }

    #[test]
    fn a_source_that_fails_leaves_the_pages_as_old_as_they_are() {
        struct Failing;
        impl Source for Failing {
            fn status(&self) -> Result<Status, SourceError> {
                Err("the disk is gone".into())
            }
            fn own(&self, _: &str) -> Result<Option<OwnStatus>, SourceError> {
                Err("the disk is gone".into())
            }
            fn linked(&self) -> Result<Vec<(String, OwnStatus)>, SourceError> {
                Err("the disk is gone".into())
            }
        }
        let mut scene = Scene::new();
        scene.pages.write(&scene.source).unwrap();
        let before = inodes(&scene.path);
        let error = scene.pages.write(&Failing).unwrap_err();
        assert!(error.to_string().contains("the disk is gone"));
        assert_eq!(inodes(&scene.path), before);

        // And one that fails at first has not made the directory somebody else's.
        fs::remove_dir_all(&scene.path).unwrap();
        scene.pages.write(&Failing).unwrap_err();
        fs::write(scene.path.join(".rebuildq-1-index.html"), "half").unwrap();
        scene.pages.write(&scene.source).unwrap();
    }
}
