//! Reading a table page by page, so that memory does not grow with it and nothing is kept waiting:
//! between two pages the database is free, for this process and for others.

use std::collections::VecDeque;

use rusqlite::Connection;

use crate::database::Database;
use crate::error::Error;

/// Rows read at once.
const ROWS: u32 = 512;

/// Reads up to so many rows that come after a key, each with its own key, in the keys' order.
type NextPage<K, T> = dyn Fn(&Connection, &K, u32) -> rusqlite::Result<Vec<(K, T)>> + Send;

/// The rows of a table, in a fixed order. What is written meanwhile may or may not be among them.
///
/// After an error there is nothing more.
pub struct Pages<'a, K, T> {
    database: &'a Database,
    next_page: Box<NextPage<K, T>>,
    after: K,
    read: VecDeque<T>,
    ended: bool,
}

impl<'a, K: Default, T> Pages<'a, K, T> {
    pub(crate) fn new(
        database: &'a Database,
        next_page: impl Fn(&Connection, &K, u32) -> rusqlite::Result<Vec<(K, T)>> + Send + 'static,
    ) -> Self {
        Self {
            database,
            next_page: Box::new(next_page),
            after: K::default(),
            read: VecDeque::new(),
            ended: false,
        }
    }

    fn read_page(&mut self) -> Result<(), Error> {
        let Self { database, next_page, after, .. } = self;
        let page = database.read(|connection| next_page(connection, after, ROWS))?;
        self.ended = page.len() < ROWS as usize;
        for (key, row) in page {
            self.after = key;
            self.read.push_back(row);
        }
        Ok(())
    }
}

impl<K: Default, T> Iterator for Pages<'_, K, T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read.is_empty()
            && !self.ended
            && let Err(error) = self.read_page()
        {
            self.ended = true;
            return Some(Err(error));
        }
        self.read.pop_front().map(Ok)
    }
}

impl<K, T> std::fmt::Debug for Pages<'_, K, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("ended", &self.ended).finish_non_exhaustive()
    }
}
