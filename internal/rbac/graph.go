// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"slices"

	"firn.dev/firn/internal/catalog"
)

// Graph is the role graph as one transaction sees it. It is not safe for concurrent use.
type Graph struct {
	Edges []catalog.RoleGrant // all of them, as the catalog orders them
	roles map[string][]string // role -> roles granted to it
	users map[string][]string // user -> roles granted to it
	known map[string]map[string]bool
}

// LoadGraph reads the role graph.
//
// Errors: what the catalog returns.
func LoadGraph(tx catalog.Grants) (*Graph, error) {
	g := &Graph{roles: map[string][]string{}, users: map[string][]string{}, known: map[string]map[string]bool{}}
	for edge, err := range tx.RoleGrants() {
		if err != nil {
			return nil, err
		}
		g.Edges = append(g.Edges, edge)
		if edge.ToUser != "" {
			g.users[edge.ToUser] = append(g.users[edge.ToUser], edge.Role)
		} else {
			g.roles[edge.ToRole] = append(g.roles[edge.ToRole], edge.Role)
		}
	}
	return g, nil
}

// Inherited gives the roles whose privileges a role has: itself, what is granted to it, directly or not, and PUBLIC. Callers
// do not change the map.
func (g *Graph) Inherited(role string) map[string]bool {
	if have, ok := g.known[role]; ok {
		return have
	}
	have := map[string]bool{}
	g.gather(have, role, catalog.RolePublic)
	delete(have, "")
	g.known[role] = have
	return have
}

// OfUser gives the roles that a user may use, those that its roles inherit among them.
func (g *Graph) OfUser(user string) map[string]bool {
	have := map[string]bool{}
	g.gather(have, append(slices.Clone(g.users[user]), catalog.RolePublic)...)
	return have
}

// gather adds roles and what they inherit; a cycle ends where it began.
func (g *Graph) gather(have map[string]bool, roles ...string) {
	for _, role := range roles {
		if !have[role] {
			have[role] = true
			g.gather(have, g.roles[role]...)
		}
	}
}

// Roles gives the roles whose privileges a role has, itself and PUBLIC among them.
//
// Errors: what the catalog returns.
func Roles(tx catalog.Grants, role string) (map[string]bool, error) {
	g, err := LoadGraph(tx)
	if err != nil {
		return nil, err
	}
	return g.Inherited(role), nil
}

// UserHolds tells whether a user may use a role: it is granted to the user, directly or through another role, or PUBLIC.
//
// Errors: what the catalog returns.
func UserHolds(tx catalog.Grants, user, role string) (bool, error) {
	g, err := LoadGraph(tx)
	if err != nil {
		return false, err
	}
	return g.OfUser(user)[role], nil
}
