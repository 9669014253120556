// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/session"
	"firn.dev/firn/internal/sql/ast"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

// use runs USE ROLE, DATABASE, SCHEMA, WAREHOUSE and the bare USE.
func (w *work) use(ctx context.Context, s *ast.Use) (*Result, error) {
	err := w.update(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		name := s.Name.Resolved
		switch s.Name.Kind {
		case catalog.KindRole:
			return w.useRole(tx, g, name)
		case catalog.KindWarehouse:
			return w.usePlace(tx, g, catalog.KindWarehouse, name, func(s *catalog.Session) { s.Warehouse = name.Object })
		case catalog.KindSchema:
			return w.usePlace(tx, g, catalog.KindSchema, name, func(s *catalog.Session) { s.Database, s.Schema = name.Database, name.Object })
		}
		return w.useDatabase(tx, g, name)
	})
	return &Result{Rowset: status(succeeded)}, err
}

// useRole takes a role that is granted to the user. In a container's session there is one role only.
func (w *work) useRole(tx catalog.Tx, g *rbac.Guard, name catalog.Name) error {
	if bound := w.session.Bound; bound != "" && name.Object != bound {
		return errs.New(errs.Denied, "SQL access control error:\nRequested role '%s' is not the role '%s' that the token of this session is for.", name.Object, bound).
			Numbered(3013, "42501")
	}
	held := name.Object == w.who.Role
	if w.who.User != "" {
		held = g.Graph().OfUser(w.who.User)[name.Object]
	}
	_, err := g.Find(catalog.KindRole, name)
	if errs.Is(err, errs.NotFound) && !held {
		return unusable()
	}
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	if !held {
		return errs.New(errs.Denied, "SQL access control error:\nRequested role '%s' is not assigned to the executing user. "+
			"Specify another role to activate.", name.Object).Numbered(3013, "42501")
	}
	return w.change(tx, func(s *catalog.Session) { s.Role = name.Object })
}

func (w *work) useDatabase(tx catalog.Tx, g *rbac.Guard, name catalog.Name) error {
	return w.usePlace(tx, g, catalog.KindDatabase, name, func(s *catalog.Session) {
		if s.Database == name.Object && s.Schema != "" {
			return
		}
		s.Database, s.Schema = name.Object, ""
		public := catalog.Name{Database: name.Object, Object: publicSchema}
		if _, err := g.Find(catalog.KindSchema, public); err == nil {
			s.Schema = publicSchema
		}
	})
}

func (w *work) usePlace(tx catalog.Tx, g *rbac.Guard, kind catalog.Kind, name catalog.Name, place func(*catalog.Session)) error {
	_, err := g.Find(kind, name)
	if errs.Is(err, errs.NotFound) {
		return unusable()
	}
	if err != nil {
		return err
	}
	return w.change(tx, place)
}

// unusable is what USE says about anything that is not there. `snow` reads the number.
func unusable() error {
	return errs.New(errs.NotFound, "SQL compilation error:\nObject does not exist, or operation cannot be performed.").Numbered(2043, "02000")
}

// useSecondaryRoles runs USE SECONDARY ROLES. One role of several cannot be chosen in Firn: it gives all that the user has, as
// long as that role is one of them.
func (w *work) useSecondaryRoles(ctx context.Context, s *ast.UseSecondaryRoles) (*Result, error) {
	mode := s.Mode
	err := w.update(ctx, func(tx catalog.Tx, g *rbac.Guard) error {
		if s.Role != nil {
			if w.who.User == "" || !g.Graph().OfUser(w.who.User)[s.Role.Resolved.Object] {
				return unusable()
			}
			mode = "ALL"
		}
		if w.session.Bound != "" && mode != "NONE" {
			return errs.New(errs.Denied, "SQL access control error:\nThis session has the role '%s' only, as its token is for it.", w.session.Bound).Numbered(3013, "42501")
		}
		return w.change(tx, func(s *catalog.Session) { s.SecondaryRoles = mode })
	})
	return &Result{Rowset: status(succeeded)}, err
}

// alterSession runs ALTER SESSION. Parameters that Firn does not know are kept, as clients send many.
func (w *work) alterSession(ctx context.Context, s *ast.AlterSession) (*Result, error) {
	if err := sessionMaySet(s.Set); err != nil {
		return nil, err
	}
	set, err := w.parameterTexts(s.Set)
	if err != nil {
		return nil, err
	}
	err = w.update(ctx, func(tx catalog.Tx, _ *rbac.Guard) error {
		return w.change(tx, func(s2 *catalog.Session) {
			maps.Copy(s2.Parameters, set)
			for _, name := range s.Unset {
				delete(s2.Parameters, name)
			}
		})
	})
	return &Result{Rowset: status(succeeded)}, err
}

// parameterTexts checks values of parameters and gives them as text.
func (w *work) parameterTexts(given []ast.Property) (map[string]string, error) {
	set := map[string]string{}
	for _, p := range given {
		text, err := w.textValue(p.Name, p.Value)
		if err != nil {
			return nil, err
		}
		known, ok := session.Lookup(p.Name)
		switch {
		case ok && known.Type == "BOOLEAN":
			if text, err = w.wordValue(p.Name, p.Value, []string{"TRUE", "FALSE"}); err != nil {
				return nil, err
			}
			text = strings.ToLower(text)
		case ok && known.Type == "NUMBER":
			if _, err := strconv.ParseInt(text, 10, 64); err != nil {
				return nil, badValue(p.Name, text, "a whole number")
			}
		case p.Name == "TIMEZONE":
			if _, err := time.LoadLocation(text); err != nil || text == "" {
				return nil, badValue(p.Name, text, "a time zone such as Europe/Berlin")
			}
		}
		set[p.Name] = text
	}
	return set, nil
}

// variable is how a session keeps one: the type, and the cell of the protocol.
type variable struct {
	Column  rowset.Column `json:"type"`
	Value   *string       `json:"value"`
	Created time.Time     `json:"created"`
}

// setVariables runs SET.
func (w *work) setVariables(ctx context.Context, s *ast.SetVariables) (*Result, error) {
	if len(s.Variables) != len(s.Values) {
		return nil, errs.New(errs.Invalid, "SQL compilation error:\nSET needs as many values as names").Numbered(1003, "42000")
	}
	stored := map[string]string{}
	for i, name := range s.Variables {
		v, err := w.scalar(ctx, s.Values[i])
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(variable{v.Column, v.Cell(), w.started})
		if err != nil {
			return nil, err
		}
		if len(text) > 1024 {
			return nil, errs.New(errs.Invalid, "Assignment to '%s' not done because value exceeds size limit for variables. Its size is %d; the limit is 256 (internal storage size in bytes).",
				name.Canonical(), len(text)).Numbered(1000077, "22000")
		}
		stored[name.Canonical()] = string(text)
	}
	err := w.update(ctx, func(tx catalog.Tx, _ *rbac.Guard) error {
		return w.change(tx, func(s *catalog.Session) { maps.Copy(s.Variables, stored) })
	})
	return &Result{Rowset: status(succeeded)}, err
}

// unsetVariables runs UNSET.
func (w *work) unsetVariables(ctx context.Context, s *ast.UnsetVariables) (*Result, error) {
	err := w.update(ctx, func(tx catalog.Tx, _ *rbac.Guard) error {
		return w.change(tx, func(session *catalog.Session) {
			for _, name := range s.Variables {
				delete(session.Variables, name.Canonical())
			}
		})
	})
	return &Result{Rowset: status(succeeded)}, err
}

// variables gives the session's variables as values.
func (w *work) variables() map[string]query.Value {
	all := map[string]query.Value{}
	for name, text := range w.session.Variables {
		var v variable
		if json.Unmarshal([]byte(text), &v) != nil {
			continue // not one that SET has written
		}
		if value, err := query.CellValue(v.Column, v.Value); err == nil {
			all[name] = value
		}
	}
	return all
}

// transaction accepts BEGIN, COMMIT and ROLLBACK: every statement of Firn commits by itself.
func (w *work) transaction(context.Context, *ast.Transaction) (*Result, error) {
	return &Result{Rowset: status(succeeded)}, nil
}

// showVariables is SHOW VARIABLES.
func showVariables() show {
	return show{
		columns: []rowset.Column{
			rowset.NumberColumn("session_id"), rowset.TimestampColumn("created_on"), rowset.TimestampColumn("updated_on"), rowset.TextColumn("name"),
			rowset.TextColumn("value"), rowset.TextColumn("type"), rowset.TextColumn("comment"),
		},
		rows: func(l *listing, _ showScope) error {
			values := l.w.variables()
			for _, name := range slices.Sorted(maps.Keys(values)) {
				var v variable
				if err := json.Unmarshal([]byte(l.w.session.Variables[name]), &v); err != nil {
					return err
				}
				l.add(name, func() []*string {
					return []*string{
						numberCell(l.w.session.ID), timeCell(v.Created), timeCell(v.Created), textCell(name), orNull(values[name].Text()),
						textCell(strings.ToLower(string(v.Column.Type))), textCell(""),
					}
				})
			}
			return nil
		},
	}
}

// showParameters is SHOW PARAMETERS: those of the session with the level at which each was set, or those of the account.
func showParameters() show {
	names := []string{"key", "value", "default", "level", "description", "type"}
	columns := make([]rowset.Column, len(names))
	for i, name := range names {
		columns[i] = rowset.TextColumn(name)
	}
	return show{
		columns: columns,
		rows: func(l *listing, scope showScope) error {
			account := map[string]string{}
			o, err := l.tx.ObjectByID(catalog.AccountID)
			switch {
			case err == nil:
				account = o.Spec.(*catalog.AccountSpec).Parameters
			case !errs.Is(err, errs.NotFound):
				return err
			}
			set := l.w.session.Parameters
			inAccount := scope.statement.In != nil && scope.statement.In.Kind == catalog.KindAccount
			if inAccount {
				set = nil
			}
			for _, p := range parametersOf(set, account, inAccount) {
				value, level := p.Default, ""
				if v, ok := account[p.Name]; ok {
					if p.Name == catalog.PolicyParameter {
						v = l.w.policyTitle(v)
					}
					value, level = v, "ACCOUNT"
				}
				if v, ok := set[p.Name]; ok {
					value, level = v, "SESSION"
				}
				l.add(p.Name, func() []*string {
					return []*string{textCell(p.Name), textCell(value), textCell(p.Default), textCell(level), textCell(p.Description), textCell(p.Type)}
				})
			}
			return nil
		},
	}
}

// parametersOf lists the known parameters and those that somebody set, by name.
func parametersOf(session1, account map[string]string, inAccount bool) []session.Parameter {
	all := session.Known()
	if inAccount {
		all = append(all, accountParameters()...)
	}
	for name := range merged(session1, account) {
		if _, ok := session.Lookup(name); !ok && !ofAccountOnly(name) {
			all = append(all, session.Parameter{Name: name, Type: "STRING"})
		}
	}
	slices.SortFunc(all, func(a, b session.Parameter) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func merged(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, b)
	return all
}

// The one region that a Firn installation is. Clients know the clouds aws, azure and gcp only.
const (
	regionName  = "FIRN_LOCAL"
	regionCloud = "aws"
)

// showRegions is SHOW REGIONS.
func showRegions() show {
	return show{
		columns: []rowset.Column{
			rowset.TextColumn("snowflake_region"), rowset.TextColumn("cloud"), rowset.TextColumn("region"), rowset.TextColumn("display_name"),
		},
		rows: func(l *listing, _ showScope) error {
			l.add(regionName, func() []*string {
				return []*string{textCell(regionName), textCell(regionCloud), textCell("local"), textCell("Firn")}
			})
			return nil
		},
	}
}
