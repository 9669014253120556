// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"iter"
	"strings"
	"time"
)

// Kind is the type of a securable object, written as in GRANT ... ON <kind>.
type Kind string

// The kinds of objects.
const (
	KindAccount            Kind = "ACCOUNT"
	KindRole               Kind = "ROLE"
	KindUser               Kind = "USER"
	KindDatabase           Kind = "DATABASE"
	KindSchema             Kind = "SCHEMA"
	KindStage              Kind = "STAGE"
	KindImageRepository    Kind = "IMAGE REPOSITORY"
	KindService            Kind = "SERVICE" // job services too
	KindSecret             Kind = "SECRET"
	KindNetworkRule        Kind = "NETWORK RULE"
	KindComputePool        Kind = "COMPUTE POOL"
	KindWarehouse          Kind = "WAREHOUSE"
	KindIntegration        Kind = "INTEGRATION" // external access integrations
	KindRuntimeEnvironment Kind = "CUSTOM RUNTIME ENVIRONMENT"
)

// Scope says where objects of a kind live.
type Scope int

// The scopes.
const (
	InAccount  Scope = iota // one name part
	InDatabase              // schemas: two parts
	InSchema                // three parts
)

// Scope gives where objects of the kind live.
func (k Kind) Scope() Scope {
	switch k {
	case KindSchema:
		return InDatabase
	case KindStage, KindImageRepository, KindService, KindSecret, KindNetworkRule:
		return InSchema
	default:
		return InAccount
	}
}

// Title is the kind as messages write it: "Custom Runtime Environment", "Image Repository", "Stage".
func (k Kind) Title() string {
	words := strings.Fields(strings.ToLower(string(k)))
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, " ")
}

// Name is the canonical name of an object: parts as stored, upper case unless they were quoted. Account-level kinds
// (roles, pools, environments, databases) use Object only; a schema is {Database, "", Object}; all others use all three.
type Name struct{ Database, Schema, Object string }

// String gives the dotted name, parts quoted where they must be.
func (n Name) String() string {
	var parts []string
	for _, p := range []string{n.Database, n.Schema, n.Object} {
		if p != "" {
			parts = append(parts, Quote(p))
		}
	}
	return strings.Join(parts, ".")
}

// Parent is the name of the schema or database that holds the object, the zero Name for an account-level one.
func (n Name) Parent() Name {
	if n.Schema != "" {
		return Name{Database: n.Database, Object: n.Schema}
	}
	return Name{Object: n.Database}
}

// Quote gives one name part as it must be written in SQL: bare when it is a plain upper-case identifier, else in double quotes.
func Quote(part string) string {
	plain := part != ""
	for i, r := range part {
		ok := r == '_' || r >= 'A' && r <= 'Z' || i > 0 && (r >= '0' && r <= '9' || r == '$')
		plain = plain && ok
	}
	if plain {
		return part
	}
	return `"` + strings.ReplaceAll(part, `"`, `""`) + `"`
}

// Object is one securable thing. SHOW, DESCRIBE, DROP, GRANT, ownership and comments are written once over all kinds; what
// differs is the Spec.
type Object struct {
	ID      ID
	Kind    Kind
	Name    Name
	Owner   string // role name; "" for the account and the built-in roles
	Comment string // "" when never set
	Session int64  // session id of a temporary object, else 0: it is visible to that session only and ends with it
	Created time.Time
	Altered time.Time
	Spec    Spec
}

// Spec is what one kind of object has beyond the common fields. Specs are plain structs, stored as JSON.
type Spec interface{ Kind() Kind }

// Objects keeps objects.
type Objects interface {
	// Object finds an object by kind and name.
	//
	// Errors: NotFound.
	Object(kind Kind, name Name) (*Object, error)
	// ObjectByID finds an object by its id.
	//
	// Errors: NotFound.
	ObjectByID(id ID) (*Object, error)
	// Unchanged tells whether two objects are as they were read: neither was altered or dropped since. What is inside a database or
	// schema that got another name is unchanged.
	Unchanged(a, b *Object) (bool, error)
	// Objects lists the objects of a kind inside a database or schema, given by its own name as Name.Parent gives it
	// (the zero Name: everywhere), ordered by database, schema and name in byte order.
	Objects(kind Kind, in Name) iter.Seq2[*Object, error]
	// CreateObject adds the object and fills ID (when empty), Created and Altered. Names are unique per kind;
	// a temporary object takes its name like any other.
	//
	// Errors: Exists; NotFound when its schema or database is missing; Invalid for a name with other parts than the kind has.
	CreateObject(o *Object) error
	// AlterObject stores name, owner, comment and spec of an object that exists and sets Altered, to the time and never to what it was. A new name reaches what is
	// inside a database or schema; that of a role or user also its grants, tokens, open sessions, objects, their history and jobs.
	//
	// Errors: NotFound, also when the new name's schema or database is missing; Exists when the new name is taken.
	AlterObject(o *Object) error
	// DropObject removes the object, all objects inside it (for a database or schema), their grants, stage files and images.
	// With a role or user go the grants and tokens that it held; objects keep the name of a dropped owner.
	//
	// Errors: NotFound.
	DropObject(id ID) error
}
