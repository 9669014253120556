-- SPDX-License-Identifier: Apache-2.0

-- +goose Up

-- When somebody last relied on a manifest that nothing may name: pushed it, was told that it need not be pushed, took away its tag.
ALTER TABLE manifest ADD COLUMN leased INTEGER NOT NULL DEFAULT 0;
UPDATE manifest SET leased = CAST(1000 * round(1000 * unixepoch('subsec')) AS INTEGER);

-- Whether a row leads to what the blob store has.
CREATE INDEX blob_by_key ON blob (key) WHERE key <> '';
CREATE INDEX upload_by_key ON upload (key);

-- When content was found lost or damaged that is to be pushed again; 0: it is whole.
ALTER TABLE blob ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
CREATE INDEX blob_lost ON blob (digest) WHERE lost <> 0;

-- Housekeeping that one replica at a time does.
CREATE TABLE duty (
	name       TEXT NOT NULL PRIMARY KEY,
	holder     TEXT NOT NULL,
	held_until INTEGER NOT NULL,
	done       INTEGER NOT NULL
) STRICT;

-- Of programmatic access tokens.
ALTER TABLE token ADD COLUMN comment    TEXT NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN disabled   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE token ADD COLUMN rotated_to TEXT NOT NULL DEFAULT '';

-- The one role of sessions that were opened with such a token.
ALTER TABLE session ADD COLUMN bound TEXT NOT NULL DEFAULT '';
