-- Signing keys: who may send which events on the ingest topics. Only public halves are here.

CREATE TABLE signing_keys (
    id           uuid        PRIMARY KEY,
    public_key   bytea       NOT NULL UNIQUE CHECK (octet_length(public_key) = 32),
    actor        text        NOT NULL,
    project      text        NOT NULL,
    topics       text[]      NOT NULL CHECK (cardinality(topics) > 0),
    tenants      text[],
    description  text,
    created_at   timestamptz NOT NULL,
    created_by   text        NOT NULL,
    expires_at   timestamptz NOT NULL CHECK (expires_at > created_at),
    revoked_at   timestamptz,
    revoked_by   text,
    sequence     bigint      NOT NULL DEFAULT 1,
    document     jsonb       NOT NULL
);
CREATE INDEX signing_keys_by_project ON signing_keys (project, id);

CREATE OR REPLACE VIEW state_documents (topic, key, type, sequence, document) AS
SELECT 'routes.v1', project || '/' || model_type, 'route.changed.v1', sequence, document
FROM routes WHERE document IS NOT NULL
UNION ALL
SELECT 'access.v1', 'token/' || id::text, 'api_token.changed.v1', sequence, document FROM api_tokens
UNION ALL
SELECT 'access.v1', 'grant/' || project || '/' || actor, 'roles.granted.v1', sequence, document FROM access_grants
UNION ALL
SELECT 'access.v1', 'key/' || id::text, 'signing_key.changed.v1', sequence, document FROM signing_keys;
