-- SPDX-License-Identifier: Apache-2.0

-- +goose Up

-- Content that the registry holds, once each.
CREATE TABLE blob (
	digest  TEXT NOT NULL PRIMARY KEY,
	size    INTEGER NOT NULL,
	key     TEXT NOT NULL, -- '' when body has the content
	body    BLOB,
	diff_id TEXT NOT NULL DEFAULT '',
	leased  INTEGER NOT NULL,
	created INTEGER NOT NULL
) STRICT;

-- Which image may serve which blob.
CREATE TABLE image_blob (
	repository TEXT NOT NULL REFERENCES object (id) ON DELETE CASCADE,
	image      TEXT NOT NULL,
	digest     TEXT NOT NULL REFERENCES blob (digest),
	PRIMARY KEY (repository, image, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_blob_by_digest ON image_blob (digest, repository);

-- Manifests and indexes. blobs and children are JSON lists of digests, in the order of the body; manifest_ref has them for looking up.
CREATE TABLE manifest (
	repository    TEXT NOT NULL REFERENCES object (id) ON DELETE CASCADE,
	image         TEXT NOT NULL,
	digest        TEXT NOT NULL,
	media_type    TEXT NOT NULL,
	artifact_type TEXT NOT NULL,
	subject       TEXT NOT NULL,
	annotations   TEXT NOT NULL,
	body          BLOB NOT NULL,
	blobs         TEXT NOT NULL,
	children      TEXT NOT NULL,
	pushed_by     TEXT NOT NULL,
	created       INTEGER NOT NULL,
	PRIMARY KEY (repository, image, digest)
) STRICT;
CREATE INDEX manifest_by_subject ON manifest (repository, image, subject, digest) WHERE subject <> '';
CREATE INDEX manifest_by_digest ON manifest (digest);

-- What a manifest needs: kind is 'blob' or 'child'.
CREATE TABLE manifest_ref (
	repository TEXT NOT NULL,
	image      TEXT NOT NULL,
	manifest   TEXT NOT NULL,
	kind       TEXT NOT NULL,
	digest     TEXT NOT NULL,
	PRIMARY KEY (repository, image, manifest, kind, digest),
	FOREIGN KEY (repository, image, manifest) REFERENCES manifest (repository, image, digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_ref_by_digest ON manifest_ref (repository, image, digest, kind);

CREATE TABLE tag (
	repository TEXT NOT NULL,
	image      TEXT NOT NULL,
	name       TEXT NOT NULL,
	digest     TEXT NOT NULL,
	moved_by   TEXT NOT NULL,
	created    INTEGER NOT NULL,
	moved      INTEGER NOT NULL,
	PRIMARY KEY (repository, image, name),
	FOREIGN KEY (repository, image, digest) REFERENCES manifest (repository, image, digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_by_digest ON tag (repository, image, digest);

-- Open uploads. They outlive a dropped repository, so that expiry finds their bytes.
CREATE TABLE upload (
	id         TEXT NOT NULL PRIMARY KEY,
	repository TEXT NOT NULL,
	image      TEXT NOT NULL,
	user_name  TEXT NOT NULL,
	key        TEXT NOT NULL,
	body       BLOB,
	received   INTEGER NOT NULL,
	hash_state BLOB,
	expires    INTEGER NOT NULL
) STRICT;
CREATE INDEX upload_by_expiry ON upload (expires, id);
