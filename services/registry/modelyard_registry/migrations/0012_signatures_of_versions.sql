-- The bytes of what is attached as `signature`: gates verify them whenever a move is planned.

ALTER TABLE version_artifacts ADD COLUMN signature bytea CHECK (octet_length(signature) <= 1000);
