//! A private Cyrus server for tests.
