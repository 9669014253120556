// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"slices"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// bulk is the number of objects looked at one by one before a Guard reads all grants of its roles at once.
const bulk = 16

// Guard answers for one Who inside one transaction, and remembers what it has read. It is not safe for concurrent use and
// dies with its transaction.
//
// Its yes-or-no questions answer no when the catalog fails; Err and Check then give the reason.
type Guard struct {
	tx      catalog.Tx
	who     Who
	graph   *Graph
	primary map[string]bool // roles that count for creating
	roles   map[string]bool // roles that count for everything else

	grants  map[catalog.ID][]catalog.Grant // by object, of any role; of g.roles only when all is set
	all     bool
	parents map[catalog.Name]bool // database or schema -> may be used
	account *catalog.Object
	err     error
}

// New makes the guard of who for a transaction.
func New(tx catalog.Tx, who Who) *Guard {
	g := &Guard{tx: tx, who: who, grants: map[catalog.ID][]catalog.Grant{}, parents: map[catalog.Name]bool{}}
	g.graph, g.err = LoadGraph(tx)
	if g.err != nil {
		g.graph = &Graph{known: map[string]map[string]bool{}}
		return g
	}
	if who.User == "" {
		g.primary = g.graph.Inherited(who.Role)
		g.roles = g.primary
		return g
	}
	granted := g.graph.OfUser(who.User)
	if !granted[who.Role] { // revoked since the session took it
		who.Role = ""
	}
	g.primary = g.graph.Inherited(who.Role)
	g.roles = g.primary
	if who.Secondary {
		g.roles = granted
	}
	return g
}

// Err gives why the catalog could not be asked, nil when it could.
func (g *Guard) Err() error { return g.err }

// Graph gives the role graph of the transaction.
func (g *Guard) Graph() *Graph { return g.graph }

// Has tells whether the role counts for who.
func (g *Guard) Has(role string) bool { return role != "" && g.roles[role] }

// Check tells whether all requirements are met. Errors are those of the function Check.
func (g *Guard) Check(reqs []catalog.Requirement) error {
	for _, req := range reqs {
		err := g.check(req)
		if g.err != nil {
			return g.err
		}
		if err != nil {
			return err
		}
	}
	return g.err
}

func (g *Guard) check(req catalog.Requirement) error {
	o, err := g.find(req.Kind, req.Name)
	if errs.Is(err, errs.NotFound) {
		if req.Optional {
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	holds := func(p catalog.Privilege) bool { return g.Holds(p, o) }
	switch {
	case g.Holds(catalog.Ownership, o) || slices.ContainsFunc(req.Any, holds):
		return nil
	case !g.Visible(o):
		return Missing(req.Kind, req.Name)
	case len(req.Any) == 0:
		return nil
	}
	return Insufficient(o.Kind, o.Name)
}

// find finds an object of the catalog, naming the database or schema when that is what is missing.
func (g *Guard) find(kind catalog.Kind, name catalog.Name) (*catalog.Object, error) {
	if kind == catalog.KindAccount {
		return g.tx.ObjectByID(catalog.AccountID)
	}
	if name.Database != "" {
		database := catalog.Name{Object: name.Database}
		if !g.known(catalog.KindDatabase, database) {
			return nil, Missing(catalog.KindDatabase, database)
		}
	}
	if name.Schema != "" && !g.known(catalog.KindSchema, name.Parent()) {
		return nil, Missing(catalog.KindSchema, name.Parent())
	}
	o, err := g.tx.Object(kind, name)
	if errs.Is(err, errs.NotFound) || err == nil && g.foreign(o) {
		return nil, Missing(kind, name)
	}
	return o, err
}

// Find gives an object that who may know of.
//
// Errors: NotFound (2003), naming the database or schema when that is what is missing; what the catalog returns.
func (g *Guard) Find(kind catalog.Kind, name catalog.Name) (*catalog.Object, error) {
	o, err := g.find(kind, name)
	switch {
	case g.err != nil:
		return nil, g.err
	case err != nil:
		return nil, err
	case !g.Visible(o):
		return nil, Missing(kind, name)
	}
	return o, nil
}

// Holds tells whether who holds the privilege on the object and can reach it.
func (g *Guard) Holds(p catalog.Privilege, o *catalog.Object) bool {
	roles := g.roles
	if strings.HasPrefix(string(p), "CREATE ") {
		roles = g.primary
	}
	return g.err == nil && !g.foreign(o) && g.reachable(o) && g.holds(roles, p, o)
}

// Visible tells whether who may know of the object: any privilege on it, the right to manage grants, or being it.
func (g *Guard) Visible(o *catalog.Object) bool {
	if g.err != nil || g.foreign(o) {
		return false
	}
	switch {
	case o.Kind == catalog.KindAccount:
		return true
	case o.Kind == catalog.KindUser && o.Name.Object == g.who.User && g.who.User != "":
		return true
	case o.Kind == catalog.KindRole && (g.roles[o.Name.Object] || builtIn(o)):
		return true
	case g.ManagesGrants():
		return true
	}
	return g.reachable(o) && g.any(o)
}

// any tells whether who holds any privilege on the object.
func (g *Guard) any(o *catalog.Object) bool {
	if g.owns(g.roles, o) || openSchema(o) {
		return true
	}
	return slices.ContainsFunc(g.on(o.ID), func(grant catalog.Grant) bool { return g.roles[grant.Role] })
}

// CanGrant tells whether who may give the privilege on the object to others: as owner, by the grant option, or by MANAGE
// GRANTS on the account.
func (g *Guard) CanGrant(p catalog.Privilege, o *catalog.Object) bool {
	if !g.Visible(o) || p == catalog.Ownership && o.Owner == "" {
		return false
	}
	if g.owns(g.roles, o) || g.ManagesGrants() {
		return true
	}
	return p != catalog.Ownership && slices.ContainsFunc(g.on(o.ID), func(grant catalog.Grant) bool {
		return grant.GrantOption && grant.Privilege == p && g.roles[grant.Role]
	})
}

// ManagesGrants tells whether who holds MANAGE GRANTS.
func (g *Guard) ManagesGrants() bool { return g.OnAccount(catalog.ManageGrants) }

// OnAccount tells whether who holds the privilege on the account.
func (g *Guard) OnAccount(p catalog.Privilege) bool {
	if g.account == nil && g.err == nil {
		g.account, g.err = g.tx.ObjectByID(catalog.AccountID)
	}
	return g.err == nil && g.Holds(p, g.account)
}

// Preload reads all grants of the roles at once, for questions about very many objects.
func (g *Guard) Preload() {
	if g.all || g.err != nil {
		return
	}
	g.all = true
	clear(g.grants)
	for role := range g.roles {
		for grant, err := range g.tx.GrantsTo(role) {
			if err != nil {
				g.err = err
				return
			}
			g.grants[grant.Object] = append(g.grants[grant.Object], grant)
		}
	}
}

func (g *Guard) holds(roles map[string]bool, p catalog.Privilege, o *catalog.Object) bool {
	if g.owns(roles, o) {
		return true
	}
	if p == catalog.Usage && openSchema(o) {
		return true
	}
	return p != catalog.Ownership && slices.ContainsFunc(g.on(o.ID), func(grant catalog.Grant) bool {
		return grant.Privilege == p && roles[grant.Role]
	})
}

// owns tells whether one of the roles owns the object; the account belongs to ACCOUNTADMIN.
func (g *Guard) owns(roles map[string]bool, o *catalog.Object) bool {
	if o.Kind == catalog.KindAccount {
		return roles[catalog.RoleAccountAdmin]
	}
	return o.Owner != "" && roles[o.Owner]
}

// reachable tells whether who may use the database and schema that hold the object.
func (g *Guard) reachable(o *catalog.Object) bool {
	if o.Name.Database != "" && !g.usable(catalog.KindDatabase, catalog.Name{Object: o.Name.Database}) {
		return false
	}
	return o.Name.Schema == "" || g.usable(catalog.KindSchema, o.Name.Parent())
}

// known tells whether who may know of objects in the database or schema.
func (g *Guard) known(kind catalog.Kind, name catalog.Name) bool {
	if g.usable(kind, name) {
		return true
	}
	if !g.ManagesGrants() {
		return false
	}
	_, err := g.tx.Object(kind, name)
	return err == nil
}

// usable tells whether who may use the database or schema.
func (g *Guard) usable(kind catalog.Kind, name catalog.Name) bool {
	may, known := g.parents[name]
	if known {
		return may
	}
	o, err := g.tx.Object(kind, name)
	switch {
	case errs.Is(err, errs.NotFound):
	case err != nil:
		g.err = err
	default:
		may = g.holds(g.roles, catalog.Usage, o)
	}
	g.parents[name] = may
	return may
}

// on gives the grants on an object.
func (g *Guard) on(id catalog.ID) []catalog.Grant {
	if grants, known := g.grants[id]; known || g.all {
		return grants
	}
	if len(g.grants) >= bulk {
		g.Preload()
		return g.grants[id]
	}
	var grants []catalog.Grant
	for grant, err := range g.tx.GrantsOn(id) {
		if err != nil {
			g.err = err
			return nil
		}
		grants = append(grants, grant)
	}
	g.grants[id] = grants
	return grants
}

// foreign tells whether the object is a temporary one of another session.
func (g *Guard) foreign(o *catalog.Object) bool { return o.Session != 0 && o.Session != g.who.Session }

func openSchema(o *catalog.Object) bool {
	return o.Kind == catalog.KindSchema && o.Name.Object == InformationSchema
}

func builtIn(o *catalog.Object) bool {
	spec, ok := o.Spec.(*catalog.RoleSpec)
	return ok && spec.BuiltIn
}

// Primary gives the role that counts for creating, and that owns what is created: PUBLIC when the one asked for is not granted.
func (g *Guard) Primary() string {
	if g.who.Role == "" || !g.primary[g.who.Role] {
		return catalog.RolePublic
	}
	return g.who.Role
}
