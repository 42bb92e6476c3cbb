//! The incident's directory: who may own it, what it may be, what lies in it.
//!
//! It is 0700 and the caller's, so that what is checked here stays as it was checked: nobody else
//! can put a link in the place of a file.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use mailstore::identity::StoreAccount;

use crate::error::Error;
use crate::file_system::network_name;

/// The database.
pub(crate) const DATABASE: &str = "incident.sqlite";
/// What other tools put into the incident beside the database.
pub(crate) const FILES: &str = "files";
/// What SQLite keeps beside the database, by what its name ends with.
pub(crate) const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// What damaged databases are called that were set aside, before a number.
pub(crate) const SET_ASIDE: &str = "incident.sqlite.damaged-";

/// Makes the directory of a new incident and gives it to `account`, for a process that is root and
/// will become that account. One that exists already is left as it is.
pub fn make_for(path: &Path, account: &StoreAccount) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(|error| Error::io("make", path, error))?,
    }
    let (uid, gid) = (Some(account.uid), Some(account.gid));
    std::os::unix::fs::lchown(path, uid, gid).map_err(|error| Error::io("give away", path, error))
}

/// Makes the directory where it is missing, and the empty file of the database in it, unless it is
/// there. Returns the path of the database. A directory with anything else in it is refused.
pub(crate) fn make(path: &Path) -> Result<PathBuf, Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made.map_err(|error| Error::io("make", path, error))?,
    }
    let directory = checked(path)?;
    let entries = std::fs::read_dir(&directory);
    for entry in entries.map_err(|error| Error::io("list", &directory, error))? {
        let name = entry.map_err(|error| Error::io("list", &directory, error))?.file_name();
        if !is_of_database(&name.to_string_lossy()) {
            return Err(Error::NotEmpty { path: path.to_owned() });
        }
    }
    make_database_file(&directory)
}

/// Makes the empty file of the database, unless it is there.
pub(crate) fn make_database_file(directory: &Path) -> Result<PathBuf, Error> {
    let database = directory.join(DATABASE);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&database) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => drop(made.map_err(|error| Error::io("make", &database, error))?),
    }
    check_files(directory)?;
    Ok(database)
}

/// The path of the database in the directory of an incident that exists.
pub(crate) fn database_in(path: &Path) -> Result<PathBuf, Error> {
    let directory = checked(path)?;
    check_files(&directory)?;
    let database = directory.join(DATABASE);
    match database.symlink_metadata() {
        Ok(_) => Ok(database),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Error::NoIncident { path: path.to_owned() })
        }
        Err(error) => Err(Error::io("look at", &database, error)),
    }
}

/// The real path of the directory, once it is known to be one that nobody else can change, on a
/// file system that a database can be on.
pub(crate) fn checked(path: &Path) -> Result<PathBuf, Error> {
    let meta = match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Error::NoIncident { path: path.to_owned() });
        }
        read => read.map_err(|error| Error::io("look at", path, error))?,
    };
    let unsafe_because = |what| Err(Error::Unsafe { path: path.to_owned(), what });
    if meta.is_symlink() {
        return unsafe_because("is a symbolic link: name the directory itself");
    }
    if !meta.is_dir() {
        return unsafe_because("is not a directory");
    }
    require_ours(path, &meta)?;
    if meta.mode() & 0o022 != 0 {
        return unsafe_because("can be written by others: chmod 700 it");
    }
    let directory = path.canonicalize().map_err(|error| Error::io("look at", path, error))?;
    let stat = rustix::fs::statfs(&directory);
    let stat = stat.map_err(|errno| Error::io("look at", &directory, errno.into()))?;
    // The kernel's numbers have 32 bits, and a sign on some architectures.
    #[allow(clippy::cast_sign_loss, reason = "the sign is masked off")]
    let magic = stat.f_type as u64 & 0xFFFF_FFFF;
    if let Some(file_system) = network_name(magic) {
        return Err(Error::NetworkFileSystem { path: path.to_owned(), file_system });
    }
    Ok(directory)
}

/// Gives the database, and what SQLite keeps beside it, names under which they are never opened.
/// Returns the new path of the database.
///
/// The database goes last: a log that stayed beside a new database would be played into it.
pub(crate) fn set_database_aside(directory: &Path) -> Result<PathBuf, Error> {
    check_files(directory)?;
    let suffixes = || COMPANIONS.into_iter().chain([""]);
    let new = |number: u32, suffix| directory.join(format!("{SET_ASIDE}{number}{suffix}"));
    let free =
        |&number: &u32| suffixes().all(|suffix| new(number, suffix).symlink_metadata().is_err());
    let number = (1..u32::MAX).find(free).unwrap_or(u32::MAX);
    for suffix in suffixes() {
        let path = directory.join(format!("{DATABASE}{suffix}"));
        match std::fs::rename(&path, new(number, suffix)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            moved => moved.map_err(|error| Error::io("set aside", &path, error))?,
        }
    }
    Ok(new(number, ""))
}

/// Whether `name` is the database's or that of a file SQLite keeps beside it.
pub(crate) fn is_of_database(name: &str) -> bool {
    let rest = name.strip_prefix(DATABASE);
    rest.is_some_and(|rest| rest.is_empty() || COMPANIONS.contains(&rest))
}

fn check_files(directory: &Path) -> Result<(), Error> {
    for suffix in [""].into_iter().chain(COMPANIONS) {
        let path = directory.join(format!("{DATABASE}{suffix}"));
        match path.symlink_metadata() {
            Ok(meta) if !meta.is_file() => {
                let what = "is not a regular file; look who put it there";
                return Err(Error::Unsafe { path, what });
            }
            Ok(meta) if meta.nlink() > 1 => {
                let what = "has a second name elsewhere; look who gave it that";
                return Err(Error::Unsafe { path, what });
            }
            Ok(meta) => require_ours(&path, &meta)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("look at", &path, error)),
        }
    }
    Ok(())
}

fn require_ours(path: &Path, meta: &Metadata) -> Result<(), Error> {
    let process = rustix::process::geteuid().as_raw();
    if meta.uid() == process {
        return Ok(());
    }
    Err(Error::NotOurs { path: path.to_owned(), owner: meta.uid(), process })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn directory(mode: u32) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(directory.path(), permissions).unwrap();
        directory
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        for mode in [0o770, 0o707, 0o777] {
            let error = make(directory(mode).path()).unwrap_err();
            assert!(matches!(error, Error::Unsafe { .. }), "{error}");
        }
        let private = directory(0o700);
        assert_eq!(make(private.path()).unwrap(), checked(private.path()).unwrap().join(DATABASE));
    }

    #[test]
    fn a_new_directory_is_its_owners_alone() {
        let parent = directory(0o755);
        let path = parent.path().join("incident");
        let database = make(&path).unwrap();
        let mode = |path: &Path| path.symlink_metadata().unwrap().mode() & 0o777;
        assert_eq!((mode(&path), mode(&database)), (0o700, 0o600));
    }

    #[test]
    fn a_directory_with_something_else_in_it_is_refused() {
        let private = directory(0o700);
        std::fs::write(private.path().join("mail"), b"").unwrap();
        assert!(matches!(make(private.path()), Err(Error::NotEmpty { .. })));
        assert!(!private.path().join(DATABASE).exists());
    }

    #[test]
    fn no_link_is_followed_and_no_pipe_is_opened() {
        let (private, elsewhere) = (directory(0o700), directory(0o700));
        let link = elsewhere.path().join("link");
        symlink(private.path(), &link).unwrap();
        assert!(matches!(checked(&link), Err(Error::Unsafe { .. })));
        for name in [DATABASE, "incident.sqlite-wal", "incident.sqlite-shm"] {
            let path = private.path().join(name);
            symlink(elsewhere.path().join("target"), &path).unwrap();
            assert!(matches!(database_in(private.path()), Err(Error::Unsafe { .. })), "{name}");
            std::fs::remove_file(&path).unwrap();
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(
                rustix::fs::CWD,
                &path,
                rustix::fs::FileType::Fifo,
                mode,
                rustix::fs::makedev(0, 0),
            )
            .unwrap();
            assert!(matches!(database_in(private.path()), Err(Error::Unsafe { .. })), "{name}");
            std::fs::remove_file(&path).unwrap();
        }
        let original = elsewhere.path().join("original");
        std::fs::write(&original, b"").unwrap();
        std::fs::hard_link(original, private.path().join(DATABASE)).unwrap();
        assert!(matches!(database_in(private.path()), Err(Error::Unsafe { .. })));
        assert!(!elsewhere.path().join("target").exists());
    }
}
