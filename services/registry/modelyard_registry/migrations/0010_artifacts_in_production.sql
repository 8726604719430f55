-- Whoever may download what is in production only is asked about by digest.
CREATE INDEX model_versions_in_production_by_digest ON model_versions (project, digest) WHERE stage = 'production';
