-- SPDX-License-Identifier: Apache-2.0

-- +goose Up

-- What custom runtime environments were until they were replaced or dropped. A row outlives environment, repository and image.
CREATE TABLE environment_history (
	id          TEXT NOT NULL PRIMARY KEY,
	environment TEXT NOT NULL,
	name        TEXT NOT NULL,
	owner       TEXT NOT NULL,
	repository  TEXT NOT NULL,
	image       TEXT NOT NULL,
	digest      TEXT NOT NULL,
	tag_digest  TEXT NOT NULL, -- digest, or an index that holds it
	spec        TEXT NOT NULL,
	verdict     TEXT NOT NULL,
	policy      TEXT NOT NULL,
	since       INTEGER NOT NULL,
	ended       INTEGER NOT NULL,
	user_name   TEXT NOT NULL,
	role        TEXT NOT NULL,
	reason      TEXT NOT NULL,
	statement   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX environment_history_of_image ON environment_history (repository, image, ended);
CREATE INDEX environment_history_ended ON environment_history (ended, id);
