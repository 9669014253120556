// SPDX-License-Identifier: Apache-2.0

// Package rbac answers one question: may these roles do this to that object? It knows the role graph, ownership, and which
// privilege implies which; it knows no statement and writes nothing.
//
// The executor asks it before a statement runs and again inside every transaction that writes; the registry asks it for each
// pull and push. Rights flow up the hierarchy: a role has what the roles granted to it have, everybody has what PUBLIC has.
// OWNERSHIP of an object is every privilege on it. An object inside a schema is reached only with USAGE on the schema and the
// database. What a role may not know of looks exactly like what does not exist.
package rbac

import (
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// InformationSchema is the schema that every database has and nobody owns: who may use the database may use it.
const InformationSchema = "INFORMATION_SCHEMA"

// Who is on whose behalf something happens.
type Who struct {
	User      string // "" when a role acts by itself, as in a job's container; else a role that is not granted to it counts for nothing
	Role      string // primary role; "" has what PUBLIC has
	Secondary bool   // all roles of the user count too, except for creating objects
	Session   int64  // sees the temporary objects of this session
}

// OfSession gives who acts in a session. In a session that a job's container opened it is the role that owns the job.
func OfSession(s *catalog.Session) Who {
	if s.JobID != "" {
		return Who{Role: s.Role, Session: s.ID}
	}
	return Who{User: s.User, Role: s.Role, Secondary: s.SecondaryRoles == "ALL", Session: s.ID}
}

// Check tells whether who meets all requirements.
//
// Errors: NotFound (2003) for an object that is missing or that who may not know of, the same in both cases, also for an
// Optional one that exists; Denied (3001) for one that who may know of but not use in this way; what the catalog returns.
func Check(tx catalog.Tx, who Who, reqs []catalog.Requirement) error {
	return New(tx, who).Check(reqs)
}

// Allowed tells whether who holds the privilege on the object, and may reach it through its database and schema. A failing
// catalog allows nothing.
func Allowed(tx catalog.Tx, who Who, p catalog.Privilege, o *catalog.Object) bool {
	return New(tx, who).Holds(p, o)
}

// Holds is Allowed.
func Holds(tx catalog.Tx, who Who, p catalog.Privilege, o *catalog.Object) bool {
	return Allowed(tx, who, p, o)
}

// Visible tells whether who may know of the object.
func Visible(tx catalog.Tx, who Who, o *catalog.Object) bool { return New(tx, who).Visible(o) }

// CanGrant tells whether who may give the privilege on the object to others.
func CanGrant(tx catalog.Tx, who Who, p catalog.Privilege, o *catalog.Object) bool {
	return New(tx, who).CanGrant(p, o)
}

// Missing is the error for an object that does not exist, or that the role may not know of.
func Missing(kind catalog.Kind, name catalog.Name) error {
	return errs.New(errs.NotFound, "SQL compilation error:\n%s '%s' does not exist or not authorized.", kind.Title(), name).
		Numbered(2003, "02000")
}

// Insufficient is the error for an object that the role may know of but not use in the way asked for.
func Insufficient(kind catalog.Kind, name catalog.Name) error {
	shown := name.Object
	if kind == catalog.KindAccount {
		return errs.New(errs.Denied, "SQL access control error:\nInsufficient privileges to operate on account '%s'.", shown).
			Numbered(3001, "42501")
	}
	return errs.New(errs.Denied, "SQL access control error:\nInsufficient privileges to operate on %s '%s'.",
		strings.ToLower(string(kind)), shown).Numbered(3001, "42501")
}
