//! Sessions that know of a message as gone which now comes back.
//!
//! imapd asserts when a UID appears among those it knows (`imap/index.c`, `index_refresh_locked`):
//! such a session is ended beforehand, as the server itself ends those of a mailbox that it renames.
//! Its client connects anew.

use mailstore::config::ImapdConf;
use mailstore::sessions::Session;
use mailstore_format::Uid;
use mailstore_format::index::IndexRecord;

use crate::evidence::Evidence;
use crate::finding::{Code, Finding, Remedy};
use crate::plan::Rewrite;
use crate::target::Target;

/// Ends the sessions of the mailbox where the rewrite brings messages back. To be called under the
/// mailbox's locks, right before the commit.
pub(super) fn end(
    conf: Option<&ImapdConf>,
    target: &Target,
    evidence: &Evidence,
    rewrite: &Rewrite,
) -> Vec<Finding> {
    let Some(conf) = conf.filter(|_| brings_back(evidence, rewrite)) else { return Vec::new() };
    let sessions = Session::with_selected(conf, &target.internal_name());
    sessions.iter().filter_map(ended).collect()
}

fn ended(session: &Session) -> Option<Finding> {
    let Session { pid, service, user } = session;
    match session.end() {
        Ok(false) => None,
        Ok(true) => {
            let detail = format!("{service} process {pid} of {user} had it selected");
            Some(Finding::new(Code::SessionEnded, Remedy::Note, detail))
        }
        Err(error) => {
            let detail = format!("{service} process {pid} of {user} could not be ended: {error}");
            Some(Finding::new(Code::SessionEnded, Remedy::Note, detail))
        }
    }
}

/// Whether a message will be there that sessions know as gone: its record is expunged now, or the
/// index is whole and knows none, though its UID was given out.
fn brings_back(evidence: &Evidence, rewrite: &Rewrite) -> bool {
    let index = &evidence.index;
    let given_out = index.header.as_ref().filter(|_| index.header_proven);
    let given_out = given_out.filter(|_| index.unproven_slots() == 0 && index.truncated_slots == 0);
    let last_uid = given_out.map_or(Uid(0), |header| header.last_uid);
    rewrite.records.iter().map(|planned| &planned.record).any(|record| {
        let before = evidence.record_of(record.uid);
        let was_gone = before.map_or(record.uid <= last_uid, IndexRecord::is_expunged);
        was_gone && !record.is_expunged()
    })
}
