-- Projects are made on purpose: a misspelt name is not found instead of becoming a project.

CREATE TABLE projects (
    name        text        PRIMARY KEY,
    description text,
    created_at  timestamptz NOT NULL,
    created_by  text        NOT NULL
);

-- Whatever came into being by its first registered model, artifact, policy, grant, token or key stays.
INSERT INTO projects (name, description, created_at, created_by)
SELECT name, NULL, now(), 'registry'
FROM (
    SELECT 'default' AS name
    UNION SELECT project FROM registered_models
    UNION SELECT project FROM artifacts
    UNION SELECT project FROM artifact_uploads
    UNION SELECT project FROM project_policies
    UNION SELECT project FROM routes
    UNION SELECT project FROM experiments
    UNION SELECT project FROM access_grants
    UNION SELECT project FROM api_tokens
    UNION SELECT project FROM signing_keys
) AS found
WHERE name <> '*';
