// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"database/sql"
	"iter"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

const objectColumns columns = "id, kind, database_name, schema_name, name, owner, comment, session, created, altered, spec"

func readObject(row scan) (*catalog.Object, error) {
	o := &catalog.Object{}
	var spec sql.RawBytes // listings decode thousands of them
	err := row(&o.ID, &o.Kind, &o.Name.Database, &o.Name.Schema, &o.Name.Object, &o.Owner, &o.Comment, &o.Session,
		stamp{&o.Created}, stamp{&o.Altered}, &spec)
	if err != nil {
		return nil, err
	}
	if o.Spec = catalog.NewSpec(o.Kind); o.Spec == nil {
		return nil, errs.New(errs.Corrupt, "object %s of the catalog has the unknown kind %q", o.Name, o.Kind)
	}
	if err := (documentColumn{o.Spec}).Scan([]byte(spec)); err != nil {
		return nil, errs.Wrap(err, errs.Corrupt, "%s %s of the catalog cannot be read", o.Kind.Title(), o.Name)
	}
	return o, nil
}

// Object implements catalog.Objects.
func (t *tx) Object(kind catalog.Kind, name catalog.Name) (*catalog.Object, error) {
	o, found, err := one(t, readObject, "SELECT "+string(objectColumns)+` FROM object
		WHERE kind = $1 AND database_name = $2 AND schema_name = $3 AND name = $4`, string(kind), name.Database, name.Schema, name.Object)
	if err == nil && !found {
		return nil, errs.New(errs.NotFound, "%s %s does not exist", kind.Title(), name)
	}
	return o, err
}

// ObjectByID implements catalog.Objects.
func (t *tx) ObjectByID(id catalog.ID) (*catalog.Object, error) {
	o, found, err := one(t, readObject, "SELECT "+string(objectColumns)+" FROM object WHERE id = $1", string(id))
	if err == nil && !found {
		return nil, errs.New(errs.NotFound, "object with id %s does not exist", id)
	}
	return o, err
}

// Unchanged implements catalog.Objects.
func (t *tx) Unchanged(a, b *catalog.Object) (bool, error) {
	n, _, err := one(t, readNumber, "SELECT count(*) FROM object WHERE id = $1 AND altered = $2 OR id = $3 AND altered = $4",
		string(a.ID), micros(a.Altered), string(b.ID), micros(b.Altered))
	if n == 2 && a.Kind == catalog.KindImageRepository {
		t.repository = a.ID
	}
	return n == 2, err
}

// Objects implements catalog.Objects.
func (t *tx) Objects(kind catalog.Kind, in catalog.Name) iter.Seq2[*catalog.Object, error] {
	var f filter
	f.add("kind = ?", string(kind))
	switch {
	case in.Database != "":
		f.add("database_name = ? AND schema_name = ?", in.Database, in.Object)
	case in.Object != "":
		f.add("database_name = ?", in.Object)
	}
	return list(t, readObject, "SELECT "+string(objectColumns)+" FROM object"+f.where()+
		" ORDER BY database_name, schema_name, name", f.args...)
}

// CreateObject implements catalog.Objects.
func (t *tx) CreateObject(o *catalog.Object) error {
	if err := t.checkPlace(o); err != nil {
		return err
	}
	spec, err := document(o.Spec)
	if err != nil {
		return err
	}
	id := o.ID
	if id == "" {
		id = t.newID()
	}
	n, err := t.exec("INSERT INTO object ("+string(objectColumns)+") VALUES ("+objectColumns.places()+") ON CONFLICT DO NOTHING",
		string(id), string(o.Kind), o.Name.Database, o.Name.Schema, o.Name.Object, o.Owner, o.Comment, o.Session,
		micros(t.now), micros(t.now), spec)
	if err != nil {
		return err
	}
	if n == 0 {
		return errs.New(errs.Exists, "%s %s already exists", o.Kind.Title(), o.Name)
	}
	o.ID, o.Created, o.Altered = id, t.now, t.now
	return nil
}

// AlterObject implements catalog.Objects.
func (t *tx) AlterObject(o *catalog.Object) error {
	old, err := t.ObjectByID(o.ID)
	if err != nil {
		return err
	}
	if old.Kind != o.Kind {
		return errs.New(errs.Invalid, "%s %s cannot become a %s", old.Kind.Title(), old.Name, o.Kind.Title())
	}
	spec, err := document(o.Spec)
	if err != nil {
		return err
	}
	if o.Name != old.Name {
		if err := t.checkFree(o); err != nil {
			return err
		}
	}
	altered := t.now
	if !altered.After(old.Altered) { // Unchanged depends on it
		altered = old.Altered.Add(time.Microsecond)
	}
	_, err = t.exec(`UPDATE object SET database_name = $2, schema_name = $3, name = $4, owner = $5, comment = $6, altered = $7, spec = $8
		WHERE id = $1`, string(o.ID), o.Name.Database, o.Name.Schema, o.Name.Object, o.Owner, o.Comment, micros(altered), spec)
	if err != nil {
		return err
	}
	if o.Name != old.Name {
		if err := t.renameEverywhere(old.Kind, old.Name, o.Name); err != nil {
			return err
		}
	}
	o.Session, o.Created, o.Altered = old.Session, old.Created, altered
	return nil
}

// checkFree tells whether an object may take the name that it has not yet.
func (t *tx) checkFree(o *catalog.Object) error {
	if err := t.checkPlace(o); err != nil {
		return err
	}
	_, err := t.Object(o.Kind, o.Name)
	switch {
	case err == nil:
		return errs.New(errs.Exists, "%s %s already exists", o.Kind.Title(), o.Name)
	case errs.Is(err, errs.NotFound):
		return nil
	}
	return err
}

// checkPlace tells whether the name has the parts that the kind needs, and whether the schema or database exists.
func (t *tx) checkPlace(o *catalog.Object) error {
	if o.Spec == nil || o.Spec.Kind() != o.Kind {
		return errs.New(errs.Invalid, "%s %s has the properties of another kind", o.Kind.Title(), o.Name)
	}
	scope, n := o.Kind.Scope(), o.Name
	if n.Object == "" || (n.Database != "") != (scope != catalog.InAccount) || (n.Schema != "") != (scope == catalog.InSchema) {
		return errs.New(errs.Invalid, "%s is not a complete name of a %s", n, o.Kind.Title())
	}
	var err error
	switch scope {
	case catalog.InSchema:
		_, err = t.Object(catalog.KindSchema, n.Parent())
	case catalog.InDatabase:
		_, err = t.Object(catalog.KindDatabase, n.Parent())
	}
	return err
}

// renameEverywhere lets a new name reach all rows that know the object by its old one: what is inside a database or schema,
// and what a role or user has and holds.
func (t *tx) renameEverywhere(kind catalog.Kind, from, to catalog.Name) error {
	var texts []string
	args := []any{to.Object, from.Object}
	switch kind {
	case catalog.KindDatabase:
		texts = []string{"UPDATE object SET database_name = $1 WHERE database_name <> '' AND database_name = $2"}
	case catalog.KindSchema:
		texts = []string{"UPDATE object SET schema_name = $1, database_name = $3 WHERE database_name <> '' AND database_name = $4 AND schema_name = $2"}
		args = append(args, to.Database, from.Database)
	case catalog.KindRole:
		texts = []string{
			"UPDATE object SET owner = $1 WHERE owner = $2",
			"UPDATE privilege SET role = $1 WHERE role = $2",
			"UPDATE privilege SET granted_by = $1 WHERE granted_by = $2",
			"UPDATE role_grant SET role = $1 WHERE role = $2",
			"UPDATE role_grant SET to_role = $1 WHERE to_role = $2",
			"UPDATE role_grant SET granted_by = $1 WHERE granted_by = $2",
			"UPDATE session SET role = $1 WHERE role = $2 AND closed = 0",
			"UPDATE token SET role = $1 WHERE role = $2",
			"UPDATE job SET owner = $1 WHERE owner = $2",
			"UPDATE environment_history SET owner = $1 WHERE owner = $2",
		}
	case catalog.KindUser:
		texts = []string{
			"UPDATE role_grant SET to_user = $1 WHERE to_user = $2",
			"UPDATE session SET user_name = $1 WHERE user_name = $2 AND closed = 0",
			"UPDATE token SET user_name = $1 WHERE user_name <> '' AND user_name = $2",
		}
	}
	for _, text := range texts {
		if _, err := t.exec(text, args...); err != nil {
			return err
		}
	}
	return nil
}

// DropObject implements catalog.Objects. Rows of other nouns that refer to the object go with it (ON DELETE CASCADE).
func (t *tx) DropObject(id catalog.ID) error {
	o, err := t.ObjectByID(id)
	if err != nil {
		return err
	}
	var f filter
	switch o.Kind {
	case catalog.KindDatabase:
		f.add("(id = ? OR database_name <> '' AND database_name = ?)", string(id), o.Name.Object)
	case catalog.KindSchema:
		f.add("(id = ? OR database_name <> '' AND database_name = ? AND schema_name = ?)", string(id), o.Name.Database, o.Name.Object)
	default:
		f.add("id = ?", string(id))
	}
	if err := t.dropObjects(f); err != nil {
		return err
	}
	return t.forget(o.Kind, o.Name.Object)
}

// dropObjects removes the objects that the filter selects, with the files of the stages among them.
func (t *tx) dropObjects(f filter) error {
	if err := t.orphanFiles(f); err != nil {
		return err
	}
	t.repository = ""
	_, err := t.exec("DELETE FROM object"+f.where(), f.args...)
	return err
}

// forget takes from a role or user all that it was given, so that a later one of the same name starts with nothing.
func (t *tx) forget(kind catalog.Kind, name string) error {
	var texts []string
	switch kind {
	case catalog.KindRole:
		texts = []string{
			"DELETE FROM privilege WHERE role = $1",
			"DELETE FROM role_grant WHERE role = $1 OR to_role = $1",
			"DELETE FROM token WHERE role = $1",
		}
	case catalog.KindUser:
		texts = []string{
			"DELETE FROM role_grant WHERE to_user = $1",
			"DELETE FROM token WHERE user_name <> '' AND user_name = $1",
		}
	}
	for _, text := range texts {
		if _, err := t.exec(text, name); err != nil {
			return err
		}
	}
	return nil
}
