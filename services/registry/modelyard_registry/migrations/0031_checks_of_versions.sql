-- What services found when they tested or scanned a version. The newest of a kind counts; all are kept.
CREATE TABLE version_checks (
    id            uuid        PRIMARY KEY,
    version_id    uuid        NOT NULL REFERENCES model_versions (id),
    kind          text        NOT NULL CHECK (kind IN ('tests', 'security_scan')),
    outcome       text        NOT NULL CHECK (outcome IN ('passed', 'failed')),
    digest        text        NOT NULL,
    report_url    text,
    report_digest text,
    details       text,
    recorded_at   timestamptz NOT NULL,
    recorded_by   text        NOT NULL
);
CREATE INDEX version_checks_by_version ON version_checks (version_id, kind, id DESC);
