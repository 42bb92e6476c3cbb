//! Taking an incident away: only a closed one, and never anything beside the mail.

use std::fs::{remove_dir, remove_file};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::directory::{self, FILES, SET_ASIDE, is_of_database};
use crate::error::Error;
use crate::incident::Incident;
use crate::sql_values::now;
use crate::summary::KeptFiles;

/// What went, and what did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purged {
    /// The incident's own files: removed, or, where that was only asked about, to be removed.
    pub files: Vec<PathBuf>,
    /// What lies in the directory and is not the incident's. It stays, and the directory with it.
    pub foreign: Vec<PathBuf>,
    /// What runs keep beside the mail. It stays.
    pub kept: Vec<KeptFiles>,
}

/// Removes the incident in `directory`, if it has been closed for at least `closed_for`; with
/// `really` false, only says what it would do.
pub fn purge(directory: &Path, closed_for: Duration, really: bool) -> Result<Purged, Error> {
    let incident = Incident::open(directory)?;
    let not_purged = |why: String| Err(Error::NotPurged { path: directory.to_owned(), why });
    let Some(closed) = incident.about()?.closed else {
        return not_purged("is not closed: `incident close` closes it".to_owned());
    };
    let age = now().0.saturating_sub(closed.0);
    let age = Duration::from_nanos(u64::try_from(age).unwrap_or(0));
    if age < closed_for {
        let (hours, asked) = (age.as_secs() / 3600, closed_for.as_secs() / 3600);
        return not_purged(format!("has been closed for {hours} hours, not for {asked}"));
    }
    let mut purged = Purged { kept: incident.kept_files()?, ..Purged::default() };
    let own = incident.directory().to_owned();
    // The last connection that closes takes the log away.
    drop(incident);
    let files = own.join(FILES);
    list(&own, |name| is_of_database(name) || name.starts_with(SET_ASIDE), &mut purged)?;
    if purged.foreign.contains(&files) {
        purged.foreign.retain(|path| *path != files);
        directory::checked(&files)?;
        list(&files, |_| true, &mut purged)?;
    }
    if really {
        remove(&purged.files)?;
        for directory in [&files, &own] {
            remove_empty(directory)?;
        }
    }
    Ok(purged)
}

fn list(directory: &Path, is_own: impl Fn(&str) -> bool, purged: &mut Purged) -> Result<(), Error> {
    let failed = |error| Error::io("list", directory, error);
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_file = entry.file_type().map_err(failed)?.is_file();
        let own = is_file && is_own(&entry.file_name().to_string_lossy());
        let list = if own { &mut purged.files } else { &mut purged.foreign };
        list.push(entry.path());
    }
    purged.files.sort();
    purged.foreign.sort();
    Ok(())
}

/// Removes files; the database last, so that an interrupted purge can be run again.
fn remove(files: &[PathBuf]) -> Result<(), Error> {
    let is_database = |path: &&PathBuf| path.ends_with(directory::DATABASE);
    let (database, others): (Vec<_>, Vec<_>) = files.iter().partition(is_database);
    for path in others.into_iter().chain(database) {
        match remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed.map_err(|error| Error::io("remove", path, error))?,
        }
    }
    Ok(())
}

/// Removes a directory, unless something is in it, or what it lies in is not its owner's.
fn remove_empty(directory: &Path) -> Result<(), Error> {
    match remove_dir(directory) {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        removed => removed.map_err(|error| Error::io("remove", directory, error)),
    }
}
