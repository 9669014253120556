-- SPDX-License-Identifier: Apache-2.0
-- Times are unix microseconds in UTC, 0 for none. Names, specs and maps are text, "" for none. Booleans are 0 and 1.

-- +goose Up

CREATE TABLE object (
	id            TEXT COLLATE "C" PRIMARY KEY,
	kind          TEXT COLLATE "C" NOT NULL,
	database_name TEXT COLLATE "C" NOT NULL,
	schema_name   TEXT COLLATE "C" NOT NULL,
	name          TEXT COLLATE "C" NOT NULL,
	owner         TEXT COLLATE "C" NOT NULL,
	comment       TEXT COLLATE "C" NOT NULL,
	session       BIGINT NOT NULL,
	created       BIGINT NOT NULL,
	altered       BIGINT NOT NULL,
	spec          TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX object_name ON object (kind, database_name, schema_name, name);
CREATE INDEX object_inside ON object (database_name, schema_name) WHERE database_name <> '';
CREATE INDEX object_temporary ON object (session) WHERE session <> 0;

CREATE TABLE privilege (
	object       TEXT COLLATE "C" NOT NULL REFERENCES object (id) ON DELETE CASCADE,
	privilege    TEXT COLLATE "C" NOT NULL,
	role         TEXT COLLATE "C" NOT NULL,
	grant_option BIGINT NOT NULL,
	granted_by   TEXT COLLATE "C" NOT NULL,
	created      BIGINT NOT NULL,
	PRIMARY KEY (object, privilege, role)
);
CREATE INDEX privilege_role ON privilege (role, object, privilege);

CREATE TABLE role_grant (
	role       TEXT COLLATE "C" NOT NULL,
	to_role    TEXT COLLATE "C" NOT NULL,
	to_user    TEXT COLLATE "C" NOT NULL,
	granted_by TEXT COLLATE "C" NOT NULL,
	created    BIGINT NOT NULL,
	PRIMARY KEY (role, to_role, to_user)
);

CREATE TABLE session (
	id              BIGINT PRIMARY KEY,
	user_name       TEXT COLLATE "C" NOT NULL,
	role            TEXT COLLATE "C" NOT NULL,
	secondary_roles TEXT COLLATE "C" NOT NULL,
	database_name   TEXT COLLATE "C" NOT NULL,
	schema_name     TEXT COLLATE "C" NOT NULL,
	warehouse       TEXT COLLATE "C" NOT NULL,
	parameters      TEXT COLLATE "C" NOT NULL,
	variables       TEXT COLLATE "C" NOT NULL,
	client          TEXT COLLATE "C" NOT NULL,
	last_statement  TEXT COLLATE "C" NOT NULL,
	job             TEXT COLLATE "C" NOT NULL,
	created         BIGINT NOT NULL,
	last_used       BIGINT NOT NULL,
	expires         BIGINT NOT NULL,
	closed          BIGINT NOT NULL
);
CREATE INDEX session_expires ON session (expires) WHERE closed = 0;

CREATE TABLE token (
	hash      TEXT COLLATE "C" PRIMARY KEY,
	use       TEXT COLLATE "C" NOT NULL,
	user_name TEXT COLLATE "C" NOT NULL,
	role      TEXT COLLATE "C" NOT NULL,
	session   BIGINT NOT NULL,
	job       TEXT COLLATE "C" NOT NULL,
	name      TEXT COLLATE "C" NOT NULL,
	created   BIGINT NOT NULL,
	expires   BIGINT NOT NULL
);
CREATE INDEX token_session ON token (session) WHERE session <> 0;
CREATE INDEX token_job ON token (job) WHERE job <> '';
CREATE INDEX token_user ON token (user_name) WHERE user_name <> '';
CREATE INDEX token_expires ON token (expires) WHERE expires <> 0;

CREATE TABLE statement (
	id            TEXT COLLATE "C" PRIMARY KEY,
	request       TEXT COLLATE "C" NOT NULL,
	session       BIGINT NOT NULL,
	parent        TEXT COLLATE "C" NOT NULL,
	user_name     TEXT COLLATE "C" NOT NULL,
	role          TEXT COLLATE "C" NOT NULL,
	database_name TEXT COLLATE "C" NOT NULL,
	schema_name   TEXT COLLATE "C" NOT NULL,
	warehouse     TEXT COLLATE "C" NOT NULL,
	tag           TEXT COLLATE "C" NOT NULL,
	type_id       BIGINT NOT NULL,
	async         BIGINT NOT NULL,
	node          TEXT COLLATE "C" NOT NULL,
	status        TEXT COLLATE "C" NOT NULL,
	error_code    BIGINT NOT NULL,
	sql_state     TEXT COLLATE "C" NOT NULL,
	message       TEXT COLLATE "C" NOT NULL,
	row_count     BIGINT NOT NULL,
	started       BIGINT NOT NULL,
	ended         BIGINT NOT NULL,
	text          TEXT COLLATE "C" NOT NULL,
	result        BYTEA -- last, so that listings need not read over it
);
CREATE UNIQUE INDEX statement_request ON statement (session, request) WHERE request <> '';
CREATE INDEX statement_started ON statement (started, id);
CREATE INDEX statement_session ON statement (session, started);
CREATE INDEX statement_running ON statement (node) WHERE status = 'RUNNING';

CREATE TABLE job (
	id            TEXT COLLATE "C" PRIMARY KEY,
	kind          TEXT COLLATE "C" NOT NULL,
	database_name TEXT COLLATE "C" NOT NULL,
	schema_name   TEXT COLLATE "C" NOT NULL,
	name          TEXT COLLATE "C" NOT NULL,
	owner         TEXT COLLATE "C" NOT NULL,
	user_name     TEXT COLLATE "C" NOT NULL,
	pool          TEXT COLLATE "C" NOT NULL,
	query         TEXT COLLATE "C" NOT NULL,
	comment       TEXT COLLATE "C" NOT NULL,
	environment   TEXT COLLATE "C" NOT NULL,
	image         TEXT COLLATE "C" NOT NULL,
	digest        TEXT COLLATE "C" NOT NULL,
	plan          TEXT COLLATE "C" NOT NULL,
	replicas      BIGINT NOT NULL,
	min_instances BIGINT NOT NULL,
	parameters    TEXT COLLATE "C" NOT NULL,
	state         TEXT COLLATE "C" NOT NULL,
	message       TEXT COLLATE "C" NOT NULL,
	exit_code     BIGINT NOT NULL,
	instances     TEXT COLLATE "C" NOT NULL,
	timeline      TEXT COLLATE "C" NOT NULL,
	worker        TEXT COLLATE "C" NOT NULL,
	lease_until   BIGINT NOT NULL,
	created       BIGINT NOT NULL,
	started       BIGINT NOT NULL,
	completed     BIGINT NOT NULL,
	deleted       BIGINT NOT NULL
);
CREATE INDEX job_pending ON job (created, id) WHERE state = 'PENDING';
CREATE INDEX job_lease ON job (lease_until) WHERE worker <> '';
CREATE INDEX job_created ON job (created, id);
CREATE INDEX job_digest ON job (digest) WHERE completed = 0;

CREATE TABLE file (
	stage    TEXT COLLATE "C" NOT NULL REFERENCES object (id) ON DELETE CASCADE,
	path     TEXT COLLATE "C" NOT NULL,
	content  TEXT COLLATE "C" NOT NULL,
	size     BIGINT NOT NULL,
	md5      TEXT COLLATE "C" NOT NULL,
	meta     TEXT COLLATE "C" NOT NULL,
	modified BIGINT NOT NULL,
	PRIMARY KEY (stage, path)
);
CREATE INDEX file_content ON file (content);

CREATE TABLE orphan (
	content TEXT COLLATE "C" PRIMARY KEY,
	since   BIGINT NOT NULL
);

CREATE TABLE event (
	id        TEXT COLLATE "C" PRIMARY KEY,
	at        BIGINT NOT NULL,
	user_name TEXT COLLATE "C" NOT NULL,
	role      TEXT COLLATE "C" NOT NULL,
	action    TEXT COLLATE "C" NOT NULL,
	kind      TEXT COLLATE "C" NOT NULL,
	object    TEXT COLLATE "C" NOT NULL,
	digest    TEXT COLLATE "C" NOT NULL,
	statement TEXT COLLATE "C" NOT NULL,
	allowed   BIGINT NOT NULL,
	detail    TEXT COLLATE "C" NOT NULL
);
CREATE INDEX event_at ON event (at, id);
