// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"slices"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/ast"
)

// grant runs GRANT and REVOKE of privileges.
func (w *work) grant(ctx context.Context, s *ast.Grant) (*Result, error) {
	var refused []string
	err := w.update(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		refused = nil
		if _, err := tx.Object(catalog.KindRole, s.Role.Resolved); err != nil {
			return missingIf(err, catalog.KindRole, s.Role.Resolved)
		}
		targets, err := w.grantTargets(tx, g, s)
		if err != nil {
			return err
		}
		for _, o := range targets {
			kept, err := w.grantOn(tx, g, s, o)
			if err != nil {
				return err
			}
			refused = append(refused, kept...)
		}
		return nil
	})
	if err == nil && len(refused) > 0 {
		slices.Sort(refused)
		err = errs.New(errs.Denied, "Grant partially executed: privileges [%s] not granted.", strings.Join(slices.Compact(refused), ", ")).
			Numbered(3011, "42501")
	}
	return &Result{Rowset: status(succeeded)}, err
}

// grantTargets finds the objects that a GRANT is about.
func (w *work) grantTargets(tx catalog.Tx, g *rbac.Guard, s *ast.Grant) ([]*catalog.Object, error) {
	switch {
	case s.AllIn != nil:
		if _, err := g.Find(s.AllIn.Kind, s.AllIn.Resolved); err != nil {
			return nil, err
		}
		all, err := collect(tx.Objects(s.Kind, s.AllIn.Resolved))
		return slices.DeleteFunc(all, func(o *catalog.Object) bool { return !g.Visible(o) }), err
	case s.On == nil:
		o, err := tx.ObjectByID(catalog.AccountID)
		return []*catalog.Object{o}, err
	}
	o, err := g.Find(s.Kind, s.On.Resolved)
	return []*catalog.Object{o}, err
}

// grantOn grants or revokes on one object. Of ALL it gives the privileges that it had to leave out.
func (w *work) grantOn(tx catalog.Tx, g *rbac.Guard, s *ast.Grant, o *catalog.Object) (refused []string, err error) {
	privileges := s.Privileges
	if s.All {
		privileges = catalog.Privileges(o.Kind)
	}
	done := 0
	for _, p := range privileges {
		if !catalog.Grantable(o.Kind, p) {
			return nil, invalidPrivilege(p, o.Kind)
		}
		if !g.CanGrant(p, o) {
			if s.All {
				refused = append(refused, string(p))
				continue
			}
			return nil, w.refuseGrant(o, p)
		}
		if err := w.grantOne(tx, g, s, o, p); err != nil {
			return nil, err
		}
		done++
	}
	if done == 0 && len(privileges) > 0 {
		return nil, rbac.Insufficient(o.Kind, o.Name)
	}
	return refused, nil
}

func (w *work) refuseGrant(o *catalog.Object, p catalog.Privilege) error {
	if p == catalog.Ownership && o.Owner == "" {
		return errs.New(errs.Refused, "%s '%s' belongs to Firn: its ownership cannot be granted", o.Kind.Title(), o.Name)
	}
	return rbac.Insufficient(o.Kind, o.Name)
}

func invalidPrivilege(p catalog.Privilege, kind catalog.Kind) error {
	allowed := []string{string(catalog.Ownership)}
	for _, known := range catalog.Privileges(kind) {
		allowed = append(allowed, string(known))
	}
	return errs.New(errs.Invalid, "SQL compilation error:\nInvalid privilege '%s' for object type '%s'; allowed: %s", p, kind, strings.Join(allowed, ", ")).
		Numbered(3008, "42000")
}

func (w *work) grantOne(tx catalog.Tx, g *rbac.Guard, s *ast.Grant, o *catalog.Object, p catalog.Privilege) error {
	role := s.Role.Resolved.Object
	detail := string(p) + " to role " + role
	switch {
	case p == catalog.Ownership && s.Revoke:
		return errs.New(errs.Unsupported, "SQL compilation error:\nOWNERSHIP is not revoked: grant it to another role").Numbered(2, "0A000")
	case p == catalog.Ownership:
		if err := w.transfer(tx, s, o, role); err != nil {
			return err
		}
	case s.Revoke:
		detail = string(p) + " from role " + role
		if err := revoke(tx, o.ID, p, role, s.GrantOption); err != nil {
			return err
		}
	default:
		if err := w.give(tx, g, o, catalog.Grant{Object: o.ID, Privilege: p, Role: role, GrantOption: s.GrantOption}); err != nil {
			return err
		}
	}
	verb := "grant"
	if s.Revoke {
		verb = "revoke"
	}
	return w.audit(tx, verb, o, detail)
}

// give adds a grant; granting again without the option does not take the option away.
func (w *work) give(tx catalog.Tx, g *rbac.Guard, o *catalog.Object, grant catalog.Grant) error {
	grant.GrantedBy, grant.Created = g.Primary(), tx.Now()
	if o.Owner != "" && g.Has(o.Owner) {
		grant.GrantedBy = o.Owner
	}
	for have, err := range tx.GrantsOn(o.ID) {
		if err != nil {
			return err
		}
		if have.Privilege == grant.Privilege && have.Role == grant.Role {
			if have.GrantOption || !grant.GrantOption {
				return nil
			}
			grant.Created = have.Created
		}
	}
	return tx.PutGrant(grant)
}

// revoke takes a privilege, or only its grant option, from a role, and with it what the role gave on by that option: nobody keeps
// a right whose source is gone.
func revoke(tx catalog.Tx, object catalog.ID, p catalog.Privilege, role string, optionOnly bool) error {
	grants, err := collect(tx.GrantsOn(object))
	if err != nil {
		return err
	}
	grants = slices.DeleteFunc(grants, func(g catalog.Grant) bool { return g.Privilege != p })
	at := slices.IndexFunc(grants, func(g catalog.Grant) bool { return g.Role == role })
	if at < 0 {
		return nil
	}
	own := grants[at]
	if err := tx.DeleteGrant(object, p, role); err != nil {
		return err
	}
	if optionOnly {
		kept := own
		kept.GrantOption = false
		if err := tx.PutGrant(kept); err != nil {
			return err
		}
	}
	if !own.GrantOption {
		return nil
	}
	for _, g := range grants {
		if g.GrantedBy == role && g.Role != role {
			if err := revoke(tx, object, p, g.Role, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// transfer makes another role the owner.
func (w *work) transfer(tx catalog.Tx, s *ast.Grant, o *catalog.Object, role string) error {
	grants, err := collect(tx.GrantsOn(o.ID))
	if err != nil {
		return err
	}
	if len(grants) > 0 && s.Current == "" {
		return errs.New(errs.Refused, "SQL execution error:\nDependent grant of privilege '%s' on securable '%s' to role '%s' exists. It must be revoked first, "+
			"or be kept or removed by GRANT OWNERSHIP ... COPY | REVOKE CURRENT GRANTS.", grants[0].Privilege, o.Name, grants[0].Role).Numbered(3061, "42501")
	}
	for _, g := range grants {
		if err := tx.DeleteGrant(g.Object, g.Privilege, g.Role); err != nil {
			return err
		}
		if g.GrantedBy = role; s.Current == "COPY" {
			if err := tx.PutGrant(g); err != nil {
				return err
			}
		}
	}
	o.Owner = role
	return tx.AlterObject(o)
}

// grantRole runs GRANT ROLE and REVOKE ROLE.
func (w *work) grantRole(ctx context.Context, s *ast.GrantRole) (*Result, error) {
	role := s.Role.Resolved.Object
	err := w.update(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		o, err := g.Find(catalog.KindRole, s.Role.Resolved)
		if err != nil {
			return err
		}
		if !g.Holds(catalog.Ownership, o) && !g.ManagesGrants() || role == catalog.RoleAccountAdmin && !g.Has(role) {
			return rbac.Insufficient(catalog.KindRole, o.Name)
		}
		edge := catalog.RoleGrant{Role: role, GrantedBy: g.Primary(), Created: tx.Now()}
		grantee := s.ToRole
		if s.ToUser != nil {
			grantee = s.ToUser
			edge.ToUser = grantee.Resolved.Object
		} else {
			edge.ToRole = grantee.Resolved.Object
		}
		if _, err := tx.Object(grantee.Kind, grantee.Resolved); err != nil {
			return missingIf(err, grantee.Kind, grantee.Resolved)
		}
		if s.Revoke {
			return w.revokeRole(tx, o, edge)
		}
		if edge.ToRole != "" && g.Graph().Inherited(role)[edge.ToRole] && edge.ToRole != catalog.RolePublic || edge.ToRole == role {
			return errs.New(errs.Refused, "SQL compilation error:\nRole '%s' cannot be granted to role '%s': that would close a circle.", role, edge.ToRole).
				Numbered(3019, "42501")
		}
		if err := tx.PutRoleGrant(edge); err != nil {
			return err
		}
		return w.audit(tx, "grant", o, "to "+strings.ToLower(string(grantee.Kind))+" "+grantee.Resolved.String())
	})
	return &Result{Rowset: status(succeeded)}, err
}

// revokeRole removes an edge of the role graph; the edges between the built-in roles stay, and ADMIN cannot lose the account.
func (w *work) revokeRole(tx catalog.Tx, o *catalog.Object, edge catalog.RoleGrant) error {
	if edge.Role == catalog.RoleAccountAdmin && edge.ToUser != "" {
		admins := 0
		for e, err := range tx.RoleGrants() {
			if err != nil {
				return err
			}
			if e.Role == edge.Role && e.ToUser != "" {
				admins++
			}
		}
		if admins < 2 {
			return errs.New(errs.Refused, "user '%s' is the last one with role ACCOUNTADMIN: grant it to another user first", edge.ToUser)
		}
	}
	for _, builtIn := range builtInEdges() {
		if builtIn.Role == edge.Role && builtIn.ToRole == edge.ToRole && edge.ToRole != "" {
			return errs.New(errs.Refused, "role %s belongs to role %s in every account", edge.Role, edge.ToRole)
		}
	}
	if err := tx.DeleteRoleGrant(edge.Role, edge.ToRole, edge.ToUser); err != nil {
		return err
	}
	return w.audit(tx, "revoke", o, "from "+edge.ToRole+edge.ToUser)
}

// missingIf gives NotFound of the catalog in the words of clients.
func missingIf(err error, kind catalog.Kind, name catalog.Name) error {
	if errs.Is(err, errs.NotFound) {
		return rbac.Missing(kind, name)
	}
	return err
}
