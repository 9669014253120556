-- SPDX-License-Identifier: Apache-2.0

-- +goose Up

-- Content that the registry holds, once each.
CREATE TABLE blob (
	digest  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	size    BIGINT NOT NULL,
	key     TEXT COLLATE "C" NOT NULL, -- '' when body has the content
	body    BYTEA,
	diff_id TEXT COLLATE "C" NOT NULL DEFAULT '',
	leased  BIGINT NOT NULL,
	created BIGINT NOT NULL
);

-- Which image may serve which blob.
CREATE TABLE image_blob (
	repository TEXT COLLATE "C" NOT NULL REFERENCES object (id) ON DELETE CASCADE,
	image      TEXT COLLATE "C" NOT NULL,
	digest     TEXT COLLATE "C" NOT NULL REFERENCES blob (digest),
	PRIMARY KEY (repository, image, digest)
);
CREATE INDEX image_blob_by_digest ON image_blob (digest, repository);

-- Manifests and indexes. blobs and children are JSON lists of digests, in the order of the body; manifest_ref has them for looking up.
CREATE TABLE manifest (
	repository    TEXT COLLATE "C" NOT NULL REFERENCES object (id) ON DELETE CASCADE,
	image         TEXT COLLATE "C" NOT NULL,
	digest        TEXT COLLATE "C" NOT NULL,
	media_type    TEXT COLLATE "C" NOT NULL,
	artifact_type TEXT COLLATE "C" NOT NULL,
	subject       TEXT COLLATE "C" NOT NULL,
	annotations   TEXT COLLATE "C" NOT NULL,
	body          BYTEA NOT NULL,
	blobs         TEXT COLLATE "C" NOT NULL,
	children      TEXT COLLATE "C" NOT NULL,
	pushed_by     TEXT COLLATE "C" NOT NULL,
	created       BIGINT NOT NULL,
	PRIMARY KEY (repository, image, digest)
);
CREATE INDEX manifest_by_subject ON manifest (repository, image, subject, digest) WHERE subject <> '';
CREATE INDEX manifest_by_digest ON manifest (digest);

-- What a manifest needs: kind is 'blob' or 'child'.
CREATE TABLE manifest_ref (
	repository TEXT COLLATE "C" NOT NULL,
	image      TEXT COLLATE "C" NOT NULL,
	manifest   TEXT COLLATE "C" NOT NULL,
	kind       TEXT COLLATE "C" NOT NULL,
	digest     TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (repository, image, manifest, kind, digest),
	FOREIGN KEY (repository, image, manifest) REFERENCES manifest (repository, image, digest) ON DELETE CASCADE
);
CREATE INDEX manifest_ref_by_digest ON manifest_ref (repository, image, digest, kind);

CREATE TABLE tag (
	repository TEXT COLLATE "C" NOT NULL,
	image      TEXT COLLATE "C" NOT NULL,
	name       TEXT COLLATE "C" NOT NULL,
	digest     TEXT COLLATE "C" NOT NULL,
	moved_by   TEXT COLLATE "C" NOT NULL,
	created    BIGINT NOT NULL,
	moved      BIGINT NOT NULL,
	PRIMARY KEY (repository, image, name),
	FOREIGN KEY (repository, image, digest) REFERENCES manifest (repository, image, digest) ON DELETE CASCADE
);
CREATE INDEX tag_by_digest ON tag (repository, image, digest);

-- Open uploads. They outlive a dropped repository, so that expiry finds their bytes.
CREATE TABLE upload (
	id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	repository TEXT COLLATE "C" NOT NULL,
	image      TEXT COLLATE "C" NOT NULL,
	user_name  TEXT COLLATE "C" NOT NULL,
	key        TEXT COLLATE "C" NOT NULL,
	body       BYTEA,
	received   BIGINT NOT NULL,
	hash_state BYTEA,
	expires    BIGINT NOT NULL
);
CREATE INDEX upload_by_expiry ON upload (expires, id);
