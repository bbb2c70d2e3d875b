-- Many people at once: what was given, sealed, and what became of each line.

CREATE TABLE imports (
    import_id   uuid PRIMARY KEY,
    created_by  text NOT NULL,
    dry_run     boolean NOT NULL,
    state       text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
    total       integer NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    why         text
);

CREATE TABLE import_lines (
    import_id uuid NOT NULL REFERENCES imports ON DELETE CASCADE,
    line      integer NOT NULL,
    number    text,
    state     text NOT NULL CHECK (state IN ('created', 'changed', 'enrolled', 'unchanged', 'refused')),
    code      text,
    message   text,
    PRIMARY KEY (import_id, line)
);
