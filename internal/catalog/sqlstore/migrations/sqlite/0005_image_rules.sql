-- SPDX-License-Identifier: Apache-2.0

-- +goose Up

-- What happened to images. A row goes with its repository; the audit trail stays.
CREATE TABLE image_event (
	id          TEXT NOT NULL PRIMARY KEY,
	at          INTEGER NOT NULL,
	repository  TEXT NOT NULL REFERENCES object (id) ON DELETE CASCADE,
	image       TEXT NOT NULL,
	tag         TEXT NOT NULL,
	digest      TEXT NOT NULL,
	previous    TEXT NOT NULL, -- what the tag named before
	kind        TEXT NOT NULL,
	user_name   TEXT NOT NULL,
	environment TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX image_event_of_repository ON image_event (repository, at, id);
CREATE INDEX image_event_at ON image_event (at);

-- When each manifest was last pulled, to the minute.
CREATE TABLE image_pull (
	repository TEXT NOT NULL,
	image      TEXT NOT NULL,
	digest     TEXT NOT NULL,
	at         INTEGER NOT NULL,
	user_name  TEXT NOT NULL,
	PRIMARY KEY (repository, image, digest),
	FOREIGN KEY (repository, image, digest) REFERENCES manifest (repository, image, digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Bytes that an open upload counts for against quotas: what it has, or what it said it will have.
ALTER TABLE upload ADD COLUMN reserved INTEGER NOT NULL DEFAULT 0;
CREATE INDEX upload_by_repository ON upload (repository, reserved);

-- Jobs hold their image for some days after their end.
CREATE INDEX job_of_digest ON job (digest, completed) WHERE digest <> '';
