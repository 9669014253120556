// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"iter"
	"time"
)

// Session is one login's state, as SQL sees it. Several connections may share it.
type Session struct {
	ID             int64 // positive, below 2^53, as clients keep it in a double
	User           string
	Role           string // primary role
	SecondaryRoles string // "ALL" or "NONE"
	Bound          string // the one role that the session may ever have, as the login was with a token for it; "" for any of the user
	Database       string // canonical, "" when none is set
	Schema         string
	Warehouse      string
	Parameters     map[string]string // upper-case name -> value as text
	Variables      map[string]string // SET name = ...: upper-case name -> JSON {"type","value"}
	Client         string            // "PythonConnector 4.7.1"
	LastStatement  string            // id of the last statement, for LAST_QUERY_ID()
	JobID          ID                // the job whose container opened the session, else ""
	Created        time.Time
	LastUsed       time.Time
	Expires        time.Time // end of the master token's life
	Closed         time.Time // zero while open
}

// TokenUse says what a token opens.
type TokenUse string

// The uses.
const (
	TokenSession  TokenUse = "session"  // statements of one session
	TokenMaster   TokenUse = "master"   // renewing the session token
	TokenJob      TokenUse = "job"      // login from inside a job's container, as its owner role
	TokenRegistry TokenUse = "registry" // pull and push
	TokenProgram  TokenUse = "program"  // programmatic access token of a user
	TokenTransfer TokenUse = "transfer" // files below one stage path, for one PUT or GET
)

// Token is a proof of identity that Firn handed out. Only its SHA-256 is kept.
type Token struct {
	Hash    string // lower-case hex of SHA-256 over the token text
	Use     TokenUse
	User    string // "" for a job token that acts for a role only
	Role    string // role restriction, "" for none
	Session int64  // for TokenSession, TokenMaster and those issued by a session; else 0
	JobID   ID     // for TokenJob
	Name    string // of a programmatic token, or what the login rests on of a session, master or registry token (auth.Identity.Proof)
	Created time.Time
	Expires time.Time

	// Of a programmatic token only.
	Comment   string
	CreatedBy string // user
	Disabled  bool
	RotatedTo string // name of the token that took its place, which it outlives for a while; else ""
}

// Sessions keeps sessions and tokens.
type Sessions interface {
	// PutSession adds the session (ID 0: a new id is chosen and set) or stores all its fields. Created is filled when zero.
	PutSession(s *Session) error
	// Session finds an open or closed session.
	//
	// Errors: NotFound.
	Session(id int64) (*Session, error)
	// PutToken adds a token. Created is filled when zero; with a zero Expires it does not expire.
	//
	// Errors: Exists.
	PutToken(t Token) error
	// Token finds a token by its hash, expired ones too.
	//
	// Errors: NotFound.
	Token(hash string) (Token, error)
	// DeleteTokens removes every token for which all non-zero arguments match, and tells how many.
	//
	// Errors: Invalid when all arguments are zero.
	DeleteTokens(session int64, job ID, user string) (int, error)
	// ExpireSessions removes tokens that expired before the time, but for programmatic ones, closes open sessions whose Expires is before it, drops the
	// temporary objects of all closed sessions, and gives the ids of the sessions it closed in order. Zero never expires.
	ExpireSessions(before time.Time) ([]int64, error)
}

// ProgramTokens keeps the programmatic access tokens of users: tokens of TokenProgram, with a name that is theirs among those of
// the user. PutToken adds them.
type ProgramTokens interface {
	// ProgramTokens lists the programmatic tokens of a user, expired ones too, ordered by name in byte order.
	ProgramTokens(user string) iter.Seq2[Token, error]
	// AlterToken stores Name, Role, Expires and what only programmatic tokens have, for the token of the hash.
	//
	// Errors: NotFound.
	AlterToken(t Token) error
	// DeleteToken removes the token of the hash.
	//
	// Errors: NotFound.
	DeleteToken(hash string) error
}
