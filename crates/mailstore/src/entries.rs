//! All entries of one of the server's databases at once.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use mailstore_format::db;

use crate::lock;

/// A larger database is not read into memory.
const LARGEST_DATABASE: u64 = 1 << 30;

/// All entries of a database; none where there is no file.
pub(crate) fn entries_of(
    database: &Path,
    timeout: Duration,
) -> Result<HashMap<Vec<u8>, Vec<u8>>, String> {
    if !database.exists() {
        return Ok(HashMap::new());
    }
    let locked = lock::read_database(database, timeout, &mut |_| {});
    let locked = locked.map_err(|error| error.to_string())?;
    let bytes = read(locked.file().try_clone(), LARGEST_DATABASE);
    let bytes = bytes.map_err(|error| error.to_string())?.unwrap_or_default();
    let contents = db::read(&bytes).map_err(|error| error.to_string())?;
    let entries = contents.entries.iter();
    Ok(entries.map(|entry| (entry.key.to_vec(), entry.value.to_vec())).collect())
}

/// What a file holds; nothing where there is none.
pub(crate) fn read(file: io::Result<File>, largest: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match file {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(largest).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
