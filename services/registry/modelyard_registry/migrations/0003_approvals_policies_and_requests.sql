-- Policies, transition requests with their decisions, and aliases that people move.

CREATE TABLE project_policies (
    project    text        PRIMARY KEY,
    revision   bigint      NOT NULL,
    document   jsonb       NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by text        NOT NULL
);

CREATE TABLE model_policies (
    registered_model_id uuid        PRIMARY KEY REFERENCES registered_models (id),
    revision            bigint      NOT NULL,
    document            jsonb       NOT NULL,
    changed_at          timestamptz NOT NULL,
    changed_by          text        NOT NULL
);

-- The verdicts of the gates as they were when the move was made, and the request that it fulfilled.
ALTER TABLE transitions ADD COLUMN verdicts jsonb NOT NULL DEFAULT '[]';
ALTER TABLE transitions ADD COLUMN request_id uuid;

ALTER TABLE alias_moves DROP CONSTRAINT alias_moves_cause_check;
ALTER TABLE alias_moves ADD CONSTRAINT alias_moves_cause_check
    CHECK (cause IN ('promotion', 'rollback', 'replacement', 'appointment', 'setting'));

CREATE TABLE transition_requests (
    id                  uuid        PRIMARY KEY,
    project             text        NOT NULL,
    registered_model_id uuid        NOT NULL REFERENCES registered_models (id),
    version_id          uuid        NOT NULL REFERENCES model_versions (id),
    from_stage          text        NOT NULL,
    to_stage            text        NOT NULL,
    -- The registered model that loses the slot by the move.
    replaces            text,
    reason              text,
    state               text        NOT NULL CHECK (
        state IN ('pending', 'approved', 'rejected', 'withdrawn', 'expired', 'applied')
    ),
    approvals_needed    integer     NOT NULL CHECK (approvals_needed > 0),
    role                text        NOT NULL,
    apply               text        NOT NULL CHECK (apply IN ('automatically', 'on_command')),
    -- What is agreed to: digest, endpoint, evidence, policy and champion as they were.
    bound               jsonb       NOT NULL,
    verdicts            jsonb       NOT NULL,
    requested_at        timestamptz NOT NULL,
    requested_by        text        NOT NULL,
    expires_at          timestamptz NOT NULL,
    ended_at            timestamptz,
    ended_by            text,
    end_comment         text
);
-- A move waits for agreement once.
CREATE UNIQUE INDEX transition_requests_open ON transition_requests (version_id, to_stage)
    WHERE state IN ('pending', 'approved');
CREATE INDEX transition_requests_by_project ON transition_requests (project, id);
CREATE INDEX transition_requests_by_version ON transition_requests (version_id, id);
CREATE INDEX transition_requests_due ON transition_requests (expires_at) WHERE state IN ('pending', 'approved');

CREATE TABLE transition_decisions (
    request_id uuid        NOT NULL REFERENCES transition_requests (id),
    actor      text        NOT NULL,
    decision   text        NOT NULL CHECK (decision IN ('approval', 'rejection')),
    comment    text,
    decided_at timestamptz NOT NULL,
    -- Nobody decides twice about one request.
    PRIMARY KEY (request_id, actor)
);
