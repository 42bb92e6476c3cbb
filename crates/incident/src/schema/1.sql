-- Version 1. All times are nanoseconds since 1970 UTC. Unsigned 64-bit numbers are stored as the
-- signed number of the same bits. A path is text, or a blob where its bytes are no UTF-8.

CREATE TABLE incident (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    created INTEGER NOT NULL,
    closed INTEGER,
    note TEXT NOT NULL
) STRICT;

CREATE TABLE stores (
    id INTEGER PRIMARY KEY,
    config_directory ANY NOT NULL UNIQUE,
    imapd_conf ANY NOT NULL,
    bound INTEGER NOT NULL
) STRICT;

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    store INTEGER NOT NULL REFERENCES stores (id),
    name TEXT NOT NULL,
    tool TEXT NOT NULL,
    version TEXT NOT NULL,
    arguments TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    status TEXT NOT NULL,
    mailboxes INTEGER NOT NULL DEFAULT 0,
    messages INTEGER NOT NULL DEFAULT 0,
    bytes_read INTEGER NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0,
    undone INTEGER,
    UNIQUE (store, name)
) STRICT;

CREATE TABLE mailboxes (
    id INTEGER PRIMARY KEY,
    store INTEGER NOT NULL REFERENCES stores (id),
    uniqueid TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (store, uniqueid)
) STRICT;

-- What became of a mailbox in a run.
CREATE TABLE outcomes (
    run INTEGER NOT NULL REFERENCES runs (id),
    mailbox INTEGER NOT NULL REFERENCES mailboxes (id),
    state TEXT NOT NULL,
    messages INTEGER NOT NULL,
    messages_read INTEGER NOT NULL,
    bytes_read INTEGER NOT NULL,
    error TEXT,
    undone INTEGER,
    PRIMARY KEY (run, mailbox)
) STRICT, WITHOUT ROWID;

CREATE INDEX outcomes_of_mailbox ON outcomes (mailbox, run);

-- A finding without a mailbox is about the store.
CREATE TABLE findings (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    mailbox INTEGER REFERENCES mailboxes (id),
    uid INTEGER,
    code TEXT NOT NULL,
    remedy TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX findings_of_mailbox ON findings (run, mailbox);

-- keywords: a JSON array of names. thread_id: 16 hexadecimal digits, as Cyrus prints it. guid: 20
-- bytes, all zero where none is known.
CREATE TABLE wanted (
    id INTEGER PRIMARY KEY,
    mailbox INTEGER NOT NULL REFERENCES mailboxes (id),
    uid INTEGER NOT NULL,
    guid BLOB NOT NULL,
    size INTEGER NOT NULL,
    system_flags INTEGER NOT NULL,
    internal_flags INTEGER NOT NULL,
    keywords TEXT NOT NULL,
    internaldate INTEGER NOT NULL,
    savedate INTEGER NOT NULL,
    sentdate INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    createdmodseq INTEGER NOT NULL,
    thread_id TEXT NOT NULL,
    why TEXT NOT NULL,
    run INTEGER NOT NULL REFERENCES runs (id),
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    found_at INTEGER,
    UNIQUE (mailbox, uid, guid)
) STRICT;

CREATE INDEX wanted_by_guid ON wanted (guid);

CREATE TABLE wanted_annotations (
    wanted INTEGER NOT NULL REFERENCES wanted (id) ON DELETE CASCADE,
    entry TEXT NOT NULL,
    userid TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (wanted, entry, userid)
) STRICT, WITHOUT ROWID;

CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    mailbox INTEGER NOT NULL REFERENCES mailboxes (id),
    origin ANY NOT NULL,
    now ANY NOT NULL,
    reason TEXT NOT NULL,
    guid BLOB,
    mtime INTEGER,
    restored INTEGER,
    UNIQUE (run, now)
) STRICT;
