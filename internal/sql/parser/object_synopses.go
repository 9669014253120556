// SPDX-License-Identifier: Apache-2.0

package parser

func objectSynopses() []Synopsis {
	var all []Synopsis
	for _, family := range [][]Synopsis{environmentSynopses(), serviceSynopses(), accountSynopses(), schemaSynopses()} {
		all = append(all, family...)
	}
	return all
}

func environmentSynopses() []Synopsis {
	const family = "Custom runtime environments"
	return []Synopsis{
		{family, "CREATE [ OR REPLACE ] CUSTOM RUNTIME ENVIRONMENT [ IF NOT EXISTS ] <name> IMAGE_PATH = '<image path>' BASE_IMAGE_TYPE = { CPU | GPU }",
			"<image path> is /<database>/<schema>/<repository>/<image>[:<tag>][@<digest>]. The image is validated, also by running it; the environment exists only when it is fit. Names are unquoted.",
			"CREATE OR REPLACE CUSTOM RUNTIME ENVIRONMENT my_cre\n    IMAGE_PATH = '/db/schema/repo/my-custom-image:v1'\n    BASE_IMAGE_TYPE = CPU"},
		{family, "ALTER CUSTOM RUNTIME ENVIRONMENT [ IF EXISTS ] <name> SET CRE_STATUS = { RESOLVED | DEPRECATED }",
			"Needs MODIFY. A deprecated environment stays visible and refuses new jobs.", "ALTER CUSTOM RUNTIME ENVIRONMENT my_cre SET CRE_STATUS = DEPRECATED"},
		{family, "ALTER ACCOUNT { SET RUNTIME_ENVIRONMENT_POLICY = { $$ <policy file> $$ | '<built-in policy>' } | UNSET RUNTIME_ENVIRONMENT_POLICY }",
			"Needs OWNERSHIP of the account. From then on CREATE wants images to meet the policy.",
			"ALTER ACCOUNT SET RUNTIME_ENVIRONMENT_POLICY = $$\nversion: 1\nname: team-ml\npackages:\n  forbidden: [tensorflow]\n$$"},
		{family, "ALTER ACCOUNT { SET { RUNTIME_ENVIRONMENT_HISTORY_RETENTION_TIME_IN_DAYS | JOB_IMAGE_RETENTION_TIME_IN_DAYS } = <days> [ ... ] | UNSET { RUNTIME_ENVIRONMENT_HISTORY_RETENTION_TIME_IN_DAYS | JOB_IMAGE_RETENTION_TIME_IN_DAYS } [ , ... ] }",
			"Needs OWNERSHIP of the account. <days> is from 0 to 3650; 30 and 7 unless set. It counts at once, also for what ended before.",
			"ALTER ACCOUNT SET RUNTIME_ENVIRONMENT_HISTORY_RETENTION_TIME_IN_DAYS = 90"},
		{family, "SELECT ... FROM [ <database>. ] INFORMATION_SCHEMA.CUSTOM_RUNTIME_ENVIRONMENT_HISTORY",
			"What environments were pinned to before they were replaced or dropped, newest first, at most 10,000 rows.",
			"SELECT PINNED_IMAGE_PATH, END_TIME FROM db.INFORMATION_SCHEMA.CUSTOM_RUNTIME_ENVIRONMENT_HISTORY WHERE ENVIRONMENT_NAME = 'MY_CRE'"},
		{family, "DESC[RIBE] CUSTOM RUNTIME ENVIRONMENT <name>", "Needs MONITOR.", "DESC CUSTOM RUNTIME ENVIRONMENT my_cre"},
		{family, "DROP CUSTOM RUNTIME ENVIRONMENT [ IF EXISTS ] <name>", "Needs OWNERSHIP. The image stays, and is held for as long as the history says.", "DROP CUSTOM RUNTIME ENVIRONMENT IF EXISTS my_cre"},
	}
}

func serviceSynopses() []Synopsis {
	return []Synopsis{
		{"Compute pools", "CREATE COMPUTE POOL [ IF NOT EXISTS ] <name> MIN_NODES = <n> MAX_NODES = <n> INSTANCE_FAMILY = <family> [ AUTO_RESUME = { TRUE | FALSE } ] [ INITIALLY_SUSPENDED = { TRUE | FALSE } ] [ AUTO_SUSPEND_SECS = <n> ] [ COMMENT = '<text>' ]",
			"", "CREATE COMPUTE POOL IF NOT EXISTS p MIN_NODES = 1 MAX_NODES = 2 INSTANCE_FAMILY = CPU_X64_S AUTO_RESUME = True"},
		{"Compute pools", "ALTER COMPUTE POOL [ IF EXISTS ] <name> { SUSPEND | RESUME | STOP ALL | SET <property> = <value> [ ... ] | UNSET <property> [ , ... ] }",
			"", "ALTER COMPUTE POOL p STOP ALL"},
		{"Compute pools", "{ DESC[RIBE] COMPUTE POOL | DROP COMPUTE POOL [ IF EXISTS ] } <name>", "", "DROP COMPUTE POOL IF EXISTS IDENTIFIER('p')"},
		{"Services", "CREATE SERVICE [ IF NOT EXISTS ] <name> IN COMPUTE POOL <pool> FROM { SPECIFICATION $$ <yaml or json> $$ | @<stage> SPECIFICATION_FILE = '<path>' } [ <property> = <value> ... ]",
			"", "CREATE SERVICE s IN COMPUTE POOL p FROM @st SPECIFICATION_FILE = 'spec.yml' AUTO_RESUME = True MIN_INSTANCES = 1"},
		{"Services", "ALTER SERVICE [ IF EXISTS ] <name> { SUSPEND | RESUME | FROM { SPECIFICATION $$ <yaml or json> $$ | @<stage> SPECIFICATION_FILE = '<path>' } | SET <property> = <value> [ ... ] | UNSET <property> [ , ... ] }",
			"", "ALTER SERVICE s FROM SPECIFICATION $$ {\"spec\": {}} $$"},
		{"Services", "DESC[RIBE] SERVICE <name>", "Job services too.", "DESCRIBE SERVICE IDENTIFIER(?)"},
		{"Services", "DROP SERVICE [ IF EXISTS ] <name> [ FORCE ]", "", "DROP SERVICE IF EXISTS s FORCE"},
	}
}

func accountSynopses() []Synopsis {
	return []Synopsis{
		{"Roles and users", "CREATE [ OR REPLACE ] ROLE [ IF NOT EXISTS ] <name> [ COMMENT = '<text>' ]", "", "CREATE ROLE IF NOT EXISTS data_scientist"},
		{"Roles and users", "CREATE [ OR REPLACE ] USER [ IF NOT EXISTS ] <name> [ PASSWORD = '<text>' ] [ RSA_PUBLIC_KEY = '<key>' ] [ DEFAULT_ROLE = <role> ] [ DEFAULT_WAREHOUSE = <warehouse> ] [ DEFAULT_NAMESPACE = <database>[.<schema>] ] [ TYPE = { PERSON | SERVICE | LEGACY_SERVICE } ] [ <property> = <value> ... ]",
			"Secrets are masked wherever the statement is shown.", "CREATE USER ann PASSWORD = 'secret' DEFAULT_ROLE = data_scientist TYPE = PERSON"},
		{"Roles and users", "ALTER USER [ IF EXISTS ] [ <name> ] { SET <property> = <value> [ ... ] | UNSET <property> [ , ... ] | RENAME TO <name> }", "Without a name: the user of the session.", "ALTER USER ann SET DISABLED = TRUE"},
		{"Roles and users", "ALTER USER [ IF EXISTS ] [ <name> ] { ADD | MODIFY | REMOVE | ROTATE } { PROGRAMMATIC ACCESS TOKEN | PAT } <token> [ ROLE_RESTRICTION = '<role>' ] [ DAYS_TO_EXPIRY = <n> ] [ COMMENT = '<text>' ]",
			"ADD gives the token's secret once, in the result.", "ALTER USER ann ADD PROGRAMMATIC ACCESS TOKEN ci ROLE_RESTRICTION = 'CI' DAYS_TO_EXPIRY = 30"},
		{"Roles and users", "ALTER ROLE [ IF EXISTS ] <name> { RENAME TO <name> | SET COMMENT = '<text>' | UNSET COMMENT }", "", "ALTER ROLE a RENAME TO b"},
		{"Roles and users", "{ DESC[RIBE] USER | DROP USER [ IF EXISTS ] | DROP ROLE [ IF EXISTS ] } <name>", "", "DESCRIBE USER ann"},
		{"Warehouses", "CREATE [ OR REPLACE ] WAREHOUSE [ IF NOT EXISTS ] <name> [ [ WITH ] <property> = <value> ... ]", "Warehouses run nothing in Firn; their privileges are checked.", "CREATE WAREHOUSE IF NOT EXISTS w WITH WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 60"},
		{"Warehouses", "ALTER WAREHOUSE [ IF EXISTS ] <name> { SUSPEND | RESUME [ IF SUSPENDED ] | ABORT ALL QUERIES | SET <property> = <value> [ ... ] | UNSET <property> [ , ... ] | RENAME TO <name> }",
			"", "ALTER WAREHOUSE w RESUME IF SUSPENDED"},
		{"Warehouses", "{ DESC[RIBE] WAREHOUSE | DROP WAREHOUSE [ IF EXISTS ] } <name>", "", "DROP WAREHOUSE w"},
		{"Integrations", "CREATE [ OR REPLACE ] EXTERNAL ACCESS INTEGRATION [ IF NOT EXISTS ] <name> ALLOWED_NETWORK_RULES = ( <rule> [ , ... ] ) [ ALLOWED_AUTHENTICATION_SECRETS = ( <secret> [ , ... ] ) ] ENABLED = { TRUE | FALSE } [ COMMENT = '<text>' ]",
			"", "CREATE EXTERNAL ACCESS INTEGRATION pypi ALLOWED_NETWORK_RULES = (db.s.pypi_rule) ENABLED = TRUE"},
		{"Integrations", "ALTER [ EXTERNAL ACCESS ] INTEGRATION [ IF EXISTS ] <name> { SET <property> = <value> [ ... ] | UNSET <property> [ , ... ] }", "", "ALTER INTEGRATION pypi SET ENABLED = FALSE"},
		{"Integrations", "{ DESC[RIBE] | DROP } [ EXTERNAL ACCESS ] INTEGRATION [ IF EXISTS ] <name>", "", "DROP INTEGRATION IF EXISTS pypi"},
	}
}

func schemaSynopses() []Synopsis {
	return []Synopsis{
		{"Databases and schemas", "CREATE [ OR REPLACE ] { DATABASE | SCHEMA } [ IF NOT EXISTS ] <name> [ <property> = <value> ... ]", "The session moves to what was created.", "CREATE DATABASE IF NOT EXISTS d DATA_RETENTION_TIME_IN_DAYS = 0"},
		{"Databases and schemas", "ALTER { DATABASE | SCHEMA } [ IF EXISTS ] <name> { RENAME TO <name> | SET <property> = <value> [ ... ] | UNSET <property> [ , ... ] }", "", "ALTER SCHEMA d.s RENAME TO d.t"},
		{"Databases and schemas", "DROP { DATABASE | SCHEMA } [ IF EXISTS ] <name> [ CASCADE | RESTRICT ]", "", "DROP DATABASE IF EXISTS d CASCADE"},
		{"Databases and schemas", "DESC[RIBE] { DATABASE | SCHEMA } <name>", "", "DESCRIBE SCHEMA d.s"},
		{"Image repositories", "CREATE [ OR REPLACE ] IMAGE REPOSITORY [ IF NOT EXISTS ] <name> [ ENCRYPTION = ( TYPE = '<type>' ) ] [ <rule> ... ] [ COMMENT = '<text>' ]",
			"Names are unquoted. <rule> is one of IMMUTABLE_TAGS = { TRUE | FALSE | ( '<pattern>' [ , ... ] ) }, TAG_RETENTION_COUNT = <n>, TAG_RETENTION_DAYS = <n>, STORAGE_QUOTA = { <bytes> | '<size>' }, ALLOWED_MEDIA_TYPES = ( '<pattern>' [ , ... ] ), UPSTREAM = 'https://<host>[/<prefix>]', UPSTREAM_SECRET = <secret>.",
			"CREATE IMAGE REPOSITORY IF NOT EXISTS db.s.repo IMMUTABLE_TAGS = ('v*') STORAGE_QUOTA = '10 GB'"},
		{"Image repositories", "ALTER IMAGE REPOSITORY [ IF EXISTS ] <name> { SET [ <rule> ... ] [ COMMENT = '<text>' ] | UNSET <property> [ , ... ] }", "", "ALTER IMAGE REPOSITORY repo SET UPSTREAM = 'https://registry.example.com/team' UPSTREAM_SECRET = db.s.robot"},
		{"Image repositories", "ALTER DATABASE <name> { SET IMAGE_STORAGE_QUOTA = { <bytes> | '<size>' } | UNSET IMAGE_STORAGE_QUOTA }", "A quota that all image repositories of the database share.", "ALTER DATABASE db SET IMAGE_STORAGE_QUOTA = '1 TB'"},
		{"Image repositories", "SELECT ... FROM [ <database>. ] INFORMATION_SCHEMA.IMAGE_EVENTS", "What happened to the images of the database that the role may pull, newest first, at most 10,000 rows.", "SELECT * FROM db.INFORMATION_SCHEMA.IMAGE_EVENTS WHERE EVENT_KIND = 'DRIFTED'"},
		{"Image repositories", "DROP IMAGE REPOSITORY [ IF EXISTS ] <name>", "", "DROP IMAGE REPOSITORY IDENTIFIER('db.s.repo')"},
		{"Stages", "CREATE [ OR REPLACE ] [ [ SCOPED ] { TEMP | TEMPORARY } ] STAGE [ IF NOT EXISTS ] <name> [ ENCRYPTION = ( TYPE = '<type>' ) ] [ DIRECTORY = ( ENABLE = { TRUE | FALSE } ) ] [ COMMENT = '<text>' ]",
			"", "create stage if not exists identifier(?) encryption = ( type = 'SNOWFLAKE_SSE' ) comment = 'payloads'"},
		{"Stages", "ALTER STAGE [ IF EXISTS ] <name> { REFRESH | RENAME TO <name> | SET <property> = <value> [ ... ] | UNSET <property> [ , ... ] }", "", "ALTER STAGE st REFRESH"},
		{"Stages", "{ DESC[RIBE] STAGE | DROP STAGE [ IF EXISTS ] } <name>", "", "describe stage identifier(?)"},
		{"Secrets", "CREATE [ OR REPLACE ] SECRET [ IF NOT EXISTS ] <name> TYPE = { GENERIC_STRING SECRET_STRING = '<text>' | PASSWORD USERNAME = '<text>' PASSWORD = '<text>' } [ COMMENT = '<text>' ]",
			"The secret itself is never shown.", "CREATE SECRET api TYPE = GENERIC_STRING SECRET_STRING = 'abc'"},
		{"Secrets", "ALTER SECRET [ IF EXISTS ] <name> { SET <property> = <value> [ ... ] | UNSET COMMENT }", "", "ALTER SECRET api SET SECRET_STRING = 'def'"},
		{"Secrets", "{ DESC[RIBE] SECRET | DROP SECRET [ IF EXISTS ] } <name>", "", "DROP SECRET IF EXISTS api"},
		{"Network rules", "CREATE [ OR REPLACE ] NETWORK RULE <name> MODE = EGRESS TYPE = HOST_PORT VALUE_LIST = ( '<host>[:<port>]' [ , ... ] ) [ COMMENT = '<text>' ]",
			"", "CREATE OR REPLACE NETWORK RULE r MODE = EGRESS TYPE = HOST_PORT VALUE_LIST = ('index.example:443', 'files.example')"},
		{"Network rules", "ALTER NETWORK RULE [ IF EXISTS ] <name> { SET <property> = <value> [ ... ] | UNSET <property> [ , ... ] }", "", "ALTER NETWORK RULE r SET VALUE_LIST = ('index.example')"},
		{"Network rules", "{ DESC[RIBE] NETWORK RULE | DROP NETWORK RULE [ IF EXISTS ] } <name>", "", "DESC NETWORK RULE r"},
	}
}
