-- Where each account has signed in before. Wrong passwords from there are counted for that address alone, so that
-- whoever guesses elsewhere does not lock the account's own people out.

CREATE TABLE proven_addresses (
    account_id   uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    address      text NOT NULL,
    proven_at    timestamptz NOT NULL DEFAULT now(),
    failures     integer NOT NULL DEFAULT 0,
    locked_until timestamptz,
    PRIMARY KEY (account_id, address)
);
