//! The bits of the index header's `options` word (`imap/mailbox.h`, `OPT_*`).

/// POP3 UIDLs carry the UIDVALIDITY. Without it a client sees other ids and downloads all again.
pub const POP3_NEW_UIDL: u32 = 1;
/// Once marked CONDSTORE mailboxes; ignored since 2.4, never reused.
pub const IMAP_CONDSTORE: u32 = 1 << 1;
/// All users share one `\Seen`.
pub const IMAP_SHAREDSEEN: u32 = 1 << 2;
/// Duplicate delivery is allowed.
pub const IMAP_DUPDELIVER: u32 = 1 << 3;
/// Some message has an alarm.
pub const IMAP_HAS_ALARMS: u32 = 1 << 4;
/// Some unlinked record's file waits to be removed.
pub const MAILBOX_NEEDS_UNLINK: u32 = 1 << 29;
/// The next close repacks the index.
pub const MAILBOX_NEEDS_REPACK: u32 = 1 << 30;
/// The mailbox is deleted: the next SELECT wipes its directory. A delete order, never to be trusted
/// on a mailbox that `mailboxes.db` holds active.
pub const MAILBOX_DELETED: u32 = 1 << 31;

/// What may be carried into a rebuilt header: all that is not an order to remove something.
pub const SAFE_MASK: u32 =
    POP3_NEW_UIDL | IMAP_CONDSTORE | IMAP_SHAREDSEEN | IMAP_DUPDELIVER | IMAP_HAS_ALARMS;
