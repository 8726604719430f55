-- What an artifact consists of, and which of its parts can run code. NULL: it was recorded before all parts were
-- looked at; a security gate refuses it until the same bytes are uploaded again.
ALTER TABLE artifacts ADD COLUMN inspection jsonb;
