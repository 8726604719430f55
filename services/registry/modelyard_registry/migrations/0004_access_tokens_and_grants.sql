-- Access: API tokens, kept as hashes, and the roles that actors were granted.

CREATE TABLE api_tokens (
    id           uuid        PRIMARY KEY,
    token_hash   bytea       NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    -- The last letters, by which people tell their tokens apart.
    ending       text        NOT NULL,
    actor        text        NOT NULL,
    project      text        NOT NULL,
    roles        text[]      NOT NULL CHECK (cardinality(roles) > 0),
    scopes       text[],
    description  text,
    created_at   timestamptz NOT NULL,
    created_by   text        NOT NULL,
    expires_at   timestamptz NOT NULL CHECK (expires_at > created_at),
    revoked_at   timestamptz,
    revoked_by   text,
    -- Kept coarse: it is written at most once in an hour.
    last_used_at timestamptz,
    sequence     bigint      NOT NULL DEFAULT 1,
    document     jsonb       NOT NULL
);
CREATE INDEX api_tokens_by_project ON api_tokens (project, id);

CREATE TABLE access_grants (
    project    text        NOT NULL,
    actor      text        NOT NULL,
    roles      text[]      NOT NULL,
    updated_at timestamptz NOT NULL,
    updated_by text        NOT NULL,
    sequence   bigint      NOT NULL,
    document   jsonb       NOT NULL,
    PRIMARY KEY (project, actor)
);
CREATE INDEX access_grants_by_actor ON access_grants (actor);

-- Every document that a compacted topic holds the newest of: what the relay repairs is read from here.
CREATE VIEW state_documents (topic, key, type, sequence, document) AS
SELECT 'routes.v1', project || '/' || model_type, 'route.changed.v1', sequence, document
FROM routes WHERE document IS NOT NULL
UNION ALL
SELECT 'access.v1', 'token/' || id::text, 'api_token.changed.v1', sequence, document FROM api_tokens
UNION ALL
SELECT 'access.v1', 'grant/' || project || '/' || actor, 'roles.granted.v1', sequence, document FROM access_grants;
