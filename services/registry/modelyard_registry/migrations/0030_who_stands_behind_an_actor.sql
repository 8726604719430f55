-- Who gave out a token, and for whom it stands when agreement is counted. What was there before stands for itself.
ALTER TABLE api_tokens ADD COLUMN stands_for text;
ALTER TABLE api_tokens ADD COLUMN issuers text[] NOT NULL DEFAULT '{}';
UPDATE api_tokens SET stands_for = project || '/' || actor;
ALTER TABLE api_tokens ALTER COLUMN stands_for SET NOT NULL;

-- Who asked and who decided, with who stood behind them then. NULL: the actor stood for itself.
ALTER TABLE transition_requests ADD COLUMN requester jsonb;
ALTER TABLE transition_decisions ADD COLUMN decider jsonb;
