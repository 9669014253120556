-- SPDX-License-Identifier: Apache-2.0

-- +goose Up

-- The processes that run. Times are those of the database.
CREATE TABLE node (
	id      text COLLATE "C" NOT NULL PRIMARY KEY,
	url     text NOT NULL,
	started bigint NOT NULL,
	seen    bigint NOT NULL
);
