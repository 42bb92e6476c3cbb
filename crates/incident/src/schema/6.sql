-- Version 6: mailboxes that are made again, and where messages went that came over IMAP.

-- What a source knows of a mailbox that its store does not have. acl: identifier, tab, rights, tab,
-- and so on, as Cyrus has it. special_use: its attributes of RFC 6154, blanks in between. Null where
-- no source tells it.
CREATE TABLE gone_mailboxes (
    mailbox INTEGER PRIMARY KEY REFERENCES mailboxes (id),
    acl TEXT,
    special_use TEXT
) STRICT;

-- The unique ids of mailboxes that were made again, as they were before.
CREATE TABLE former_ids (
    store INTEGER NOT NULL REFERENCES stores (id),
    uniqueid TEXT NOT NULL,
    mailbox INTEGER NOT NULL REFERENCES mailboxes (id),
    PRIMARY KEY (store, uniqueid)
) STRICT, WITHOUT ROWID;

-- Of what was sent to a server. folder: where it went, as the server calls it; null for the mailbox
-- of the gap. uidvalidity: of that folder. flags: a JSON array of those with which it was sent.
ALTER TABLE deliveries ADD COLUMN folder TEXT;
ALTER TABLE deliveries ADD COLUMN uidvalidity INTEGER;
ALTER TABLE deliveries ADD COLUMN flags TEXT;

CREATE INDEX deliveries_by_folder ON deliveries (folder) WHERE folder IS NOT NULL;

-- What is about to be taken back from a server: messages of these gaps that nobody had touched.
-- marked: they are marked as deleted there, and may be expunged from now on.
CREATE TABLE withdrawals (
    gap INTEGER PRIMARY KEY REFERENCES gaps (id),
    marked INTEGER NOT NULL CHECK (marked IN (0, 1)),
    at INTEGER NOT NULL
) STRICT;
