-- A rollback restores a version only at the endpoint that people agreed to when it was let into production.

ALTER TABLE deployments ADD COLUMN agreed_endpoint jsonb;

UPDATE deployments SET agreed_endpoint = endpoint
WHERE environment = 'production' AND version_id IN (SELECT version_id FROM transitions WHERE to_stage = 'production');
