//! Reading back what was delivered.

use std::collections::HashMap;

use imap_client::Session;
use incident::DeliveryState;
use mailstore_format::{Guid, Uid};
use reconstruct::{Code, Finding, Remedy};

use super::{Delivery, Halt, Unread};
use crate::desk::Settled;

/// So often it is tried to read back what was delivered.
const TRIES: u32 = 3;

impl Delivery<'_> {
    /// Reads back what was delivered and was not read back. What its owner has taken away since is
    /// nobody's fault.
    pub(super) fn read_back(&mut self, session: &mut Session) -> Result<(), Halt> {
        if self.unread.is_empty() {
            return Ok(());
        }
        let mut uids: Vec<u32> = self.unread.iter().map(|it| it.uid.0).collect();
        uids.sort_unstable();
        let largest = self.unread.iter().map(|it| it.size).max().unwrap_or(0);
        let mut guids = HashMap::new();
        let read = session.noop().and_then(|()| {
            session.bodies(&uids, largest, &mut |fetched| {
                if let Some(body) = fetched.body() {
                    guids.insert(Uid(fetched.uid), Guid::of(body));
                }
            })
        });
        if let Err(error) = read {
            self.read_back_failures += 1;
            if self.read_back_failures >= TRIES {
                self.unread.clear();
                let detail = format!("what was delivered could not be read back: {error}");
                self.findings.push(Finding::new(Code::IndexUnreadable, Remedy::Left, detail));
            }
            return Err(error.into());
        }
        let mut verified = Vec::new();
        for Unread { key, guid, uid, .. } in std::mem::take(&mut self.unread) {
            match guids.get(&uid) {
                Some(read) if *read == guid => {
                    verified.push((key, Settled::at(DeliveryState::Verified, uid)));
                }
                Some(_) => {
                    let detail = "it is not what was delivered";
                    let finding = Finding::new(Code::GuidMismatch, Remedy::Left, detail);
                    self.findings.push(finding.about(uid));
                }
                None => {}
            }
        }
        self.settle(verified)
    }
}
