// SPDX-License-Identifier: Apache-2.0

// Package session keeps logins alive: it opens, finds, renews and ends sessions, and knows the session parameters.
//
// A session is a row of the catalog and nothing else, so every replica can serve it and it outlives a restart. The SQL door
// calls it for each request; statements change sessions through the executor. Who somebody is was decided before, by auth.
package session

import (
	"cmp"
	"context"
	"maps"
	"strings"
	"time"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
)

// Manager opens and finds sessions. It is safe for concurrent use.
type Manager struct {
	catalog catalog.Store
	auth    *auth.Service
	now     func() time.Time
}

// New makes the manager.
func New(store catalog.Store, tokens *auth.Service, now func() time.Time) *Manager {
	return &Manager{catalog: store, auth: tokens, now: now}
}

// Login is what a client asks for. Names are as the client wrote them: quoted, or in any case.
type Login struct {
	Identity   auth.Identity
	Role       string
	Database   string
	Schema     string
	Warehouse  string
	Validate   bool              // an unknown database, schema or warehouse refuses the login
	Parameters map[string]string // SESSION_PARAMETERS
	Client     string
}

// Tokens are what a client keeps of a session.
type Tokens struct {
	Session errs.Secret
	Master  errs.Secret
}

// Open starts a session.
//
// Errors: Unauthenticated with number 390189 for a role that does not exist or is not granted; 390201 for an unknown database,
// schema or warehouse when Validate is set.
func (m *Manager) Open(ctx context.Context, l Login) (*catalog.Session, Tokens, error) {
	var s *catalog.Session
	var tokens Tokens
	err := m.catalog.Update(ctx, func(tx catalog.Tx) error {
		var err error
		if s, err = m.prepare(tx, l); err != nil {
			return err
		}
		if err = tx.PutSession(s); err != nil {
			return err
		}
		tokens, err = m.issue(tx, s, l.Identity.Proof)
		return err
	})
	return s, tokens, err
}

func (m *Manager) prepare(tx catalog.Tx, l Login) (*catalog.Session, error) {
	now := m.now()
	s := &catalog.Session{
		User: l.Identity.User, SecondaryRoles: "NONE", Parameters: map[string]string{}, Variables: map[string]string{},
		Client: l.Client, JobID: l.Identity.JobID, Created: now, LastUsed: now, Expires: now.Add(auth.MasterTTL),
	}
	maps.Copy(s.Parameters, l.Parameters)
	if l.Identity.JobID != "" {
		s.Role = l.Identity.Role
		job, err := tx.Job(l.Identity.JobID)
		if err != nil {
			return nil, err
		}
		l.Database, l.Schema = cmp.Or(l.Database, catalog.Quote(job.Plan.Session.Database)), cmp.Or(l.Schema, catalog.Quote(job.Plan.Session.Schema))
		if job.Plan.Session.Warehouse != "" {
			l.Warehouse = cmp.Or(l.Warehouse, catalog.Quote(job.Plan.Session.Warehouse))
		}
		return s, m.place(tx, s, l)
	}
	user, spec, err := catalog.Get[*catalog.UserSpec](tx, catalog.Name{Object: l.Identity.User})
	if err != nil {
		return nil, err
	}
	if err := m.chooseRole(tx, s, l, spec); err != nil {
		return nil, err
	}
	db, schema, _ := strings.Cut(spec.DefaultNamespace, ".")
	if l.Database == "" {
		l.Database, l.Schema = db, cmp.Or(l.Schema, schema)
	}
	l.Warehouse = cmp.Or(l.Warehouse, spec.DefaultWarehouse)
	spec.LastLogin = now
	if err := tx.AlterObject(user); err != nil {
		return nil, err
	}
	return s, m.place(tx, s, l)
}

// chooseRole sets the primary role: the one asked for, which must be granted, else the user's default, else PUBLIC.
func (m *Manager) chooseRole(tx catalog.Tx, s *catalog.Session, l Login, spec *catalog.UserSpec) error {
	bound := l.Identity.Role
	asked := Canonical(l.Role)
	graph, err := rbac.LoadGraph(tx)
	if err != nil {
		return err
	}
	granted := graph.OfUser(s.User)
	if s.Bound = bound; bound != "" && !granted[bound] {
		return errs.New(errs.Unauthenticated, "Role '%s' of the token is not granted to the user any more.", bound).Numbered(390189, "08004")
	}
	for _, role := range []string{asked, bound, spec.DefaultRole} {
		if role == "" {
			continue
		}
		if granted[role] && (bound == "" || role == bound) {
			s.Role = role
			return nil
		}
		if role == asked {
			return errs.New(errs.Unauthenticated, "Role '%s' specified in the connect string does not exist or not authorized. "+
				"Contact your local system administrator, or attempt to login with another role, e.g. PUBLIC.", role).Numbered(390189, "08004")
		}
	}
	s.Role = catalog.RolePublic
	return nil
}

// place sets database, schema and warehouse to what was asked for, as far as the role may know of it.
func (m *Manager) place(tx catalog.Tx, s *catalog.Session, l Login) (err error) {
	refuse := func(kind string) error {
		if !l.Validate {
			return nil
		}
		return errs.New(errs.Unauthenticated, "The requested %s does not exist or not authorized.", kind).Numbered(390201, "08004")
	}
	guard := rbac.New(tx, rbac.OfSession(s))
	defer func() {
		if failed := guard.Err(); failed != nil {
			err = failed // of the catalog: what is visible is not known
		}
	}()
	visible := func(kind catalog.Kind, name catalog.Name) bool {
		o, err := tx.Object(kind, name)
		return err == nil && guard.Visible(o)
	}
	if w := Canonical(l.Warehouse); w != "" {
		if !visible(catalog.KindWarehouse, catalog.Name{Object: w}) {
			if err := refuse("warehouse"); err != nil {
				return err
			}
		} else {
			s.Warehouse = w
		}
	}
	db := Canonical(l.Database)
	if db == "" {
		return nil
	}
	if !visible(catalog.KindDatabase, catalog.Name{Object: db}) {
		return refuse("database")
	}
	s.Database = db
	schema := cmp.Or(Canonical(l.Schema), "PUBLIC")
	if visible(catalog.KindSchema, catalog.Name{Database: db, Object: schema}) {
		s.Schema = schema
		return nil
	}
	if l.Schema == "" {
		return nil
	}
	return refuse("schema")
}

// Canonical gives the stored form of a name as clients write it in connection settings: quotes removed, else upper case.
func Canonical(name string) string {
	if len(name) >= 2 && strings.HasPrefix(name, `"`) && strings.HasSuffix(name, `"`) {
		return strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
	}
	return strings.ToUpper(name)
}
