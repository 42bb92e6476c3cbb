-- Version 7: the queue of rebuilds.

-- What holds for the queue as a whole. paused: since when no job is claimed; null where they are.
-- status_url: where users can see how far it is. last_turn: the last turn that a job was given; jobs of
-- one priority come in the order of theirs. last_end: how many mailboxes have ended.
CREATE TABLE queue (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    paused INTEGER,
    status_url TEXT,
    last_turn INTEGER NOT NULL,
    last_end INTEGER NOT NULL
) STRICT;

INSERT INTO queue (id, last_turn, last_end) VALUES (1, 0, 0);

-- Processes that work on jobs. beat: grows with every report; who watches it needs no clock but
-- their own.
CREATE TABLE runners (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    workers INTEGER NOT NULL,
    started INTEGER NOT NULL,
    reported INTEGER NOT NULL,
    beat INTEGER NOT NULL DEFAULT 0,
    ended INTEGER
) STRICT;

-- A user's mailboxes, to be rebuilt; user: empty for those that are nobody's. token: grows with every
-- change of hands; who has an older one has nothing to say. access: 'open'; 'closing', to be denied
-- before anything else; 'closed', denied by us; 'theirs', an operator had denied it.
-- to_read, bytes_to_read: as triage estimated them. Of what is done, in done_….
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    store INTEGER NOT NULL REFERENCES stores (id),
    user TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('waiting', 'running', 'held', 'set-aside', 'done', 'cancelled')),
    access TEXT NOT NULL CHECK (access IN ('open', 'closing', 'closed', 'theirs')),
    priority INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    token INTEGER NOT NULL DEFAULT 0,
    runner INTEGER REFERENCES runners (id),
    attempts INTEGER NOT NULL DEFAULT 0,
    why TEXT,
    mailboxes INTEGER NOT NULL DEFAULT 0,
    messages INTEGER NOT NULL DEFAULT 0,
    to_read INTEGER NOT NULL DEFAULT 0,
    bytes_to_read INTEGER NOT NULL DEFAULT 0,
    done_mailboxes INTEGER NOT NULL DEFAULT 0,
    done_messages INTEGER NOT NULL DEFAULT 0,
    done_to_read INTEGER NOT NULL DEFAULT 0,
    done_bytes_to_read INTEGER NOT NULL DEFAULT 0,
    added INTEGER NOT NULL,
    claimed INTEGER,
    ended INTEGER
) STRICT;

-- A user has one job that is not over.
CREATE UNIQUE INDEX jobs_not_over ON jobs (store, user) WHERE state NOT IN ('done', 'cancelled');
CREATE INDEX jobs_of_user ON jobs (store, user, id);
-- With what is left to do, so that whose turn comes when is told from the index alone.
CREATE INDEX jobs_by_turn ON jobs (store, priority DESC, turn, access, mailboxes, done_mailboxes,
    messages, done_messages, to_read, done_to_read, bytes_to_read, done_bytes_to_read)
    WHERE state = 'waiting';
CREATE INDEX jobs_by_end ON jobs (store, ended) WHERE ended IS NOT NULL;
CREATE INDEX jobs_running ON jobs (runner) WHERE state = 'running';

-- How much there is in all jobs of a state, kept by the triggers below: nobody adds up all jobs for
-- each look at the queue.
CREATE TABLE job_totals (
    store INTEGER NOT NULL,
    state TEXT NOT NULL,
    jobs INTEGER NOT NULL,
    mailboxes INTEGER NOT NULL, messages INTEGER NOT NULL, to_read INTEGER NOT NULL, bytes_to_read INTEGER NOT NULL,
    done_mailboxes INTEGER NOT NULL, done_messages INTEGER NOT NULL,
    done_to_read INTEGER NOT NULL, done_bytes_to_read INTEGER NOT NULL,
    PRIMARY KEY (store, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER jobs_added AFTER INSERT ON jobs BEGIN
    INSERT INTO job_totals VALUES (new.store, new.state, 1, new.mailboxes, new.messages, new.to_read, new.bytes_to_read, new.done_mailboxes, new.done_messages, new.done_to_read, new.done_bytes_to_read)
    ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs,
        mailboxes = mailboxes + excluded.mailboxes,
        messages = messages + excluded.messages,
        to_read = to_read + excluded.to_read,
        bytes_to_read = bytes_to_read + excluded.bytes_to_read,
        done_mailboxes = done_mailboxes + excluded.done_mailboxes,
        done_messages = done_messages + excluded.done_messages,
        done_to_read = done_to_read + excluded.done_to_read,
        done_bytes_to_read = done_bytes_to_read + excluded.done_bytes_to_read;
END;

CREATE TRIGGER jobs_changed AFTER UPDATE ON jobs BEGIN
    INSERT INTO job_totals VALUES (old.store, old.state, -1, -old.mailboxes, -old.messages, -old.to_read, -old.bytes_to_read, -old.done_mailboxes, -old.done_messages, -old.done_to_read, -old.done_bytes_to_read)
    ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs,
        mailboxes = mailboxes + excluded.mailboxes,
        messages = messages + excluded.messages,
        to_read = to_read + excluded.to_read,
        bytes_to_read = bytes_to_read + excluded.bytes_to_read,
        done_mailboxes = done_mailboxes + excluded.done_mailboxes,
        done_messages = done_messages + excluded.done_messages,
        done_to_read = done_to_read + excluded.done_to_read,
        done_bytes_to_read = done_bytes_to_read + excluded.done_bytes_to_read;
    INSERT INTO job_totals VALUES (new.store, new.state, 1, new.mailboxes, new.messages, new.to_read, new.bytes_to_read, new.done_mailboxes, new.done_messages, new.done_to_read, new.done_bytes_to_read)
    ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs,
        mailboxes = mailboxes + excluded.mailboxes,
        messages = messages + excluded.messages,
        to_read = to_read + excluded.to_read,
        bytes_to_read = bytes_to_read + excluded.bytes_to_read,
        done_mailboxes = done_mailboxes + excluded.done_mailboxes,
        done_messages = done_messages + excluded.done_messages,
        done_to_read = done_to_read + excluded.done_to_read,
        done_bytes_to_read = done_bytes_to_read + excluded.done_bytes_to_read;
END;

-- The mailboxes of a job in their order. state: 'waiting', 'done', or 'gone' where it is not there
-- any more. outcome: what the repair made of it. ending: they ended in this order, whatever clocks say.
-- at_once: so many jobs were worked on then.
CREATE TABLE job_mailboxes (
    job INTEGER NOT NULL REFERENCES jobs (id),
    position INTEGER NOT NULL,
    mailbox INTEGER NOT NULL REFERENCES mailboxes (id),
    messages INTEGER NOT NULL,
    to_read INTEGER NOT NULL,
    bytes_to_read INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'gone')),
    outcome TEXT,
    seconds REAL,
    ended INTEGER,
    ending INTEGER,
    at_once INTEGER,
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_mailboxes_by_end ON job_mailboxes (ending) WHERE ending IS NOT NULL;

-- What happened, in its order. job: none for what concerns the queue as a whole.
CREATE TABLE queue_events (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    job INTEGER REFERENCES jobs (id),
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX queue_events_of_job ON queue_events (job, id) WHERE job IS NOT NULL;

-- How far it was at a time, and when all was then thought to be done; earliest and latest are null
-- where nobody could say.
CREATE TABLE queue_samples (
    store INTEGER NOT NULL REFERENCES stores (id),
    at INTEGER NOT NULL,
    users INTEGER NOT NULL,
    mailboxes INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    earliest INTEGER,
    latest INTEGER,
    PRIMARY KEY (store, at)
) STRICT, WITHOUT ROWID;

-- What operators tell everybody.
CREATE TABLE queue_notes (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;

-- Who has the token of a link sees how far this user is.
CREATE TABLE queue_links (
    token TEXT PRIMARY KEY,
    store INTEGER NOT NULL REFERENCES stores (id),
    user TEXT NOT NULL,
    made INTEGER NOT NULL,
    UNIQUE (store, user)
) STRICT, WITHOUT ROWID;

-- Mails that asked for a rebuild. user: whose was raised; none where it was not clear, and is kept
-- for the operators: subject and text, cut.
CREATE TABLE queue_requests (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    sender TEXT NOT NULL,
    user TEXT,
    why TEXT,
    subject TEXT,
    text TEXT
) STRICT;

CREATE INDEX queue_requests_of_sender ON queue_requests (sender, at);
