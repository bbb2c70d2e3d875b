-- Master keys by name, never by value: which of them wraps what, and which gateway has which. A key's name is
-- made from the key; a wrapped key of format 2 begins with a byte 2 and the eight bytes of that name.

CREATE TABLE master_keys (
    key_id     text PRIMARY KEY CHECK (key_id ~ '^[0-9a-f]{16}$'),
    state      text NOT NULL CHECK (state IN ('next', 'current', 'old', 'retired')),
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX one_master_key ON master_keys (state) WHERE state IN ('next', 'current');

CREATE TABLE master_key_holders (
    gateway_id text PRIMARY KEY,
    key_ids    text[] NOT NULL,
    seen_at    timestamptz NOT NULL DEFAULT now()
);

-- The name of the master key that wraps this; empty for boxes from before they named theirs.
CREATE FUNCTION master_key_of(wrapped bytea) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN length(wrapped) > 9 AND get_byte(wrapped, 0) = 2
                THEN encode(substring(wrapped FROM 2 FOR 8), 'hex') ELSE '' END
$$;

-- A gateway that has not heard yet that its key is retired must not wrap anything by it: the key is about to
-- be destroyed. Nor must one that started with another database's key while this one was away. The share lock
-- makes a retirement wait for whoever is wrapping now, and then see their work.
CREATE FUNCTION refuse_retired_master_key(wrapped bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE named text := master_key_of(wrapped);
        found text;
BEGIN
    SELECT state INTO found FROM master_keys WHERE key_id = named FOR SHARE;
    IF found = 'retired' OR (found IS NULL AND named <> '' AND EXISTS (SELECT FROM master_keys)) THEN
        RAISE EXCEPTION 'wrapped by a master key that is not in use' USING ERRCODE = 'FG001';
    END IF;
END $$;
CREATE FUNCTION person_key_not_retired() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse_retired_master_key(NEW.wrapped_key);
    RETURN NEW;
END $$;
CREATE FUNCTION site_key_not_retired() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse_retired_master_key(NEW.wrapped);
    RETURN NEW;
END $$;
CREATE TRIGGER person_key_not_retired BEFORE INSERT OR UPDATE OF wrapped_key ON people
    FOR EACH ROW EXECUTE FUNCTION person_key_not_retired();
CREATE TRIGGER site_key_not_retired BEFORE INSERT OR UPDATE OF wrapped ON site_keys
    FOR EACH ROW EXECUTE FUNCTION site_key_not_retired();
CREATE INDEX people_by_master_key ON people (master_key_of(wrapped_key));
