-- A further artifact is seen by whom its version is, and asked for by digest.
CREATE INDEX version_artifacts_by_digest ON version_artifacts (project, digest);
