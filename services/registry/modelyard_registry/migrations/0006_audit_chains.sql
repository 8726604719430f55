-- Audit entries hold each other: each carries the hash of the one before it about the same subject.
-- Entries from before have neither place nor hash; a subject's chain begins with the first that has.

ALTER TABLE audit_entries ADD COLUMN place bigint;
ALTER TABLE audit_entries ADD COLUMN previous_hash text;
ALTER TABLE audit_entries ADD COLUMN hash text;
CREATE UNIQUE INDEX audit_entries_by_place ON audit_entries (project, subject, place) WHERE place IS NOT NULL;
CREATE INDEX audit_entries_by_actor ON audit_entries (project, actor, id);
CREATE INDEX audit_entries_by_action ON audit_entries (project, action, id);

-- Where each subject's chain ends. Its row is locked last in a transaction, in the order of the subjects.
CREATE TABLE audit_chains (
    project text   NOT NULL,
    subject text   NOT NULL,
    place   bigint NOT NULL DEFAULT 0,
    hash    text,
    PRIMARY KEY (project, subject)
);
