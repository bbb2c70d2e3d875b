-- Which text was consented to, by whom, how, and until when; what retention did; what was erased.

CREATE TABLE consent_texts (
    version    text PRIMARY KEY,
    language   text NOT NULL,
    body       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON consent_texts
    FOR EACH STATEMENT EXECUTE FUNCTION not_all_at_once();

ALTER TABLE consents
    ADD COLUMN text_version text REFERENCES consent_texts,
    ADD COLUMN how          text NOT NULL DEFAULT 'attested' CHECK (how IN ('attested', 'paper', 'electronic')),
    ADD COLUMN recorded_by  text,
    ADD COLUMN expires_at   timestamptz,
    ADD COLUMN withdrawn_by text;
