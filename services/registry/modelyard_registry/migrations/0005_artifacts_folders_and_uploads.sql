-- Artifacts that are folders, extra artifacts of versions, and uploads that come in parts.

ALTER TABLE artifacts ADD COLUMN kind text NOT NULL DEFAULT 'file' CHECK (kind IN ('file', 'folder'));
-- Told from the bytes: loading the artifact can run code of whoever made it.
ALTER TABLE artifacts ADD COLUMN pickle boolean NOT NULL DEFAULT false;
UPDATE artifacts SET pickle = true WHERE format IN ('pickle', 'cloudpickle', 'dill', 'joblib');

-- The files of a folder; the folder's digest is that of its manifest, which these rows spell.
CREATE TABLE artifact_files (
    project text   NOT NULL,
    folder  text   NOT NULL,
    path    text   COLLATE "C" NOT NULL,
    digest  text   NOT NULL CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
    bytes   bigint NOT NULL,
    PRIMARY KEY (project, folder, path),
    FOREIGN KEY (project, folder) REFERENCES artifacts (project, digest)
);

-- What belongs to a version besides the artifact that it is: a tokenizer, a report, a signature.
CREATE TABLE version_artifacts (
    version_id  uuid        NOT NULL REFERENCES model_versions (id),
    name        text        COLLATE "C" NOT NULL,
    project     text        NOT NULL,
    digest      text        NOT NULL,
    attached_at timestamptz NOT NULL,
    attached_by text        NOT NULL,
    PRIMARY KEY (version_id, name),
    FOREIGN KEY (project, digest) REFERENCES artifacts (project, digest)
);

-- Uploads that have begun and not ended; `staging` names their parts in the store.
CREATE TABLE artifact_uploads (
    id           uuid        PRIMARY KEY,
    project      text        NOT NULL,
    digest       text        NOT NULL CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
    bytes        bigint      NOT NULL CHECK (bytes > 0),
    part_bytes   bigint      NOT NULL CHECK (part_bytes > 0),
    -- One per part, or null when the caller gave none.
    part_digests text[],
    claim        text,
    staging      text        NOT NULL,
    created_at   timestamptz NOT NULL,
    created_by   text        NOT NULL
);
CREATE INDEX artifact_uploads_by_age ON artifact_uploads (created_at);
