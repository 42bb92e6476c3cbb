//! A Cyrus IMAP mail store on disk.

pub mod config;
pub mod identity;
pub mod location;
pub mod lock;
pub mod mutf7;
pub mod name;
pub mod namespace;
pub mod pattern;
pub mod replace;
pub mod spool;
pub mod volume;
