-- Who may call the API: people with accounts, programs with keys. Tokens are here as SHA-256 of 256 random bits.

CREATE TABLE accounts (
    account_id     uuid PRIMARY KEY,
    login          text NOT NULL,
    name           text NOT NULL,
    password_hash  text,
    roles          text[] NOT NULL,
    totp_sealed    bytea,
    totp_pending   bytea,
    totp_last_step bigint NOT NULL DEFAULT 0,
    oidc_subject   text UNIQUE,
    failures       integer NOT NULL DEFAULT 0,
    locked_until   timestamptz,
    disabled_at    timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    version        bigint NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX accounts_by_login ON accounts (lower(login));

CREATE TABLE sessions (
    digest     bytea PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    address    text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_of_account ON sessions (account_id);

CREATE TABLE api_keys (
    key_id     uuid PRIMARY KEY,
    name       text NOT NULL,
    digest     bytea NOT NULL UNIQUE,
    roles      text[] NOT NULL,
    scopes     text[] NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    used_at    timestamptz,
    revoked_at timestamptz
);
