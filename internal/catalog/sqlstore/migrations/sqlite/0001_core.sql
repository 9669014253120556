-- SPDX-License-Identifier: Apache-2.0
-- Times are unix microseconds in UTC, 0 for none. Names, specs and maps are text, "" for none. Booleans are 0 and 1.

-- +goose Up

CREATE TABLE object (
	id            TEXT PRIMARY KEY,
	kind          TEXT NOT NULL,
	database_name TEXT NOT NULL,
	schema_name   TEXT NOT NULL,
	name          TEXT NOT NULL,
	owner         TEXT NOT NULL,
	comment       TEXT NOT NULL,
	session       INTEGER NOT NULL,
	created       INTEGER NOT NULL,
	altered       INTEGER NOT NULL,
	spec          TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX object_name ON object (kind, database_name, schema_name, name);
CREATE INDEX object_inside ON object (database_name, schema_name) WHERE database_name <> '';
CREATE INDEX object_temporary ON object (session) WHERE session <> 0;

CREATE TABLE privilege (
	object       TEXT NOT NULL REFERENCES object (id) ON DELETE CASCADE,
	privilege    TEXT NOT NULL,
	role         TEXT NOT NULL,
	grant_option INTEGER NOT NULL,
	granted_by   TEXT NOT NULL,
	created      INTEGER NOT NULL,
	PRIMARY KEY (object, privilege, role)
) STRICT, WITHOUT ROWID;
CREATE INDEX privilege_role ON privilege (role, object, privilege);

CREATE TABLE role_grant (
	role       TEXT NOT NULL,
	to_role    TEXT NOT NULL,
	to_user    TEXT NOT NULL,
	granted_by TEXT NOT NULL,
	created    INTEGER NOT NULL,
	PRIMARY KEY (role, to_role, to_user)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
	id              INTEGER PRIMARY KEY,
	user_name       TEXT NOT NULL,
	role            TEXT NOT NULL,
	secondary_roles TEXT NOT NULL,
	database_name   TEXT NOT NULL,
	schema_name     TEXT NOT NULL,
	warehouse       TEXT NOT NULL,
	parameters      TEXT NOT NULL,
	variables       TEXT NOT NULL,
	client          TEXT NOT NULL,
	last_statement  TEXT NOT NULL,
	job             TEXT NOT NULL,
	created         INTEGER NOT NULL,
	last_used       INTEGER NOT NULL,
	expires         INTEGER NOT NULL,
	closed          INTEGER NOT NULL
) STRICT;
CREATE INDEX session_expires ON session (expires) WHERE closed = 0;

CREATE TABLE token (
	hash      TEXT PRIMARY KEY,
	use       TEXT NOT NULL,
	user_name TEXT NOT NULL,
	role      TEXT NOT NULL,
	session   INTEGER NOT NULL,
	job       TEXT NOT NULL,
	name      TEXT NOT NULL,
	created   INTEGER NOT NULL,
	expires   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX token_session ON token (session) WHERE session <> 0;
CREATE INDEX token_job ON token (job) WHERE job <> '';
CREATE INDEX token_user ON token (user_name) WHERE user_name <> '';
CREATE INDEX token_expires ON token (expires) WHERE expires <> 0;

CREATE TABLE statement (
	id            TEXT PRIMARY KEY,
	request       TEXT NOT NULL,
	session       INTEGER NOT NULL,
	parent        TEXT NOT NULL,
	user_name     TEXT NOT NULL,
	role          TEXT NOT NULL,
	database_name TEXT NOT NULL,
	schema_name   TEXT NOT NULL,
	warehouse     TEXT NOT NULL,
	tag           TEXT NOT NULL,
	type_id       INTEGER NOT NULL,
	async         INTEGER NOT NULL,
	node          TEXT NOT NULL,
	status        TEXT NOT NULL,
	error_code    INTEGER NOT NULL,
	sql_state     TEXT NOT NULL,
	message       TEXT NOT NULL,
	row_count     INTEGER NOT NULL,
	started       INTEGER NOT NULL,
	ended         INTEGER NOT NULL,
	text          TEXT NOT NULL,
	result        BLOB -- last, so that listings need not read over it
) STRICT;
CREATE UNIQUE INDEX statement_request ON statement (session, request) WHERE request <> '';
CREATE INDEX statement_started ON statement (started, id);
CREATE INDEX statement_session ON statement (session, started);
CREATE INDEX statement_running ON statement (node) WHERE status = 'RUNNING';

CREATE TABLE job (
	id            TEXT PRIMARY KEY,
	kind          TEXT NOT NULL,
	database_name TEXT NOT NULL,
	schema_name   TEXT NOT NULL,
	name          TEXT NOT NULL,
	owner         TEXT NOT NULL,
	user_name     TEXT NOT NULL,
	pool          TEXT NOT NULL,
	query         TEXT NOT NULL,
	comment       TEXT NOT NULL,
	environment   TEXT NOT NULL,
	image         TEXT NOT NULL,
	digest        TEXT NOT NULL,
	plan          TEXT NOT NULL,
	replicas      INTEGER NOT NULL,
	min_instances INTEGER NOT NULL,
	parameters    TEXT NOT NULL,
	state         TEXT NOT NULL,
	message       TEXT NOT NULL,
	exit_code     INTEGER NOT NULL,
	instances     TEXT NOT NULL,
	timeline      TEXT NOT NULL,
	worker        TEXT NOT NULL,
	lease_until   INTEGER NOT NULL,
	created       INTEGER NOT NULL,
	started       INTEGER NOT NULL,
	completed     INTEGER NOT NULL,
	deleted       INTEGER NOT NULL
) STRICT;
CREATE INDEX job_pending ON job (created, id) WHERE state = 'PENDING';
CREATE INDEX job_lease ON job (lease_until) WHERE worker <> '';
CREATE INDEX job_created ON job (created, id);
CREATE INDEX job_digest ON job (digest) WHERE completed = 0;

CREATE TABLE file (
	stage    TEXT NOT NULL REFERENCES object (id) ON DELETE CASCADE,
	path     TEXT NOT NULL,
	content  TEXT NOT NULL,
	size     INTEGER NOT NULL,
	md5      TEXT NOT NULL,
	meta     TEXT NOT NULL,
	modified INTEGER NOT NULL,
	PRIMARY KEY (stage, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX file_content ON file (content);

CREATE TABLE orphan (
	content TEXT PRIMARY KEY,
	since   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
	id        TEXT PRIMARY KEY,
	at        INTEGER NOT NULL,
	user_name TEXT NOT NULL,
	role      TEXT NOT NULL,
	action    TEXT NOT NULL,
	kind      TEXT NOT NULL,
	object    TEXT NOT NULL,
	digest    TEXT NOT NULL,
	statement TEXT NOT NULL,
	allowed   INTEGER NOT NULL,
	detail    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX event_at ON event (at, id);
