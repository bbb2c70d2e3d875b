-- People, their consents and sealed templates, access points and profiles, and the ledger.

CREATE TABLE people (
    person_id   uuid PRIMARY KEY,
    number      text NOT NULL UNIQUE,
    name        text NOT NULL,
    status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'left')),
    wrapped_key bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE consents (
    consent_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id    uuid NOT NULL REFERENCES people ON DELETE CASCADE,
    attestation  text NOT NULL,
    given_at     timestamptz NOT NULL DEFAULT now(),
    withdrawn_at timestamptz
);
CREATE INDEX consents_in_force ON consents (person_id) WHERE withdrawn_at IS NULL;

CREATE TABLE templates (
    template_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id   uuid NOT NULL REFERENCES people ON DELETE CASCADE,
    model_id    text NOT NULL,
    sealed      bytea NOT NULL,
    quality     real NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX templates_of_person ON templates (person_id, model_id);

-- No template without a consent in force, however the row comes in. The lock makes a withdrawal that is
-- under way at the same time wait, and then find this template.
CREATE FUNCTION template_needs_consent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM consents WHERE person_id = NEW.person_id AND withdrawn_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no consent in force for person %', NEW.person_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER template_needs_consent BEFORE INSERT OR UPDATE ON templates
    FOR EACH ROW EXECUTE FUNCTION template_needs_consent();

-- A withdrawn consent destroys the templates at once.
CREATE FUNCTION withdrawal_destroys_templates() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM templates t WHERE t.person_id = OLD.person_id AND NOT EXISTS
        (SELECT 1 FROM consents c WHERE c.person_id = OLD.person_id AND c.withdrawn_at IS NULL);
    RETURN NULL;
END $$;
CREATE TRIGGER withdrawal_destroys_templates AFTER UPDATE OR DELETE ON consents
    FOR EACH ROW EXECUTE FUNCTION withdrawal_destroys_templates();

CREATE FUNCTION not_all_at_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'delete the rows instead' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER not_all_at_once BEFORE TRUNCATE ON consents
    FOR EACH STATEMENT EXECUTE FUNCTION not_all_at_once();

CREATE TABLE access_points (
    access_point_id text PRIMARY KEY,
    name            text NOT NULL
);

CREATE TABLE access_profiles (
    profile text PRIMARY KEY
);
INSERT INTO access_profiles VALUES ('staff');

CREATE TABLE profile_access_points (
    profile         text NOT NULL REFERENCES access_profiles ON DELETE CASCADE,
    access_point_id text NOT NULL REFERENCES access_points ON DELETE CASCADE,
    PRIMARY KEY (profile, access_point_id)
);

CREATE TABLE person_profiles (
    person_id uuid NOT NULL REFERENCES people ON DELETE CASCADE,
    profile   text NOT NULL REFERENCES access_profiles,
    PRIMARY KEY (person_id, profile)
);

-- One number that changes with all of the above, so that a gateway knows with one look whether to reload.
CREATE TABLE roster_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  bigint NOT NULL
);
INSERT INTO roster_version VALUES (true, 1);

CREATE FUNCTION roster_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE now_at bigint;
BEGIN
    UPDATE roster_version SET version = version + 1 RETURNING version INTO now_at;
    PERFORM pg_notify('facegate_roster', now_at::text);
    RETURN NULL;
END $$;
CREATE TRIGGER roster_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON people
    FOR EACH STATEMENT EXECUTE FUNCTION roster_changed();
CREATE TRIGGER roster_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON consents
    FOR EACH STATEMENT EXECUTE FUNCTION roster_changed();
CREATE TRIGGER roster_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON templates
    FOR EACH STATEMENT EXECUTE FUNCTION roster_changed();
CREATE TRIGGER roster_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON access_points
    FOR EACH STATEMENT EXECUTE FUNCTION roster_changed();
CREATE TRIGGER roster_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON access_profiles
    FOR EACH STATEMENT EXECUTE FUNCTION roster_changed();
CREATE TRIGGER roster_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON profile_access_points
    FOR EACH STATEMENT EXECUTE FUNCTION roster_changed();
CREATE TRIGGER roster_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON person_profiles
    FOR EACH STATEMENT EXECUTE FUNCTION roster_changed();

-- The ledger. The canonical bytes are what the chain was computed over; the columns are for search.
CREATE TABLE events (
    gateway_id      text NOT NULL,
    seq             bigint NOT NULL CHECK (seq > 0),
    event_id        uuid NOT NULL UNIQUE,
    at              timestamptz NOT NULL,
    kind            text NOT NULL,
    access_point_id text,
    person_id       uuid,
    grant_id        uuid,
    canonical       bytea NOT NULL,
    prev_hash       bytea NOT NULL,
    hash            bytea NOT NULL,
    PRIMARY KEY (gateway_id, seq)
);
CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_by_person ON events (person_id, at) WHERE person_id IS NOT NULL;
-- One intent and one outcome a grant; alarms about it may be many.
CREATE UNIQUE INDEX events_one_per_grant ON events (grant_id, kind)
    WHERE kind IN ('access_granted', 'unlock_outcome');

CREATE FUNCTION events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_are_append_only();
