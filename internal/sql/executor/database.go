// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/rowset"
)

// publicSchema is made with every database and current after CREATE DATABASE and USE DATABASE.
const publicSchema = "PUBLIC"

func databaseKind() *kind {
	return &kind{
		kind: catalog.KindDatabase, plural: "DATABASES", replace: true, rename: true, comments: true, terse: true,
		properties: []property{
			numberProperty("DATA_RETENTION_TIME_IN_DAYS", 0, 90, 1, func(s *catalog.DatabaseSpec) *int { return &s.RetentionDays }),
			boolProperty("TRANSIENT", false, func(s *catalog.DatabaseSpec) *bool { return &s.Transient }).atCreation(),
			ignoredProperty("MAX_DATA_EXTENSION_TIME_IN_DAYS"), ignoredProperty("DEFAULT_DDL_COLLATION"),
			bytesProperty("IMAGE_STORAGE_QUOTA", func(s *catalog.DatabaseSpec) *int64 { return &s.ImageQuota }),
		},
		columns: []column{
			createdOn(), nameColumn(),
			textOf("is_default", func(l *listing, o *catalog.Object) *string {
				return yesNo(l.defaultDatabase() == o.Name.Object)
			}),
			textOf("is_current", func(l *listing, o *catalog.Object) *string { return yesNo(l.w.session.Database == o.Name.Object) }),
			constant("origin", ""), owner(), comment(),
			specText("options", func(s *catalog.DatabaseSpec) string {
				if s.Transient {
					return "TRANSIENT"
				}
				return ""
			}),
			specText("retention_time", func(s *catalog.DatabaseSpec) string { return strconv.Itoa(s.RetentionDays) }),
			specText("kind", func(s *catalog.DatabaseSpec) string {
				if s.Personal != "" {
					return "PERSONAL DATABASE"
				}
				return "STANDARD"
			}),
			null("budget"), ownerRoleType(),
			numberOf("image_storage_quota", func(_ *listing, o *catalog.Object) *string {
				return unlessZero(o.Spec.(*catalog.DatabaseSpec).ImageQuota)
			}),
		},
		describe: contents(catalog.KindSchema),
		created:  databaseCreated,
		dropping: containerDropping,
		renaming: containerRenaming,
	}
}

func schemaKind() *kind {
	return &kind{
		kind: catalog.KindSchema, plural: "SCHEMAS", replace: true, rename: true, comments: true, terse: true,
		properties: []property{
			numberProperty("DATA_RETENTION_TIME_IN_DAYS", 0, 90, 1, func(s *catalog.SchemaSpec) *int { return &s.RetentionDays }),
			ignoredProperty("TRANSIENT"), ignoredProperty("WITH MANAGED ACCESS"), ignoredProperty("MAX_DATA_EXTENSION_TIME_IN_DAYS"),
			ignoredProperty("DEFAULT_DDL_COLLATION"),
		},
		columns: []column{
			createdOn(), nameColumn(), constant("is_default", "N"),
			textOf("is_current", func(l *listing, o *catalog.Object) *string {
				return yesNo(l.w.session.Database == o.Name.Database && l.w.session.Schema == o.Name.Object)
			}),
			databaseName(), owner(), comment(), constant("options", ""),
			specText("retention_time", func(s *catalog.SchemaSpec) string { return strconv.Itoa(s.RetentionDays) }),
			ownerRoleType(),
		},
		describe: contents(catalog.KindStage, catalog.KindImageRepository, catalog.KindService, catalog.KindSecret, catalog.KindNetworkRule),
		created: func(w *work, tx catalog.Tx, o *catalog.Object) error {
			return w.change(tx, func(s *catalog.Session) { s.Database, s.Schema = o.Name.Database, o.Name.Object })
		},
		dropping: containerDropping,
		renaming: containerRenaming,
	}
}

// databaseCreated gives a new database its two schemas and makes it current.
func databaseCreated(w *work, tx catalog.Tx, o *catalog.Object) error {
	if err := addSchemas(tx, o); err != nil {
		return err
	}
	return w.change(tx, func(s *catalog.Session) { s.Database, s.Schema = o.Name.Object, publicSchema })
}

// addSchemas creates PUBLIC, owned like the database, and INFORMATION_SCHEMA, which nobody owns.
func addSchemas(tx catalog.Tx, o *catalog.Object) error {
	for name, owner := range map[string]string{publicSchema: o.Owner, rbac.InformationSchema: ""} {
		err := tx.CreateObject(&catalog.Object{
			Kind: catalog.KindSchema, Name: catalog.Name{Database: o.Name.Object, Object: name}, Owner: owner,
			Spec: &catalog.SchemaSpec{RetentionDays: 1},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// containerDropping lets the objects inside go one by one, as each kind wants, and unsets the session's place when it goes.
func containerDropping(w *work, tx catalog.Tx, o *catalog.Object) error {
	if o.Owner == "" {
		return errs.New(errs.Refused, "%s '%s' belongs to Firn and cannot be dropped", o.Kind.Title(), o.Name)
	}
	// In the reverse order of their words: jobs of services are cancelled before image repositories ask who holds an image.
	for _, k := range slices.SortedFunc(maps.Values(w.kinds), func(a, b *kind) int { return strings.Compare(string(b.kind), string(a.kind)) }) {
		if k.kind.Scope() != catalog.InSchema || k.dropping == nil {
			continue
		}
		for inner, err := range tx.Objects(k.kind, o.Name) {
			if err != nil {
				return err
			}
			if err := k.dropping(w, tx, inner); err != nil {
				return err
			}
		}
	}
	return w.change(tx, func(s *catalog.Session) {
		switch {
		case o.Kind == catalog.KindDatabase && s.Database == o.Name.Object:
			s.Database, s.Schema = "", ""
		case o.Kind == catalog.KindSchema && s.Database == o.Name.Database && s.Schema == o.Name.Object:
			s.Schema = ""
		}
	})
}

// containerRenaming renames what is inside along with a database or schema, and the session's place.
func containerRenaming(w *work, tx catalog.Tx, o *catalog.Object, to catalog.Name) error {
	if o.Owner == "" {
		return errs.New(errs.Refused, "%s '%s' belongs to Firn and cannot be renamed", o.Kind.Title(), o.Name)
	}
	return w.change(tx, func(s *catalog.Session) {
		switch {
		case o.Kind == catalog.KindDatabase && s.Database == o.Name.Object:
			s.Database = to.Object
		case o.Kind == catalog.KindSchema && s.Database == o.Name.Database && s.Schema == o.Name.Object:
			s.Database, s.Schema = to.Database, to.Object
		}
	})
}

// contents describes a database or schema by what is in it.
func contents(kinds ...catalog.Kind) *description {
	return &description{
		columns: []rowset.Column{rowset.TimestampColumn("created_on"), rowset.TextColumn("name"), rowset.TextColumn("kind")},
		rows: func(l *listing, o *catalog.Object) ([][]*string, error) {
			rows := [][]*string{}
			for _, kind := range kinds {
				for inner, err := range l.tx.Objects(kind, o.Name) {
					if err != nil {
						return nil, err
					}
					if l.guard.Visible(inner) {
						rows = append(rows, []*string{timeCell(inner.Created), textCell(inner.Name.Object), textCell(string(kind))})
					}
				}
			}
			return rows, l.guard.Err()
		},
	}
}
