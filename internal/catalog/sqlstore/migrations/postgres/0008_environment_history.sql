-- SPDX-License-Identifier: Apache-2.0

-- +goose Up

-- What custom runtime environments were until they were replaced or dropped. A row outlives environment, repository and image.
CREATE TABLE environment_history (
	id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	environment TEXT COLLATE "C" NOT NULL,
	name        TEXT COLLATE "C" NOT NULL,
	owner       TEXT COLLATE "C" NOT NULL,
	repository  TEXT COLLATE "C" NOT NULL,
	image       TEXT COLLATE "C" NOT NULL,
	digest      TEXT COLLATE "C" NOT NULL,
	tag_digest  TEXT COLLATE "C" NOT NULL, -- digest, or an index that holds it
	spec        TEXT COLLATE "C" NOT NULL,
	verdict     TEXT COLLATE "C" NOT NULL,
	policy      TEXT COLLATE "C" NOT NULL,
	since       BIGINT NOT NULL,
	ended       BIGINT NOT NULL,
	user_name   TEXT COLLATE "C" NOT NULL,
	role        TEXT COLLATE "C" NOT NULL,
	reason      TEXT COLLATE "C" NOT NULL,
	statement   TEXT COLLATE "C" NOT NULL
);
CREATE INDEX environment_history_of_image ON environment_history (repository, image, ended);
CREATE INDEX environment_history_ended ON environment_history (ended, id);
