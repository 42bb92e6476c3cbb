-- Version 4: what became of gaps that were to be delivered, and above which numbers they are.

-- A row a gap that was ever to be delivered. state: intended, delivered, verified (delivered and
-- read back), found (the mailbox had it in another way, or its owner had deleted it since), held
-- (not delivered; note says why), undone. uid: under which it is in the mailbox of the gap; null
-- where it is not. via: the transport. run: the run that said so last.
CREATE TABLE deliveries (
    gap INTEGER PRIMARY KEY REFERENCES gaps (id),
    run INTEGER NOT NULL REFERENCES runs (id),
    via TEXT NOT NULL,
    state TEXT NOT NULL,
    uid INTEGER,
    note TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;

CREATE INDEX deliveries_of_run ON deliveries (run);

-- The highest UID and modseq that clients of any source of a mailbox may have seen.
CREATE TABLE seen_numbers (
    mailbox INTEGER PRIMARY KEY REFERENCES mailboxes (id),
    uid INTEGER NOT NULL,
    modseq INTEGER NOT NULL
) STRICT;
