//! How values lie in the database, where SQLite's own types are not theirs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mailstore_format::{Guid, InternalFlags, SystemFlags, ThreadId, Timestamp, Uid};
use rusqlite::types::{FromSqlError, FromSqlResult, Value, ValueRef};
use rusqlite::{Row, RowIndex};

use crate::journal::AnnotationLine;
use crate::wanted::WantedAnnotation;

/// Now.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// The signed number of the same bits.
pub(crate) const fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// An unsigned number that [`signed`] made one of SQLite's.
pub(crate) fn unsigned(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

/// A point in time.
pub(crate) fn timestamp(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp)
}

/// A point in time that may not have come.
pub(crate) fn moment(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
}

/// A UID.
pub(crate) fn uid(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Uid> {
    row.get(column).map(Uid)
}

/// A GUID.
pub(crate) fn guid(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Guid> {
    row.get(column).map(Guid)
}

/// The flags clients see.
pub(crate) fn system_flags(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<SystemFlags> {
    row.get(column).map(SystemFlags)
}

/// The flags the server notes.
pub(crate) fn internal_flags(
    row: &Row<'_>,
    column: impl RowIndex,
) -> rusqlite::Result<InternalFlags> {
    row.get(column).map(InternalFlags)
}

/// A thread id, of the hexadecimal digits that its `Display` makes.
pub(crate) fn thread_id(row: &Row<'_>, column: usize) -> rusqlite::Result<ThreadId> {
    let digits = row.get_ref(column)?.as_str().map_err(|error| wrong(column, error))?;
    match u64::from_str_radix(digits, 16) {
        Ok(id) => Ok(ThreadId(id)),
        Err(error) => Err(wrong(column, FromSqlError::Other(Box::new(error)))),
    }
}

/// A list of texts, as JSON.
pub(crate) fn texts(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<String>> {
    let json = row.get_ref(column)?.as_str().map_err(|error| wrong(column, error))?;
    let list = serde_json::from_str(json);
    list.map_err(|error| wrong(column, FromSqlError::Other(Box::new(error))))
}

/// A list of texts as JSON, for [`texts`].
pub(crate) fn json_of(texts: &[String]) -> String {
    serde_json::Value::from(texts).to_string()
}

/// A list of annotations, as JSON.
pub(crate) fn annotations(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<WantedAnnotation>> {
    let json = row.get_ref(column)?.as_str().map_err(|error| wrong(column, error))?;
    let lines: Vec<AnnotationLine> = serde_json::from_str(json)
        .map_err(|error| wrong(column, FromSqlError::Other(Box::new(error))))?;
    Ok(lines.into_iter().map(WantedAnnotation::from).collect())
}

/// A list of annotations as JSON, for [`annotations`].
pub(crate) fn json_of_annotations(annotations: &[WantedAnnotation]) -> String {
    let lines: Vec<_> = annotations.iter().map(AnnotationLine::from).collect();
    serde_json::to_string(&lines).expect("texts and numbers are always JSON")
}

/// A path: text, or a blob where its bytes are no UTF-8.
pub(crate) fn stored_path(path: &Path) -> Value {
    match path.to_str() {
        Some(text) => Value::Text(text.to_owned()),
        None => Value::Blob(path.as_os_str().as_bytes().to_vec()),
    }
}

/// A path that [`stored_path`] made a value of.
pub(crate) fn path(row: &Row<'_>, column: usize) -> rusqlite::Result<PathBuf> {
    let bytes = |value: ValueRef<'_>| -> FromSqlResult<PathBuf> {
        value.as_bytes().map(|bytes| PathBuf::from(OsStr::from_bytes(bytes)))
    };
    bytes(row.get_ref(column)?).map_err(|error| wrong(column, error))
}

/// A value that is not what its column holds.
pub(crate) fn wrong(column: usize, error: FromSqlError) -> rusqlite::Error {
    let kind = rusqlite::types::Type::Null;
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}
