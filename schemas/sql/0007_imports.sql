-- Many people at once: what was given, sealed, and what became of each line.

CREATE TABLE imports (
    import_id   uuid PRIMARY KEY,
    created_by  text NOT NULL,
    address     text NOT NULL,
    gateway_id  text NOT NULL,
    dry_run     boolean NOT NULL,
    state       text NOT NULL DEFAULT 'waiting'
                CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
    total       integer NOT NULL,
    notes       text[] NOT NULL DEFAULT '{}',
    digest      bytea NOT NULL,
    -- Names and wrapped keys of the sealed files; the keys are forgotten when the import is over.
    files       jsonb NOT NULL DEFAULT '{}',
    -- Whoever carries the import out writes this: a process that was taken for dead finds itself replaced.
    runner      uuid,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    code        text,
    why         text,
    CHECK ((finished_at IS NULL) = (state IN ('waiting', 'running'))),
    CHECK (finished_at IS NULL OR files = '{}')
);
CREATE INDEX imports_by_time ON imports (created_at DESC, import_id DESC);
CREATE INDEX imports_unfinished ON imports (gateway_id) WHERE finished_at IS NULL;

CREATE TABLE import_lines (
    import_id uuid NOT NULL REFERENCES imports ON DELETE CASCADE,
    line      integer NOT NULL,
    number    text NOT NULL,
    state     text NOT NULL CHECK (state IN ('created', 'changed', 'enrolled', 'unchanged', 'refused')),
    code      text,
    message   text,
    PRIMARY KEY (import_id, line),
    CHECK ((state = 'refused') = (code IS NOT NULL))
);
