-- The ledger: schema and every statement, each under its name.
-- Instants are REAL seconds since the epoch; durations are INTEGER with a unit in
-- the name; JSON columns are Structs of model.py, written by packing.py.

-- name: schema
-- `shells`: the shells that have visited. `seq` is the number of the last message recorded; a
-- message with no higher number is a redelivery.
CREATE TABLE shells (
    nonce   TEXT PRIMARY KEY,
    seq     INTEGER NOT NULL,
    seen_at REAL NOT NULL,
    prompted INTEGER NOT NULL DEFAULT 0,   -- its first postprompt event has been recorded
    env     TEXT NOT NULL,                 -- JSON map: the allow-listed environment
    sink    TEXT NOT NULL,                 -- JSON Sink
    boot    TEXT NOT NULL DEFAULT '',      -- of its last visit; empty: by an older zdeferd
    pid     INTEGER NOT NULL DEFAULT 0,    -- 0: not known (another container, macOS)
    begun   INTEGER NOT NULL DEFAULT 0     -- when the process began, in ticks after the boot
) WITHOUT ROWID;
CREATE INDEX shells_seen ON shells (seen_at);

-- `jobs`: the last declaration of each job that came from a shell (file jobs live in files).
CREATE TABLE jobs (
    id          TEXT PRIMARY KEY,
    definition  TEXT NOT NULL,             -- JSON Job
    declared_at REAL NOT NULL,
    shell       TEXT NOT NULL,
    refused     TEXT                       -- why the last declaration was refused
) WITHOUT ROWID;

-- `registrations`: jobs declared by a shell and not yet due. Deleted when their event comes.
CREATE TABLE registrations (
    id         INTEGER PRIMARY KEY,        -- order of registration
    shell      TEXT NOT NULL,
    trigger    TEXT NOT NULL,
    job        TEXT NOT NULL,
    definition TEXT NOT NULL,              -- JSON Job
    UNIQUE (shell, trigger, job)
);

-- `claims`: the durable rights to run, one a (job, scope key). Deleted only when the key can
-- never come back, whatever is kept of the run.
CREATE TABLE claims (
    job        TEXT NOT NULL,
    key        TEXT NOT NULL,              -- shell:… boot:… day:… change:N ever run:… here:… retry:…
    run        INTEGER NOT NULL,
    claimed_at REAL NOT NULL,
    PRIMARY KEY (job, key)
) WITHOUT ROWID;

-- `fingerprints`: what a job of scope change saw when it was last claimed.
CREATE TABLE fingerprints (
    job         TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    generation  INTEGER NOT NULL,
    inputs      TEXT NOT NULL DEFAULT '[]',  -- JSON: each watched word and its files, as seen then
    cause       TEXT NOT NULL DEFAULT ''     -- why it was claimed then; empty: for the first time
) WITHOUT ROWID;

-- `batches`: what one event claimed, reported together.
CREATE TABLE batches (
    id         INTEGER PRIMARY KEY,
    trigger    TEXT NOT NULL,
    shell      TEXT NOT NULL,
    sink       TEXT NOT NULL,              -- JSON Sink
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
    sink          TEXT NOT NULL,           -- JSON Sink
    after         TEXT NOT NULL DEFAULT '',  -- job ids, joined by a space
    attempts      INTEGER NOT NULL DEFAULT 1,
    claimed_at    REAL NOT NULL,
    state         TEXT NOT NULL,           -- claimed, dispatched, ended
    cancelling    INTEGER NOT NULL DEFAULT 0,
    attempt       INTEGER NOT NULL DEFAULT 1,
    boot          TEXT NOT NULL DEFAULT '',
    dispatched_at REAL,
    started_at    REAL,
    ended_at      REAL,
    outcome       TEXT,
    rc            INTEGER,
    wall_ms INTEGER, cpu_user_ms INTEGER, cpu_system_ms INTEGER, max_rss_kib INTEGER,
    block_in INTEGER, block_out INTEGER, switches_voluntary INTEGER, switches_involuntary INTEGER,
    output_bytes INTEGER, output_dropped_bytes INTEGER,
    ended_behind INTEGER,                  -- processes that outlived the main one and were ended
    command TEXT,                          -- JSON text: what it runs, on one line
    timeout_s REAL,                        -- NULL: the setting
    refusal TEXT,                          -- why its output was not published
    retry INTEGER NOT NULL DEFAULT 0,      -- so many failed runs of its claim came before it
    retry_at REAL NOT NULL DEFAULT 0,      -- it does not start before
    retry_of INTEGER                       -- the run whose work it repeats
);
CREATE INDEX runs_live ON runs (id) WHERE state != 'ended';
CREATE INDEX runs_job ON runs (job, id);
CREATE INDEX runs_batch ON runs (batch) WHERE batch IS NOT NULL;
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;

-- `payloads`: what a live run executes, and what the last run of a job did that did not succeed.
CREATE TABLE payloads (
    run  INTEGER PRIMARY KEY,
    work TEXT NOT NULL                     -- JSON Work
);

-- `lines`: telemetry not yet known to be in its file. Deleted once it is.
CREATE TABLE lines (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    path   TEXT NOT NULL,
    text   BLOB NOT NULL,                  -- without its newline
    run    INTEGER,
    state  TEXT NOT NULL DEFAULT 'pending',  -- pending, writing, lost
    inode INTEGER, offset INTEGER,         -- writing: to which file, from where
    before INTEGER,                        -- writing: checksum of what stands before the offset
    problem TEXT,                          -- why it is still here
    due_at REAL NOT NULL
);

-- `disabled`: jobs that no event claims.
CREATE TABLE disabled (
    job   TEXT PRIMARY KEY,
    since REAL NOT NULL
) WITHOUT ROWID;

-- `lanes`: the lanes that have been paused at least once. While one is paused, no run of it starts.
CREATE TABLE lanes (
    lane      TEXT PRIMARY KEY,            -- postprompt, idle
    paused_at REAL                         -- NULL: it goes on
) WITHOUT ROWID;

-- `notices`: the last failure of a job of which the user is told: one a job and day.
CREATE TABLE notices (
    job  TEXT PRIMARY KEY,
    day  TEXT NOT NULL,                    -- the local date
    run  INTEGER NOT NULL,
    told INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- name: to_schema_2
-- What tells a file that was emptied and has grown again; the device told nothing after a reboot.
ALTER TABLE lines ADD COLUMN before INTEGER;
ALTER TABLE lines DROP COLUMN device;

-- name: to_schema_3
-- What tells whether a shell is open, and what a run ran once its job says something else.
ALTER TABLE shells ADD COLUMN boot TEXT NOT NULL DEFAULT '';
ALTER TABLE shells ADD COLUMN pid INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shells ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN command TEXT;
ALTER TABLE runs ADD COLUMN timeout_s REAL;

-- name: to_schema_4
-- How many processes were ended behind a job's main process.
ALTER TABLE runs ADD COLUMN ended_behind INTEGER;

-- name: to_schema_5
-- Why the output of a run was not published.
ALTER TABLE runs ADD COLUMN refusal TEXT;

-- name: to_schema_6
-- What each watched input was at the last claim, and which of them had changed.
ALTER TABLE fingerprints ADD COLUMN inputs TEXT NOT NULL DEFAULT '[]';
ALTER TABLE fingerprints ADD COLUMN cause TEXT NOT NULL DEFAULT '';

-- name: to_schema_7
-- What a user switched off, and runs that repeat the work of a failed one.
CREATE TABLE disabled (
    job   TEXT PRIMARY KEY,
    since REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE lanes (
    lane      TEXT PRIMARY KEY,            -- postprompt, idle
    paused_at REAL                         -- NULL: it goes on
) WITHOUT ROWID;
ALTER TABLE runs ADD COLUMN retry INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN retry_at REAL NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN retry_of INTEGER;

-- name: to_schema_8
-- The failures of which the user is told.
CREATE TABLE notices (
    job  TEXT PRIMARY KEY,
    day  TEXT NOT NULL,                    -- the local date
    run  INTEGER NOT NULL,
    told INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- name: save_shell
INSERT INTO shells (nonce, seq, seen_at, prompted, env, sink, boot, pid, begun)
VALUES (:nonce, :seq, :now, :prompted, :env, :sink, :boot, :pid, :begun)
ON CONFLICT (nonce) DO UPDATE
SET seq = :seq, seen_at = :now, prompted = :prompted, env = :env, sink = :sink,
    boot = :boot, pid = :pid, begun = :begun;

-- name: shell
SELECT nonce, seq, prompted, env, sink, boot, pid, begun FROM shells WHERE nonce = :nonce;

-- name: latest_shells
-- Newest first; claims.py takes the first that has not switched idle work off.
SELECT nonce, seq, prompted, env, sink, boot, pid, begun FROM shells ORDER BY seen_at DESC LIMIT 32;

-- name: declare_job
INSERT INTO jobs (id, definition, declared_at, shell, refused)
VALUES (:id, :definition, :now, :shell, :refused)
ON CONFLICT (id) DO UPDATE
SET definition = :definition, declared_at = :now, shell = :shell, refused = :refused
WHERE definition != :definition OR coalesce(refused, :refused) IS NOT NULL;

-- name: refuse_job
INSERT INTO jobs (id, definition, declared_at, shell, refused)
VALUES (:id, 'null', :now, :shell, :refused)
ON CONFLICT (id) DO UPDATE SET declared_at = :now, shell = :shell, refused = :refused;

-- name: declared_job
SELECT definition FROM jobs WHERE id = :id AND definition != 'null';

-- name: register
INSERT OR IGNORE INTO registrations (shell, trigger, job, definition)
VALUES (:shell, :trigger, :job, :definition);

-- name: registrations_of_shell
SELECT id, shell, definition FROM registrations
WHERE shell = :shell AND trigger = :trigger ORDER BY id;

-- name: registrations_of_all
SELECT id, shell, definition FROM registrations WHERE trigger = :trigger ORDER BY id;

-- name: drop_registration
DELETE FROM registrations WHERE id = :id;

-- name: claim
-- The one statement that decides: a row comes back where the key was free, none where it is spent.
INSERT INTO claims (job, key, run, claimed_at) VALUES (:job, :key, :run, :now)
ON CONFLICT (job, key) DO NOTHING RETURNING run;

-- name: set_aside
UPDATE OR IGNORE claims SET key = :aside WHERE job = :job AND key = :key AND run = :run;

-- name: is_claimed
-- A hint only: `claim` decides.
SELECT 1 FROM claims WHERE job = :job AND key = :key;

-- name: fingerprint
SELECT fingerprint, generation FROM fingerprints WHERE job = :job;

-- name: save_fingerprint
INSERT INTO fingerprints (job, fingerprint, generation)
VALUES (:job, :fingerprint, :generation)
ON CONFLICT (job) DO UPDATE SET fingerprint = :fingerprint, generation = :generation;

-- name: inputs
SELECT inputs FROM fingerprints WHERE job = :job;

-- name: save_inputs
UPDATE fingerprints SET inputs = :inputs, cause = :cause WHERE job = :job;

-- name: last_of
SELECT outcome, ended_at FROM runs WHERE job = :job ORDER BY id DESC LIMIT 1;

-- name: open_batch
INSERT INTO batches (trigger, shell, sink, opened_at) VALUES (:trigger, :shell, :sink, :now);

-- name: start_batch
UPDATE batches SET started_at = :now WHERE id = :id AND started_at IS NULL;

-- name: end_batch
UPDATE batches SET ended_at = :now WHERE id = :id;

-- name: open_batches
SELECT b.id, b.trigger, b.sink, b.started_at,
       coalesce((SELECT sum(wall_ms) FROM runs r WHERE r.batch = b.id), 0) AS spent_ms
FROM batches b WHERE b.ended_at IS NULL ORDER BY b.id;

-- name: open_batch_by_id
SELECT b.id, b.trigger, b.sink, b.started_at,
       coalesce((SELECT sum(wall_ms) FROM runs r WHERE r.batch = b.id), 0) AS spent_ms
FROM batches b WHERE b.id = :id AND b.ended_at IS NULL;

-- name: batch_totals
-- `tasks`: all runs. `ok`, `err`: those that started. `missed`: left out because of the budget.
SELECT count(*) FILTER (WHERE state != 'ended') AS live,
       count(*) AS tasks,
       count(*) FILTER (WHERE started_at IS NOT NULL AND rc = 0) AS ok,
       count(*) FILTER (WHERE started_at IS NOT NULL AND rc != 0) AS err,
       count(*) FILTER (WHERE outcome = 'missed') AS missed,
       coalesce(sum(wall_ms), 0) AS ms
FROM runs WHERE batch = :id;

-- name: next_run
-- sqlite_sequence is where SQLite keeps the last number of an AUTOINCREMENT column.
SELECT seq + 1 FROM sqlite_sequence WHERE name = 'runs';

-- name: insert_run
INSERT INTO runs (id, job, key, trigger, shell, batch, sink, after, attempts, claimed_at, state,
    command, timeout_s, retry, retry_at, retry_of)
VALUES (:id, :job, :key, :trigger, :shell, :batch, :sink, :after, :attempts, :now, :state,
    :command, :timeout_s, :retry, :retry_at, :retry_of);

-- name: begin_run_numbers
INSERT INTO sqlite_sequence (name, seq)
SELECT 'runs', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'runs');

-- name: number_runs_after
UPDATE sqlite_sequence SET seq = max(seq, :highest) WHERE name = 'runs';

-- name: insert_payload
INSERT INTO payloads (run, work) VALUES (:run, :work);

-- name: work
SELECT work FROM payloads WHERE run = :run;

-- name: live_runs
-- The payload is read only where its job may have conditions.
SELECT id, job, key, trigger, shell, batch, sink, after, attempts, claimed_at, state,
       cancelling, attempt, boot, retry, retry_at, retry_of,
       (SELECT work FROM payloads WHERE run = runs.id AND instr(work, '"when":')) AS conditioned
FROM runs WHERE state != 'ended' ORDER BY id;

-- name: dispatch
-- Every change of a run's state is guarded by the state before; store.py wants one row changed.
UPDATE runs SET state = :state, boot = :boot, dispatched_at = :now
WHERE id = :id AND state = :before;

-- name: recall
UPDATE runs SET state = :state, attempt = :attempt WHERE id = :id AND state = :before;

-- name: set_cancelling
-- No change of state. A run that has ended meanwhile keeps what it is.
UPDATE runs SET cancelling = 1 WHERE id = :id AND state != 'ended';

-- name: end_run
UPDATE runs SET state = :state, outcome = :outcome, rc = :rc,
    started_at = :started_at, ended_at = :ended_at,
    wall_ms = :wall_ms, cpu_user_ms = :cpu_user_ms, cpu_system_ms = :cpu_system_ms,
    max_rss_kib = :max_rss_kib, block_in = :block_in, block_out = :block_out,
    switches_voluntary = :switches_voluntary, switches_involuntary = :switches_involuntary,
    output_bytes = :output_bytes, output_dropped_bytes = :output_dropped_bytes,
    ended_behind = :ended_behind, refusal = :refusal
WHERE id = :id AND state = :before;

-- name: drop_payload
DELETE FROM payloads WHERE run = :run;

-- name: drop_older_payloads
-- Of the runs of a job that did not succeed the one that ended last can be repeated.
DELETE FROM payloads WHERE run IN (
    SELECT older.id FROM payloads JOIN runs AS older ON older.id = payloads.run
    WHERE older.id != :run AND older.state = 'ended'
    AND older.job = (SELECT job FROM runs WHERE id = :run));

-- name: repeatable
SELECT trigger, after, attempts, work FROM runs JOIN payloads ON run = runs.id
WHERE runs.id = :run AND state = 'ended' AND key NOT LIKE 'here:%';

-- name: last_published
-- The latest run of a job that succeeded, and so has published; what a shell did itself is none.
SELECT id, ended_at FROM runs
WHERE job = :job AND outcome = 'succeeded' AND key NOT LIKE 'here:%' ORDER BY id DESC LIMIT 1;

-- name: ended_run
SELECT outcome, rc FROM runs WHERE id = :id AND state = 'ended';

-- name: disable
INSERT OR IGNORE INTO disabled (job, since) VALUES (:job, :now);

-- name: enable
DELETE FROM disabled WHERE job = :job;

-- name: disabled
SELECT job FROM disabled;

-- name: pause
INSERT INTO lanes (lane, paused_at) VALUES (:lane, :now)
ON CONFLICT (lane) DO UPDATE SET paused_at = :now WHERE paused_at IS NULL;

-- name: resume
UPDATE lanes SET paused_at = NULL WHERE lane = :lane AND paused_at IS NOT NULL;

-- name: paused
SELECT lane FROM lanes WHERE paused_at IS NOT NULL;

-- name: notice
INSERT INTO notices (job, day, run, told) VALUES (:job, :day, :run, :told)
ON CONFLICT (job) DO UPDATE SET day = :day, run = :run, told = :told WHERE day != :day;

-- name: pending_notices
-- Not of a job that has succeeded since.
SELECT runs.job, runs.id, outcome, rc FROM notices JOIN runs ON runs.id = notices.run
WHERE told = 0 AND NOT EXISTS (SELECT 1 FROM runs AS later WHERE later.job = notices.job
    AND later.id > notices.run AND later.outcome = 'succeeded')
ORDER BY runs.id;

-- name: told_notices
UPDATE notices SET told = 1 WHERE told = 0;

-- name: prune_notices
DELETE FROM notices WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = notices.run);

-- name: forget_notices
DELETE FROM notices WHERE job = :job;

-- name: runs_of
SELECT id, state FROM runs WHERE job = :job ORDER BY id;

-- name: forget_payloads
DELETE FROM payloads WHERE run IN (SELECT id FROM runs WHERE job = :job);

-- name: forget_runs
DELETE FROM runs WHERE job = :job;

-- name: forget_claims
DELETE FROM claims WHERE job = :job;

-- name: forget_fingerprint
DELETE FROM fingerprints WHERE job = :job;

-- name: forget_registrations
DELETE FROM registrations WHERE job = :job;

-- name: forget_declaration
DELETE FROM jobs WHERE id = :job;

-- name: add_line
INSERT INTO lines (path, text, run, due_at) VALUES (:path, :text, :run, :now);

-- name: open_lines
-- The oldest of each file, so that a file that cannot be written delays no other. A lost
-- line is not among them: it stays for `zdeferctl doctor`.
SELECT id, path, text, state, inode, offset, before FROM (
    SELECT *, row_number() OVER (PARTITION BY path ORDER BY id) AS place
    FROM lines WHERE state != 'lost')
WHERE place <= 200 ORDER BY id;

-- name: begin_line
UPDATE lines SET state = 'writing', inode = :inode, offset = :offset, before = :before
WHERE id = :id;

-- name: put_back_line
UPDATE lines SET state = 'pending', problem = :problem WHERE id = :id;

-- name: mark_line
DELETE FROM lines WHERE id = :id;

-- name: note_line
UPDATE lines SET problem = :problem WHERE id = :id;

-- name: lose_line
UPDATE lines SET state = 'lost', problem = :problem WHERE id = :id;

-- name: prunable_runs
SELECT id FROM runs WHERE ended_at < :before ORDER BY id LIMIT 500;

-- name: prune_run
DELETE FROM runs WHERE id = :id;

-- name: prune_batches
DELETE FROM batches WHERE ended_at < :before
AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.batch = batches.id);

-- name: prune_claims
-- Keys (rules/scopes.py) that can never come back; those of `ever` stay. A shell is open as long
-- as it has a row. A date can come back with another time zone or a clock that is set: the last 32
-- stay. A generation comes once. A key of `run` is made at random, a run is tried again once.
DELETE FROM claims WHERE claimed_at < :before AND (
    key LIKE 'run:%' OR key LIKE 'retry:%'
    OR (key LIKE 'boot:%' AND key != :boot)
    OR (key LIKE 'shell:%' AND NOT EXISTS
        (SELECT 1 FROM shells WHERE nonce = substr(claims.key, 7)))
    OR (key LIKE 'here:%' AND NOT EXISTS
        (SELECT 1 FROM shells
         WHERE nonce = substr(claims.key, 6, instr(substr(claims.key, 6), ':') - 1)))
    OR (key LIKE 'day:%' AND 32 <=
        (SELECT count(*) FROM claims AS later WHERE later.job = claims.job
         AND later.key LIKE 'day:%' AND later.run > claims.run))
    OR (key LIKE 'change:%' AND key !=
        (SELECT 'change:' || generation FROM fingerprints WHERE job = claims.job)));

-- name: place_shells
-- Those of an older zdeferd: they may be open as long as this boot lasts.
UPDATE shells SET boot = :boot WHERE boot = '';

-- name: old_shells
SELECT nonce, boot, pid, begun FROM shells WHERE seen_at < :before ORDER BY nonce;

-- name: prune_shell
DELETE FROM shells WHERE nonce = :nonce;

-- name: prune_jobs
-- A definition may hold values of `env` and bodies of functions. The next shell declares it again.
DELETE FROM jobs WHERE declared_at < :before
AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.job = jobs.id)
AND NOT EXISTS (SELECT 1 FROM registrations WHERE registrations.job = jobs.id);

-- name: prune_registrations
DELETE FROM registrations WHERE NOT EXISTS
    (SELECT 1 FROM shells WHERE shells.nonce = registrations.shell);

-- name: prune_lines
-- Their files could not be written in all that time.
DELETE FROM lines WHERE due_at < :before;
