//! Rebuilds mailboxes.
