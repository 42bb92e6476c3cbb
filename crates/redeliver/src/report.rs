//! What a run did, for people and programs.

use incident::DeliveryState;
use mailstore_format::{Guid, Timestamp, Uid};
use reconstruct::{Finding, FollowUp};
use serde::{Serialize, Serializer};

use crate::order::Ordered;

/// What became of a mailbox.
#[derive(Debug, Clone, Serialize)]
pub struct MailboxReport {
    /// Its name, as operators write it.
    pub mailbox: String,
    /// What became of each message.
    pub messages: Vec<MessageReport>,
    /// How long its locks were held, in milliseconds.
    pub locked_ms: u64,
    /// What was found besides.
    pub findings: Vec<Finding>,
    /// What the server keeps elsewhere and has to be brought in step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub follow_up: Vec<FollowUp>,
    /// What went wrong, where something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of a message.
#[derive(Debug, Clone, Serialize)]
pub struct MessageReport {
    /// The SHA-1 of its bytes; of a whole mailbox, zeros.
    #[serde(serialize_with = "as_text")]
    pub guid: Guid,
    /// Its UID in the source; 0 where it had none.
    #[serde(serialize_with = "uid_number")]
    pub source_uid: Uid,
    /// Its class, as `gapfill` has it.
    pub class: String,
    /// How many messages it is: 1, unless it is a mailbox.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it was received, in nanoseconds since 1970; 0 where nothing tells.
    #[serde(serialize_with = "nanoseconds")]
    pub internaldate: Timestamp,
    /// Whether it is marked as one that its owner may have deleted.
    pub marked: bool,
    /// What became of it; `intended` in a dry run.
    #[serde(serialize_with = "state_name")]
    pub state: DeliveryState,
    /// Under which UID it is there.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_uid")]
    pub uid: Option<Uid>,
    /// Why it is held; else empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn uid_number<S: Serializer>(uid: &Uid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(uid.0)
}

#[expect(clippy::trivially_copy_pass_by_ref, clippy::ref_option, reason = "serde's signature")]
fn some_uid<S: Serializer>(uid: &Option<Uid>, serializer: S) -> Result<S::Ok, S::Error> {
    uid.map(|uid| uid.0).serialize(serializer)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn nanoseconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(time.0)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn state_name<S: Serializer>(state: &DeliveryState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.as_str())
}

fn as_text<S: Serializer>(guid: &Guid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(guid)
}

impl MailboxReport {
    pub(crate) fn new(mailbox: &str) -> Self {
        Self {
            mailbox: mailbox.to_owned(),
            messages: Vec::new(),
            locked_ms: 0,
            findings: Vec::new(),
            follow_up: Vec::new(),
            error: None,
        }
    }
}

impl MessageReport {
    pub(crate) fn new(ordered: &Ordered, state: DeliveryState) -> Self {
        Self {
            guid: ordered.guid,
            source_uid: ordered.source_uid,
            class: ordered.class.clone(),
            messages: ordered.messages,
            bytes: ordered.bytes,
            internaldate: ordered.internaldate,
            marked: ordered.mark.is_some(),
            state,
            uid: None,
            note: String::new(),
        }
    }
}

/// The outcome of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Mailboxes that something was to be delivered into.
    pub mailboxes: u64,
    /// Messages that would be delivered, were this no dry run.
    pub intended: u64,
    /// Messages that were delivered, or had been by a run that could not say so.
    pub delivered: u64,
    /// Of these, how many were read back.
    pub verified: u64,
    /// Messages that the mailbox had got in another way, or whose owner has deleted them since.
    pub found: u64,
    /// Messages that were not delivered.
    pub held: u64,
    /// Bytes that were delivered, or would be.
    pub bytes: u64,
    /// Mailboxes that could not be worked on.
    pub failed: u64,
    /// Mailboxes that are not done, because the run was told to stop.
    pub stopped: u64,
    /// What could not be brought in step, though it was tried.
    pub out_of_step: u64,
    /// The run's name, for `redeliver undo`, where it delivered anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

impl Summary {
    /// Counts one mailbox in.
    pub fn add(&mut self, report: &MailboxReport) {
        self.mailboxes += 1;
        self.failed += u64::from(report.error.is_some());
        for message in &report.messages {
            let counter = match message.state {
                DeliveryState::Intended => &mut self.intended,
                DeliveryState::Delivered | DeliveryState::Verified => &mut self.delivered,
                DeliveryState::Found => &mut self.found,
                DeliveryState::Held | DeliveryState::Undone => &mut self.held,
            };
            *counter += message.messages;
            self.verified += u64::from(message.state == DeliveryState::Verified);
            if !matches!(message.state, DeliveryState::Held | DeliveryState::Found) {
                self.bytes += message.bytes;
            }
        }
    }

    /// The exit status of the command: 0 all is there, 1 something is not, 2 could not run.
    #[must_use]
    pub const fn exit_status(&self) -> u8 {
        if self.failed > 0 || self.stopped > 0 {
            2
        } else if self.held > 0 || self.intended > 0 || self.out_of_step > 0 {
            1
        } else {
            0
        }
    }
}
