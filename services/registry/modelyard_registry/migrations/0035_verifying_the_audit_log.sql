-- A time range of the log is verified without reading all of it, and entries older than the chains are counted at once.

CREATE INDEX audit_entries_by_time ON audit_entries USING brin (recorded_at);
CREATE INDEX audit_entries_unchained ON audit_entries (project, subject) WHERE place IS NULL;
