-- The ledger: schema and every statement, each under its name.
-- Instants are REAL seconds since the epoch; durations are INTEGER with a unit in
-- the name; msgpack blobs are Structs of model.py.

-- name: schema
-- `shells`: who has visited. `seq` is the last message recorded; redelivery is seen by it.
CREATE TABLE shells (
    nonce   TEXT PRIMARY KEY,
    seq     INTEGER NOT NULL,
    seen_at REAL NOT NULL,
    prompted INTEGER NOT NULL DEFAULT 0,   -- its first postprompt event has been taken in
    env     BLOB NOT NULL,                 -- msgpack map: the allow-listed environment
    sink    BLOB NOT NULL                  -- msgpack Sink
) WITHOUT ROWID;
CREATE INDEX shells_seen ON shells (seen_at);

-- `jobs`: the last declaration of each job that came from a shell (file jobs live in files).
CREATE TABLE jobs (
    id          TEXT PRIMARY KEY,
    definition  BLOB NOT NULL,             -- msgpack Job
    declared_at REAL NOT NULL,
    shell       TEXT NOT NULL,
    refused     TEXT                       -- why the last declaration was not taken
) WITHOUT ROWID;

-- `registrations`: declared by a shell, not yet due. Gone once considered.
CREATE TABLE registrations (
    id         INTEGER PRIMARY KEY,        -- order of registration
    shell      TEXT NOT NULL,
    trigger    TEXT NOT NULL,
    job        TEXT NOT NULL,
    definition BLOB NOT NULL,              -- msgpack Job
    UNIQUE (shell, trigger, job)
);

-- `claims`: the durable right to run. One row a (job, scope key), for ever or until the key is past.
CREATE TABLE claims (
    job        TEXT NOT NULL,
    key        TEXT NOT NULL,              -- shell:… boot:… day:… change:N ever run:…
    run        INTEGER NOT NULL,
    claimed_at REAL NOT NULL,
    PRIMARY KEY (job, key)
) WITHOUT ROWID;

-- `fingerprints`: what a job of scope change saw when it was last claimed.
CREATE TABLE fingerprints (
    job         TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    generation  INTEGER NOT NULL
) WITHOUT ROWID;

-- `batches`: what one event claimed, reported together.
CREATE TABLE batches (
    id         INTEGER PRIMARY KEY,
    trigger    TEXT NOT NULL,
    shell      TEXT NOT NULL,
    sink       BLOB NOT NULL,              -- msgpack Sink
    opened_at  REAL NOT NULL,
    started_at REAL,                       -- idle: IDLE:START was written
    ended_at   REAL
);
CREATE INDEX batches_open ON batches (id) WHERE ended_at IS NULL;

CREATE TABLE runs (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    job           TEXT NOT NULL,
    key           TEXT NOT NULL,
    trigger       TEXT NOT NULL,
    shell         TEXT NOT NULL,           -- nonce, or empty for zdeferctl run
    batch         INTEGER REFERENCES batches (id),
    claimed_at    REAL NOT NULL,
    state         TEXT NOT NULL,           -- claimed, dispatched, ended
    cancelling    INTEGER NOT NULL DEFAULT 0,
    attempt       INTEGER NOT NULL DEFAULT 0,
    boot          TEXT NOT NULL DEFAULT '',
    dispatched_at REAL,
    started_at    REAL,
    ended_at      REAL,
    outcome       TEXT,
    rc            INTEGER,
    wall_ms INTEGER, cpu_user_ms INTEGER, cpu_system_ms INTEGER, max_rss_kib INTEGER,
    block_in INTEGER, block_out INTEGER, switches_voluntary INTEGER, switches_involuntary INTEGER,
    output_bytes INTEGER, output_dropped_bytes INTEGER
);
CREATE INDEX runs_live ON runs (id) WHERE state != 'ended';
CREATE INDEX runs_job ON runs (job, id);
CREATE INDEX runs_batch ON runs (batch) WHERE batch IS NOT NULL;
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;

-- `payloads`: what a live run executes; gone at its end.
CREATE TABLE payloads (
    run  INTEGER PRIMARY KEY,
    work BLOB NOT NULL                     -- msgpack Work
);

-- `lines`: telemetry not yet known to be in its file. Gone once marked.
CREATE TABLE lines (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    path   TEXT NOT NULL,
    text   BLOB NOT NULL,                  -- without its newline
    run    INTEGER,
    state  TEXT NOT NULL DEFAULT 'pending',  -- pending, writing, lost
    device INTEGER, inode INTEGER, offset INTEGER,  -- writing: to which file, from where
    problem TEXT                           -- why it is still here
);
