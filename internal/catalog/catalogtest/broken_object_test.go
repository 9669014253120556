// SPDX-License-Identifier: Apache-2.0

package catalogtest_test

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func brokenObjects() map[string]func(catalog.Store) catalog.Store {
	return map[string]func(catalog.Store) catalog.Store{
		"objects of every kind come back as they were stored": onTx(func(tx catalog.Tx) catalog.Tx { return losesComment{tx} }),
		"listings are in byte order":                          onTx(func(tx catalog.Tx) catalog.Tx { return ignoresCase{tx} }),
		"listings are of the place asked for":                 onTx(func(tx catalog.Tx) catalog.Tx { return listsEverywhere{tx} }),
		"names are unique per kind":                           onTx(func(tx catalog.Tx) catalog.Tx { return createsAnyway{tx, errs.Exists} }),
		"one of many creates of one name wins":                onTx(func(tx catalog.Tx) catalog.Tx { return createsAnyway{tx, errs.Exists} }),
		"an object needs its schema and database":             onTx(func(tx catalog.Tx) catalog.Tx { return createsAnyway{tx, errs.NotFound} }),
		"altered objects come back as they were stored":       onTx(func(tx catalog.Tx) catalog.Tx { return losesAlter{tx, ""} }),
		"a taken name cannot be taken again":                  onTx(func(tx catalog.Tx) catalog.Tx { return altersAnyway{tx} }),
		"a new name of a database or schema reaches what is inside": onTx(func(tx catalog.Tx) catalog.Tx {
			return losesAlter{tx, catalog.KindSchema}
		}),
		"a new name of a role or user reaches what it has": onTx(func(tx catalog.Tx) catalog.Tx { return losesAlter{tx, catalog.KindRole} }),
		"a drop takes along what is inside":                onTx(func(tx catalog.Tx) catalog.Tx { return forgetsOrphans{tx} }),
		"a dropped role or user leaves no rights behind":   onTx(func(tx catalog.Tx) catalog.Tx { return keepsTokens{tx} }),
	}
}

type losesComment struct{ catalog.Tx }

func (w losesComment) Object(kind catalog.Kind, name catalog.Name) (*catalog.Object, error) {
	o, err := w.Tx.Object(kind, name)
	if err == nil {
		o.Comment = ""
	}
	return o, err
}

type ignoresCase struct{ catalog.Tx }

func (w ignoresCase) Objects(kind catalog.Kind, in catalog.Name) iter.Seq2[*catalog.Object, error] {
	all := collect(w.Tx.Objects(kind, in))
	slices.SortStableFunc(all, func(a, b *catalog.Object) int {
		return strings.Compare(strings.ToLower(a.Name.Object), strings.ToLower(b.Name.Object))
	})
	return values(all)
}

type listsEverywhere struct{ catalog.Tx }

func (w listsEverywhere) Objects(kind catalog.Kind, _ catalog.Name) iter.Seq2[*catalog.Object, error] {
	return w.Tx.Objects(kind, catalog.Name{})
}

type createsAnyway struct {
	catalog.Tx
	unless errs.Code
}

func (w createsAnyway) CreateObject(o *catalog.Object) error {
	return unless(w.unless, w.Tx.CreateObject(o))
}

// losesAlter does not alter objects of a kind, or of any kind.
type losesAlter struct {
	catalog.Tx
	kind catalog.Kind
}

func (w losesAlter) AlterObject(o *catalog.Object) error {
	if w.kind == "" || w.kind == o.Kind {
		return nil
	}
	return w.Tx.AlterObject(o)
}

type altersAnyway struct{ catalog.Tx }

func (w altersAnyway) AlterObject(o *catalog.Object) error {
	return unless(errs.Exists, w.Tx.AlterObject(o))
}

type forgetsOrphans struct{ catalog.Tx }

func (w forgetsOrphans) OrphanKeys(time.Time) iter.Seq2[string, error] { return values[string](nil) }

// keepsTokens lets the token "of-user" of checkDropRole live on.
type keepsTokens struct{ catalog.Tx }

func (w keepsTokens) DropObject(id catalog.ID) error {
	k, found := w.Tx.Token("of-user")
	err := w.Tx.DropObject(id)
	if _, gone := w.Tx.Token("of-user"); found == nil && gone != nil {
		err = cmp.Or(err, w.Tx.PutToken(k))
	}
	return err
}
