-- Answers of requests that create something: the same request again gets the same answer, and does nothing.

CREATE TABLE idempotency (
    actor      text NOT NULL,
    key        text NOT NULL,
    request    bytea NOT NULL,
    sealed     bytea,
    about      uuid,  -- the person whose data the answer holds: it goes with them
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_about ON idempotency (about) WHERE about IS NOT NULL;
CREATE INDEX idempotency_by_time ON idempotency (created_at);
