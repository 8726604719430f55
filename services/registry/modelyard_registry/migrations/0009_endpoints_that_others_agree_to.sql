-- A request about a version that is served can ask for another endpoint instead of another stage; and a decision
-- can be made for just the request that was seen.

ALTER TABLE transition_requests ADD COLUMN deployment jsonb;
ALTER TABLE transition_requests ADD COLUMN revision bigint NOT NULL DEFAULT 1;
