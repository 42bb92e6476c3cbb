//! `redeliver` into a real server: what was missing is there, exactly as often as it was missing,
//! with new UIDs, whatever interrupts it.

mod beside;
mod command_line;
mod folders;
mod handed_over;
mod imap_access;
mod imap_dovecot;
mod imap_folders;
mod imap_kills;
mod imap_once;
mod imap_refusals;
mod imap_tls;
mod imap_undo;
mod interrupted;
mod lost_files;
mod manners;
mod once;
mod replica;
mod scene;
mod undo;
mod union;
