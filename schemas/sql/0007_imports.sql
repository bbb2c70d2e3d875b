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
CREATE INDEX import_lines_by_number ON import_lines (number);

-- Reports say nothing more of somebody who was erased, under their own number or beside another's.
CREATE FUNCTION reports_forget_the_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM import_lines WHERE number = OLD.number;
    UPDATE import_lines SET message = 'this face was enrolled under another number, erased since'
        WHERE code = 'already_enrolled' AND strpos(message, 'as number ' || OLD.number || ';') > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER reports_forget_the_erased AFTER DELETE ON people
    FOR EACH ROW EXECUTE FUNCTION reports_forget_the_erased();

-- … and follow whoever gets another number: what is held about a person is found by the one they have.
CREATE FUNCTION reports_follow_the_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE import_lines SET number = NEW.number WHERE number = OLD.number;
    RETURN NULL;
END $$;
CREATE TRIGGER reports_follow_the_number AFTER UPDATE OF number ON people
    FOR EACH ROW WHEN (OLD.number IS DISTINCT FROM NEW.number) EXECUTE FUNCTION reports_follow_the_number();
