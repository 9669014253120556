// SPDX-License-Identifier: Apache-2.0

package ast

import "firn.dev/firn/internal/catalog"

// Create is CREATE <kind> for every kind of object. Which properties a kind has is the executor's knowledge.
type Create struct {
	Kind        catalog.Kind
	Name        *Name
	OrReplace   bool
	IfNotExists bool
	Temporary   bool
	Properties  []Property     // in the order written; COMMENT too
	Service     *ServiceSource // of CREATE SERVICE, else nil
}

// ServiceSource says what a service runs and where: the fixed clauses of CREATE SERVICE and ALTER SERVICE ... FROM.
type ServiceSource struct {
	Pool  *Name     // IN COMPUTE POOL; nil in ALTER
	Spec  string    // text of FROM SPECIFICATION $$ ... $$; "" with File
	Stage *StageRef // FROM @stage SPECIFICATION_FILE = '...'
	File  string    // SPECIFICATION_FILE
}

// Alter is ALTER <kind> <name> with one of: SET properties, UNSET names, RENAME TO, an Action of bare words, or a new Service
// source.
type Alter struct {
	Kind     catalog.Kind
	Name     *Name // nil for ALTER ACCOUNT, and for ALTER USER without a name: the session's user
	IfExists bool
	Set      []Property // of an Action too: its options
	Unset    []string   // property names, upper case
	RenameTo *Name
	// Action is "SUSPEND", "RESUME", "RESUME IF SUSPENDED", "STOP ALL", "REFRESH", "ABORT ALL QUERIES", or "ADD", "MODIFY",
	// "REMOVE" or "ROTATE PROGRAMMATIC ACCESS TOKEN"; "" else.
	Action  string
	Token   Ident          // the programmatic access token an Action speaks of
	Service *ServiceSource // of ALTER SERVICE ... FROM, else nil
}

// Drop is DROP <kind>.
type Drop struct {
	Kind     catalog.Kind
	Name     *Name
	IfExists bool
	Option   string // "CASCADE", "RESTRICT", "FORCE" or ""
}

// Describe is DESCRIBE <kind> <name>. DESCRIBE <name> has KindTable.
type Describe struct {
	Kind catalog.Kind
	Name *Name
}

// Show is SHOW <what>. What is the plural in upper case with single blanks, synonyms resolved: "CUSTOM RUNTIME ENVIRONMENTS",
// "COMPUTE POOLS", "SERVICE INSTANCES", "GRANTS", "PARAMETERS", "JOB SERVICES", ... The executor knows the columns of each.
type Show struct {
	What       string
	Terse      bool
	History    bool
	Like       Expr // literal or bind; nil when not given
	StartsWith Expr
	Limit      Expr
	LimitFrom  Expr
	In         *Scope
	Exclude    string // "JOBS" of SHOW SERVICES EXCLUDE JOBS, else ""

	// Of SHOW GRANTS only: ON <kind> <name> (In), TO ROLE, TO USER, OF ROLE.
	GrantsTo *Name // its Kind is ROLE or USER
	GrantsOf *Name // a role
}

// Scope is the IN clause of SHOW: IN ACCOUNT, IN <kind> [<name>], IN SESSION, IN [<kind>] <name>.
type Scope struct {
	// Kind is KindAccount, KindDatabase, KindSchema, KindComputePool, KindService, KindImageRepository, ...; "" when only a name
	// was written. Name.Kind then is what such a name means after this SHOW.
	Kind    catalog.Kind
	Session bool  // IN SESSION
	Name    *Name // nil for the current one, ACCOUNT and SESSION
}

// Grant is GRANT or REVOKE of privileges.
type Grant struct {
	Revoke      bool
	Privileges  []catalog.Privilege // empty with All
	All         bool                // ALL [PRIVILEGES]
	On          *Name               // nil for ACCOUNT and for AllIn
	Kind        catalog.Kind        // of the object, or of those in AllIn
	AllIn       *Name               // ON ALL <kinds> IN {SCHEMA | DATABASE} name
	Role        *Name               // grantee
	GrantOption bool                // WITH GRANT OPTION; with Revoke: GRANT OPTION FOR
	Option      string              // with Revoke: "CASCADE", "RESTRICT" or ""
	Current     string              // "COPY" or "REVOKE" CURRENT GRANTS of GRANT OWNERSHIP, else ""
}

// GrantRole is GRANT ROLE or REVOKE ROLE.
type GrantRole struct {
	Revoke bool
	Role   *Name
	ToRole *Name // exactly one of ToRole and ToUser is set
	ToUser *Name
}

// Call is CALL of a system function, or of a method of a service: CALL SYSTEM$F(a, b), CALL db.s.job!SPCS_CANCEL_JOB().
type Call struct {
	Function string // upper case, dotted when qualified
	Object   *Name  // of a method, else nil
	Args     []Argument
}

// Argument is an argument of a call, by place or by name.
type Argument struct {
	Name  string // upper case; "" by place
	Value Expr
}

// ExecuteJobService is EXECUTE JOB SERVICE.
type ExecuteJobService struct {
	Pool       *Name
	Spec       string     // text of FROM SPECIFICATION $$ ... $$; "" with File
	Stage      *StageRef  // FROM @stage SPECIFICATION_FILE = '...'
	File       string     // SPECIFICATION_FILE
	Properties []Property // ASYNC, REPLICAS, QUERY_WAREHOUSE, EXTERNAL_ACCESS_INTEGRATIONS, COMMENT, ... in the order written
	Job        *Name      // from NAME = ...; when nil the executor sets one before it binds
}

// ExecuteImmediate is EXECUTE IMMEDIATE <text> [USING (...)], or EXECUTE IMMEDIATE FROM @stage/file [USING (name => value, ...)].
type ExecuteImmediate struct {
	Text      Expr       // nil with Stage
	Using     []Expr     // of Text
	Stage     *StageRef  // the file
	Arguments []Argument // of Stage: values for the file's template
}

// Pipe is a chain of statements joined by ->>, where $1 in FROM is the result of the one before.
type Pipe struct{ Steps []Statement }
