//! How jobs and their mailboxes lie in the tables.

use mailstore_format::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{Access, Job, JobId, JobMailbox, JobState, MailboxEnd, Place, Size};
use crate::mailboxes::MailboxId;
use crate::sql_values::{moment, timestamp, unsigned, wrong};
use crate::stores::StoreId;

/// The columns that [`job`] reads.
pub(super) const JOB: &str = "id, store, user, state, access, priority, attempts, why, \
    mailboxes, messages, to_read, bytes_to_read, \
    done_mailboxes, done_messages, done_to_read, done_bytes_to_read, added, claimed, ended";

/// What is left of the jobs that a query finds: four sums.
pub(super) const SUM_LEFT: &str = "coalesce(sum(mailboxes - done_mailboxes), 0), \
    coalesce(sum(messages - done_messages), 0), coalesce(sum(to_read - done_to_read), 0), \
    coalesce(sum(bytes_to_read - done_bytes_to_read), 0)";

pub(super) fn job_with(connection: &Connection, id: JobId) -> rusqlite::Result<Option<Job>> {
    let query = format!("SELECT {JOB} FROM jobs WHERE id = ?1");
    connection.prepare_cached(&query)?.query_row([id.0], job).optional()
}

pub(super) fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        id: JobId(row.get(0)?),
        store: StoreId(row.get(1)?),
        user: row.get(2)?,
        state: state(row, 3)?,
        access: named(row, 4, Access::named)?,
        priority: row.get(5)?,
        attempts: row.get(6)?,
        why: row.get(7)?,
        size: size(row, 8)?,
        done: size(row, 12)?,
        added: timestamp(row, 16)?,
        claimed: moment(row, 17)?,
        ended: moment(row, 18)?,
    })
}

pub(super) fn job_mailbox(row: &Row<'_>) -> rusqlite::Result<JobMailbox> {
    let ended: Option<Timestamp> = moment(row, 9)?;
    let end = match ended {
        Some(at) => Some(MailboxEnd { outcome: row.get(7)?, seconds: row.get(8)?, at }),
        None => None,
    };
    Ok(JobMailbox {
        position: row.get(0)?,
        mailbox: MailboxId { uniqueid: row.get(1)?, name: row.get(2)? },
        size: Size {
            mailboxes: 1,
            messages: unsigned(row, 3)?,
            to_read: unsigned(row, 4)?,
            bytes_to_read: unsigned(row, 5)?,
        },
        end,
    })
}

/// Five columns.
pub(super) fn place(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place { before: unsigned(row, 0)?, left_before: size(row, 1)? })
}

/// Four columns.
pub(super) fn size(row: &Row<'_>, first: usize) -> rusqlite::Result<Size> {
    Ok(Size {
        mailboxes: unsigned(row, first)?,
        messages: unsigned(row, first + 1)?,
        to_read: unsigned(row, first + 2)?,
        bytes_to_read: unsigned(row, first + 3)?,
    })
}

pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<JobState> {
    named(row, column, JobState::named)
}

pub(super) fn named<T>(
    row: &Row<'_>,
    column: usize,
    named: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let name: String = row.get(column)?;
    let unknown = || rusqlite::types::FromSqlError::Other(format!("'{name}'").into());
    named(&name).ok_or_else(|| wrong(column, unknown()))
}
