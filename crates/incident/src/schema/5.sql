-- Version 5: what was sent to a server that has not confirmed it.

-- A row a gap whose message may have been sent: it is there under a UID from uidnext on, as long as
-- the mailbox has that uidvalidity, or it is not there. Removed when the server has said which.
CREATE TABLE appends (
    gap INTEGER PRIMARY KEY REFERENCES gaps (id),
    uidvalidity INTEGER NOT NULL,
    uidnext INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;
