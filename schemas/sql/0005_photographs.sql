-- Sealed originals, where the site's policy keeps them: a new model can embed them without a new appointment.

CREATE TABLE photographs (
    photograph_id uuid PRIMARY KEY,
    person_id     uuid NOT NULL REFERENCES people ON DELETE CASCADE,
    sealed        bytea NOT NULL,
    media_type    text NOT NULL CHECK (media_type IN ('image/jpeg', 'image/png', 'image/webp')),
    quality       real NOT NULL,
    -- Not now(): several of one enrolment keep their order.
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- They are ciphertext already: trying to compress them only costs time.
ALTER TABLE photographs ALTER COLUMN sealed SET STORAGE EXTERNAL;
CREATE INDEX photographs_of_person ON photographs (person_id);

ALTER TABLE templates ADD COLUMN photograph_id uuid REFERENCES photographs ON DELETE SET NULL;
CREATE INDEX templates_of_photograph ON templates (photograph_id) WHERE photograph_id IS NOT NULL;

-- Whether somebody's biometrics may be held now. The one place that says so: what makes a consent end is
-- added here.
CREATE FUNCTION consent_in_force(who uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM consents c WHERE c.person_id = who AND c.withdrawn_at IS NULL)
$$;

-- A photograph needs the same consent as a template …
CREATE TRIGGER photograph_needs_consent BEFORE INSERT OR UPDATE ON photographs
    FOR EACH ROW EXECUTE FUNCTION template_needs_consent();

-- … and goes with it. Triggers fire by name: this one after withdrawal_destroys_templates, because taking a
-- photograph away from a template that is still there would be refused for want of consent.
CREATE FUNCTION withdrawn_photographs_destroyed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT consent_in_force(OLD.person_id) THEN
        DELETE FROM templates WHERE person_id = OLD.person_id;
        DELETE FROM photographs WHERE person_id = OLD.person_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER withdrawn_photographs_destroyed AFTER UPDATE OR DELETE ON consents
    FOR EACH ROW EXECUTE FUNCTION withdrawn_photographs_destroyed();

-- Nobody waits for a photograph while holding what an enrolment needs; see 0002.
CREATE TRIGGER roster_locked_first BEFORE INSERT OR UPDATE OR DELETE ON photographs
    FOR EACH STATEMENT EXECUTE FUNCTION roster_locked_first();
