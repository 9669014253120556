// SPDX-License-Identifier: Apache-2.0

package ast

// Use is USE ROLE | DATABASE | SCHEMA | WAREHOUSE <name> and the bare USE <name>.
type Use struct {
	What string // "ROLE", "DATABASE", "SCHEMA", "WAREHOUSE", or "" for a bare name: a database, or with two parts a schema
	Name *Name
}

// UseSecondaryRoles is USE SECONDARY ROLES ALL | NONE | <role>.
type UseSecondaryRoles struct {
	Mode string // "ALL", "NONE" or "" with Role
	Role *Name
}

// AlterSession is ALTER SESSION SET | UNSET.
type AlterSession struct {
	Set   []Property
	Unset []string
}

// SetVariables is SET v = expr and SET (a, b) = (expr, expr).
type SetVariables struct {
	Variables []Ident
	Values    []Expr
}

// UnsetVariables is UNSET v and UNSET (a, b).
type UnsetVariables struct{ Variables []Ident }

// Transaction is BEGIN, COMMIT or ROLLBACK. Firn's statements commit by themselves; these are accepted for clients that send them.
type Transaction struct{ Verb string } // "BEGIN", "COMMIT" or "ROLLBACK"
