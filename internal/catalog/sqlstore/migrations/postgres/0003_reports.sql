-- SPDX-License-Identifier: Apache-2.0

-- +goose Up

-- What was found about an object when it was made. It is large, so it is apart from the object.
CREATE TABLE report (
	object text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES object (id) ON DELETE CASCADE,
	body   bytea NOT NULL
);
