-- SPDX-License-Identifier: Apache-2.0

-- +goose Up

-- The processes that run. Times are those of the database.
CREATE TABLE node (
	id      TEXT NOT NULL PRIMARY KEY,
	url     TEXT NOT NULL,
	started INTEGER NOT NULL,
	seen    INTEGER NOT NULL
) STRICT;
