-- Which text was consented to, by whom, how, and until when; what retention did; what was erased.

CREATE FUNCTION texts_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a consent text is never changed; add a new version' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TABLE consent_texts (
    version    text PRIMARY KEY,
    language   text NOT NULL,
    body       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL DEFAULT ''
);
CREATE TRIGGER texts_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON consent_texts
    FOR EACH STATEMENT EXECUTE FUNCTION texts_stay();

ALTER TABLE consents
    ADD COLUMN text_version text REFERENCES consent_texts,
    ADD COLUMN how          text NOT NULL DEFAULT 'attested' CHECK (how IN ('attested', 'paper', 'electronic')),
    ADD COLUMN recorded_by  text,
    ADD COLUMN recorded_at  timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN expires_at   timestamptz,
    ADD COLUMN withdrawn_by text,
    -- When its expiry was carried out: an update like a withdrawal, so that the same triggers destroy.
    ADD COLUMN ended_at     timestamptz;
UPDATE consents SET recorded_at = given_at;
CREATE INDEX consents_of_person ON consents (person_id);
CREATE INDEX consents_to_end ON consents (expires_at)
    WHERE withdrawn_at IS NULL AND ended_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX consents_without_end ON consents (given_at)
    WHERE withdrawn_at IS NULL AND ended_at IS NULL AND expires_at IS NULL;

-- In force: neither withdrawn nor expired.
CREATE OR REPLACE FUNCTION consent_in_force(who uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM consents c WHERE c.person_id = who AND c.withdrawn_at IS NULL
                   AND c.ended_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > now()))
$$;

-- By the clock on the wall, not by the transaction's: one that began before an expiry may end long after it.
CREATE OR REPLACE FUNCTION template_needs_consent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM consents WHERE person_id = NEW.person_id AND withdrawn_at IS NULL AND ended_at IS NULL
        AND (expires_at IS NULL OR expires_at > clock_timestamp()) FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no consent in force for person %', NEW.person_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION withdrawal_destroys_templates() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT consent_in_force(OLD.person_id) THEN
        DELETE FROM templates WHERE person_id = OLD.person_id;
    END IF;
    RETURN NULL;
END $$;

-- Taking a photograph away from a template makes no new template: retention may do it at any time.
DROP TRIGGER template_needs_consent ON templates;
CREATE TRIGGER template_needs_consent BEFORE INSERT OR UPDATE OF template_id, person_id, model_id, sealed ON templates
    FOR EACH ROW EXECUTE FUNCTION template_needs_consent();

-- Since when somebody has left: how long they may still be known is counted from there.
ALTER TABLE people ADD COLUMN left_at timestamptz;
UPDATE people SET left_at = updated_at WHERE status = 'left';
CREATE INDEX people_who_left ON people (left_at) WHERE left_at IS NOT NULL;
CREATE FUNCTION left_since() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> 'left' THEN
        NEW.left_at := NULL;
    ELSIF TG_OP = 'INSERT' OR OLD.status <> 'left' THEN
        NEW.left_at := now();
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER left_since BEFORE INSERT OR UPDATE OF status ON people
    FOR EACH ROW EXECUTE FUNCTION left_since();

CREATE INDEX templates_by_age ON templates (created_at);
CREATE INDEX photographs_by_age ON photographs (created_at);

-- Proof of erasures, by pseudonym alone. The body is what was signed, byte for byte.
CREATE TABLE erasure_receipts (
    person_id  uuid PRIMARY KEY,
    body       bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX erasure_receipts_by_time ON erasure_receipts (created_at);
