-- Sealed originals, where the site's policy keeps them: a new model can embed them without a new appointment.

CREATE TABLE photographs (
    photograph_id uuid PRIMARY KEY,
    person_id     uuid NOT NULL REFERENCES people ON DELETE CASCADE,
    sealed        bytea NOT NULL,
    media_type    text NOT NULL,
    quality       real NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX photographs_of_person ON photographs (person_id);

ALTER TABLE templates ADD COLUMN photograph_id uuid REFERENCES photographs ON DELETE SET NULL;

CREATE TRIGGER photograph_needs_consent BEFORE INSERT OR UPDATE ON photographs
    FOR EACH ROW EXECUTE FUNCTION template_needs_consent();
