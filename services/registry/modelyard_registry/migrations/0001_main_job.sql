-- The main job: models, versions, stages, champions, routes, experiments, the audit log and the outbox.
-- Locks are taken in one order: registered models by id, then the route row of (project, model_type) last.

CREATE TABLE registered_models (
    id               uuid        PRIMARY KEY,
    project          text        NOT NULL,
    name             text        NOT NULL,
    model_type       text        NOT NULL,
    scope            text        NOT NULL CHECK (scope IN ('global', 'industry', 'tenant')),
    industry         text        CHECK ((industry IS NOT NULL) = (scope = 'industry')),
    tenant           text        CHECK ((tenant IS NOT NULL) = (scope = 'tenant')),
    description      text,
    owner            text,
    primary_metric   text,
    higher_is_better boolean     NOT NULL DEFAULT true,
    tags             jsonb       NOT NULL DEFAULT '{}',
    -- The last number and the last sequence that were given out; both are gapless per registered model.
    last_number      integer     NOT NULL DEFAULT 0,
    last_sequence    bigint      NOT NULL DEFAULT 0,
    revision         bigint      NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    created_by       text        NOT NULL,
    updated_at       timestamptz NOT NULL,
    UNIQUE (project, name)
);
CREATE INDEX registered_models_by_type ON registered_models (project, model_type, name);

CREATE TABLE artifacts (
    project    text        NOT NULL,
    digest     text        NOT NULL CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
    bytes      bigint      NOT NULL,
    format     text        NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text        NOT NULL,
    PRIMARY KEY (project, digest)
);

CREATE TABLE model_versions (
    id                  uuid        PRIMARY KEY,
    registered_model_id uuid        NOT NULL REFERENCES registered_models (id),
    number              integer     NOT NULL CHECK (number > 0),
    semver              integer[]   NOT NULL CHECK (array_length(semver, 1) = 3),
    stage               text        NOT NULL CHECK (
        stage IN ('development', 'staging', 'canary', 'production', 'deprecated', 'archived')
    ),
    quarantined         boolean     NOT NULL DEFAULT false,
    digest              text        NOT NULL,
    artifact_bytes      bigint      NOT NULL,
    format              text        NOT NULL,
    run_id              text,
    evidence            jsonb       NOT NULL,
    -- Relative to the parent by the primary metric; null when the two cannot be compared.
    improvement         double precision,
    -- Why there is none, for people.
    improvement_reason  text,
    revision            bigint      NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL,
    created_by          text        NOT NULL,
    UNIQUE (registered_model_id, number),
    UNIQUE (registered_model_id, semver)
);
-- A training run that is reported twice made one version.
CREATE UNIQUE INDEX model_versions_by_run
    ON model_versions (registered_model_id, run_id, digest) WHERE run_id IS NOT NULL;
CREATE INDEX model_versions_by_stage ON model_versions (registered_model_id, stage, number);

CREATE TABLE transitions (
    id              uuid        PRIMARY KEY,
    version_id      uuid        NOT NULL REFERENCES model_versions (id),
    from_stage      text        NOT NULL,
    to_stage        text        NOT NULL,
    reason          text,
    transitioned_at timestamptz NOT NULL,
    transitioned_by text        NOT NULL
);
CREATE INDEX transitions_by_version ON transitions (version_id, transitioned_at);

CREATE TABLE aliases (
    registered_model_id uuid        NOT NULL REFERENCES registered_models (id),
    alias               text        NOT NULL,
    number              integer     NOT NULL,
    moved_at            timestamptz NOT NULL,
    moved_by            text        NOT NULL,
    PRIMARY KEY (registered_model_id, alias)
);

-- Every move an alias ever made: what was champion at a moment, and whom a rollback restores.
CREATE TABLE alias_moves (
    id                  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    registered_model_id uuid        NOT NULL REFERENCES registered_models (id),
    alias               text        NOT NULL,
    from_number         integer,
    to_number           integer,
    -- A rollback takes the last promotion back; without the cause, the next rollback would return to it.
    cause               text        NOT NULL CHECK (cause IN ('promotion', 'rollback', 'replacement')),
    moved_at            timestamptz NOT NULL,
    moved_by            text        NOT NULL,
    reason              text
);
CREATE INDEX alias_moves_by_alias ON alias_moves (registered_model_id, alias, id);

CREATE TABLE deployments (
    version_id  uuid        NOT NULL REFERENCES model_versions (id),
    environment text        NOT NULL,
    endpoint    jsonb       NOT NULL,
    health      text        NOT NULL CHECK (health IN ('healthy', 'unhealthy', 'unknown')),
    recorded_at timestamptz NOT NULL,
    recorded_by text        NOT NULL,
    PRIMARY KEY (version_id, environment)
);

-- One row per project and model type, never deleted: its lock orders the documents, `sequence` numbers them.
CREATE TABLE routes (
    project          text    NOT NULL,
    model_type       text    NOT NULL,
    sequence         bigint  NOT NULL DEFAULT 0,
    policy           jsonb   NOT NULL,
    feature_source   jsonb,
    -- The last revision that was given out: it goes on rising when the source is removed and set again.
    feature_source_revision integer NOT NULL DEFAULT 0,
    kill_switches    jsonb   NOT NULL DEFAULT '[]',
    shadow_sample_bp integer NOT NULL DEFAULT 10000 CHECK (shadow_sample_bp BETWEEN 0 AND 10000),
    -- The document with that sequence, as published; null before the first.
    document         jsonb,
    PRIMARY KEY (project, model_type)
);

CREATE TABLE experiments (
    id          uuid        PRIMARY KEY,
    project     text        NOT NULL,
    model_type  text        NOT NULL,
    key         text        NOT NULL,
    salt        text        NOT NULL,
    state       text        NOT NULL CHECK (state IN ('running', 'concluded')),
    hypothesis  text,
    traffic_bp  integer     NOT NULL CHECK (traffic_bp BETWEEN 0 AND 10000),
    tenants     text[]      NOT NULL,
    industries  text[]      NOT NULL,
    variants    jsonb       NOT NULL,
    started_at  timestamptz NOT NULL,
    started_by  text        NOT NULL,
    stopped_at  timestamptz,
    stopped_by  text,
    stop_reason text,
    UNIQUE (project, key)
);
CREATE INDEX experiments_running ON experiments (project, model_type) WHERE state = 'running';

-- One entry per change, written with the change. The relay gives `log_index` just before it publishes:
-- a counter shared by all writers would turn every business transaction into a queue.
CREATE TABLE audit_entries (
    id           uuid        PRIMARY KEY,
    project      text        NOT NULL,
    actor        text        NOT NULL,
    action       text        NOT NULL,
    subject      text        NOT NULL,
    recorded_at  timestamptz NOT NULL,
    before       jsonb,
    after        jsonb,
    reason       text,
    digest       text,
    request_id   text,
    log_index    bigint      UNIQUE,
    published_at timestamptz
);
CREATE INDEX audit_entries_by_subject ON audit_entries (project, subject, id);
CREATE INDEX audit_entries_by_project ON audit_entries (project, id);

-- What is to be published. The relay reads by id and deletes a row after the broker has acknowledged it.
CREATE TABLE outbox (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic          text        NOT NULL,
    key            text        NOT NULL,
    event_id       text        NOT NULL,
    type           text        NOT NULL,
    -- Gapless per topic and key; null for an audit entry, whose sequence is its log index.
    sequence       bigint,
    audit_entry_id uuid        REFERENCES audit_entries (id),
    occurred_at    timestamptz NOT NULL,
    actor          text,
    correlation_id text,
    causation_id   text,
    payload        text        NOT NULL,
    UNIQUE (topic, key, sequence)
)
-- Its rows live for milliseconds: without frequent vacuuming each look would wade through the dead ones.
WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000
);

-- The relay's own memory: the last log index that was given, and which database this history belongs to.
-- A restore or a failover shows as another system identifier or timeline, and begins a new generation.
CREATE TABLE relay_position (
    singleton         boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    last_log_index    bigint  NOT NULL DEFAULT 0,
    generation        bigint  NOT NULL DEFAULT 1,
    system_identifier text,
    timeline_id       bigint
);
INSERT INTO relay_position DEFAULT VALUES;

CREATE TABLE idempotency_keys (
    actor      text        NOT NULL,
    key        text        NOT NULL,
    request    bytea       NOT NULL,
    status     integer     NOT NULL,
    answer     jsonb       NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- Offset and effect are one transaction; a batch whose first offset is behind its row was applied before.
CREATE TABLE consumer_offsets (
    consumer_group text    NOT NULL,
    topic          text    NOT NULL,
    partition      integer NOT NULL,
    next_offset    bigint  NOT NULL,
    PRIMARY KEY (consumer_group, topic, partition)
);

-- Facts that were applied, by their dedupe key, for producers that may say the same thing twice.
CREATE TABLE inbox (
    consumer_group text        NOT NULL,
    dedupe_key     text        NOT NULL,
    applied_at     timestamptz NOT NULL,
    PRIMARY KEY (consumer_group, dedupe_key)
);
CREATE INDEX inbox_by_age ON inbox (applied_at);

-- The newest sequence that was counted per producer and partition: constant state, each fact counted once.
CREATE TABLE counted_sequences (
    source        text    NOT NULL,
    topic         text    NOT NULL,
    partition     integer NOT NULL,
    last_sequence bigint  NOT NULL,
    counted_at    timestamptz NOT NULL,
    PRIMARY KEY (source, topic, partition)
);

CREATE TABLE variant_counts (
    experiment_id uuid    NOT NULL REFERENCES experiments (id),
    variant       text    NOT NULL,
    exposures     bigint  NOT NULL DEFAULT 0,
    requests      bigint  NOT NULL DEFAULT 0,
    errors        bigint  NOT NULL DEFAULT 0,
    latency_ms    double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (experiment_id, variant)
);

-- requested = compared + failed + expired + dropped, once every replay has ended.
CREATE TABLE shadow_ledger (
    project           text   NOT NULL,
    model_type        text   NOT NULL,
    served_version_id uuid   NOT NULL,
    served            text   NOT NULL,
    shadow_version_id uuid   NOT NULL,
    shadow            text   NOT NULL,
    requested         bigint NOT NULL DEFAULT 0,
    compared          bigint NOT NULL DEFAULT 0,
    failed            bigint NOT NULL DEFAULT 0,
    expired           bigint NOT NULL DEFAULT 0,
    dropped           bigint NOT NULL DEFAULT 0,
    matched           bigint NOT NULL DEFAULT 0,
    drifted           bigint NOT NULL DEFAULT 0,
    -- Compared replays that had numbers to subtract: what the differences are sums over.
    measured          bigint NOT NULL DEFAULT 0,
    difference        double precision NOT NULL DEFAULT 0,
    difference_abs    double precision NOT NULL DEFAULT 0,
    served_latency_ms double precision NOT NULL DEFAULT 0,
    shadow_latency_ms double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (project, model_type, served_version_id, shadow_version_id)
);
