//! A Cyrus IMAP mail store on disk.
