-- Version 2: what sources of an outage have and a live store lacks.

-- A gap is a message, or a mailbox that is missing whole: that one has messages and bytes of all its
-- messages, the GUID of 20 zeros and the UID 0. uid: in the source; 0 where it has none there.
-- copy: tells copies without UID apart, from 0. keywords: a JSON array of names. origin: where the
-- best copy lies; null where there is none. wanted: what an earlier run had missed.
CREATE TABLE gaps (
    id INTEGER PRIMARY KEY,
    mailbox INTEGER NOT NULL REFERENCES mailboxes (id),
    guid BLOB NOT NULL,
    uid INTEGER NOT NULL,
    copy INTEGER NOT NULL,
    class TEXT NOT NULL,
    restore INTEGER NOT NULL CHECK (restore IN (0, 1)),
    evidence TEXT NOT NULL,
    messages INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    system_flags INTEGER NOT NULL,
    keywords TEXT NOT NULL,
    internaldate INTEGER NOT NULL,
    savedate INTEGER NOT NULL,
    thread_id TEXT NOT NULL,
    origin ANY,
    staged ANY,
    wanted INTEGER REFERENCES wanted (id),
    run INTEGER NOT NULL REFERENCES runs (id),
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    UNIQUE (mailbox, guid, uid, copy)
) STRICT;

CREATE INDEX gaps_by_guid ON gaps (guid);
