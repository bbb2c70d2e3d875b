-- People as HR knows them, their access profiles, cards and PINs, and the keys of the whole site.

ALTER TABLE people
    ADD COLUMN given_name  text,
    ADD COLUMN family_name text,
    ADD COLUMN user_name   text,
    ADD COLUMN email       text,
    ADD COLUMN department  text,
    ADD COLUMN title       text,
    ADD COLUMN external_id text,
    ADD COLUMN extended    boolean NOT NULL DEFAULT false,
    ADD COLUMN version     bigint NOT NULL DEFAULT 1;
CREATE UNIQUE INDEX people_by_user_name ON people (lower(user_name)) WHERE user_name IS NOT NULL;
CREATE UNIQUE INDEX people_by_external_id ON people (external_id) WHERE external_id IS NOT NULL;
CREATE INDEX people_by_name ON people (name, person_id);
CREATE INDEX people_by_updated ON people (updated_at, person_id);

ALTER TABLE access_profiles
    ADD COLUMN profile_id  uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    ADD COLUMN name        text,
    ADD COLUMN external_id text,
    ADD COLUMN created_at  timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN updated_at  timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN version     bigint NOT NULL DEFAULT 1;
UPDATE access_profiles SET name = profile;
CREATE UNIQUE INDEX access_profiles_by_external_id ON access_profiles (external_id)
    WHERE external_id IS NOT NULL;

-- A card's number is kept as a keyed digest: enough to know it again, not to make another card.
CREATE TABLE cards (
    card_id    uuid PRIMARY KEY,
    person_id  uuid NOT NULL REFERENCES people ON DELETE CASCADE,
    digest     bytea NOT NULL UNIQUE,
    label      text NOT NULL,
    expires_at timestamptz,
    blocked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX cards_of_person ON cards (person_id);

-- The hash is argon2id of the PIN, under a key of the site: four digits alone would be guessed from a dump.
CREATE TABLE pins (
    person_id  uuid PRIMARY KEY REFERENCES people ON DELETE CASCADE,
    hash       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Data keys of the site (for card digests, one-time codes, receipts …), each wrapped by the master key.
CREATE TABLE site_keys (
    name       text PRIMARY KEY,
    wrapped    bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
