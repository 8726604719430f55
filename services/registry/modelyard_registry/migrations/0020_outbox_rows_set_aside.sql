-- A row that the broker refuses is set aside, with the reason, so that it holds up nothing but its own key.

ALTER TABLE outbox ADD COLUMN set_aside_at timestamptz;
ALTER TABLE outbox ADD COLUMN set_aside_reason text;
CREATE INDEX outbox_set_aside ON outbox (topic, key, id) WHERE set_aside_at IS NOT NULL;
