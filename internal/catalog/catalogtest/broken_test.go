// SPDX-License-Identifier: Apache-2.0

package catalogtest_test

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// brokenStores gives, for each check, a way to break a promise of a right implementation.
func brokenStores() map[string]func(catalog.Store) catalog.Store {
	all := map[string]func(catalog.Store) catalog.Store{
		"an update that fails leaves nothing":    func(s catalog.Store) catalog.Store { return keepsAfterError{s} },
		"an update that panics leaves nothing":   func(s catalog.Store) catalog.Store { return keepsAfterPanic{s} },
		"a view is a snapshot":                   func(s catalog.Store) catalog.Store { return looksAgain{s} },
		"a view cannot write":                    func(s catalog.Store) catalog.Store { return writesInView{s} },
		"a transaction ends with its function":   onTx(func(tx catalog.Tx) catalog.Tx { return neverEnds{tx} }),
		"a transaction has one time":             onTx(func(tx catalog.Tx) catalog.Tx { return moreTimes{tx} }),
		"a cancelled caller hurts nobody else":   func(s catalog.Store) catalog.Store { return ignoresContext{s} },
		"a panic among others hurts nobody else": func(s catalog.Store) catalog.Store { return swallowsPanic{s} },
		"an outcome leaves the transaction usable": func(s catalog.Store) catalog.Store {
			return diesOfOutcome{s}
		},
		"walks may be nested, write, and be left early": onTx(func(tx catalog.Tx) catalog.Tx { return losesLast{tx} }),
		"a closed catalog is unavailable":               func(s catalog.Store) catalog.Store { return staysOpen{s} },
		"updates do not lose each other's writes":       onTx(func(tx catalog.Tx) catalog.Tx { return losesAlter{tx, ""} }),
	}
	maps.Copy(all, brokenObjects())
	maps.Copy(all, brokenRows())
	maps.Copy(all, brokenJobs())
	maps.Copy(all, brokenImages())
	maps.Copy(all, brokenImageRules())
	maps.Copy(all, brokenEnvironments())
	maps.Copy(all, brokenGarbage())
	return all
}

// onTx breaks the transactions of a store.
func onTx(wrong func(catalog.Tx) catalog.Tx) func(catalog.Store) catalog.Store {
	return func(s catalog.Store) catalog.Store { return wrongTx{s, wrong} }
}

type wrongTx struct {
	catalog.Store
	wrong func(catalog.Tx) catalog.Tx
}

func (w wrongTx) View(ctx context.Context, fn func(catalog.Tx) error) error {
	return w.Store.View(ctx, func(tx catalog.Tx) error { return fn(w.wrong(tx)) })
}

func (w wrongTx) Update(ctx context.Context, fn func(catalog.Tx) error) error {
	return w.Store.Update(ctx, func(tx catalog.Tx) error { return fn(w.wrong(tx)) })
}

type keepsAfterError struct{ catalog.Store }

func (w keepsAfterError) Update(ctx context.Context, fn func(catalog.Tx) error) (said error) {
	err := w.Store.Update(ctx, func(tx catalog.Tx) error { said = fn(tx); return nil })
	return cmp.Or(said, err)
}

type keepsAfterPanic struct{ catalog.Store }

func (w keepsAfterPanic) Update(ctx context.Context, fn func(catalog.Tx) error) error {
	var panicked any
	err := w.Store.Update(ctx, func(tx catalog.Tx) error {
		defer func() { panicked = recover() }()
		return fn(tx)
	})
	if panicked != nil {
		panic(panicked)
	}
	return err
}

type swallowsPanic struct{ catalog.Store }

func (w swallowsPanic) Update(ctx context.Context, fn func(catalog.Tx) error) error {
	defer func() { _ = recover() }()
	return w.Store.Update(ctx, fn)
}

// looksAgain reads listings in a snapshot of their own.
type looksAgain struct{ catalog.Store }

func (w looksAgain) View(ctx context.Context, fn func(catalog.Tx) error) error {
	return w.Store.View(ctx, func(tx catalog.Tx) error { return fn(looksAgainTx{tx, w.Store}) })
}

type looksAgainTx struct {
	catalog.Tx
	store catalog.Store
}

func (w looksAgainTx) Objects(kind catalog.Kind, in catalog.Name) iter.Seq2[*catalog.Object, error] {
	return func(yield func(*catalog.Object, error) bool) {
		_ = w.store.View(context.Background(), func(tx catalog.Tx) error {
			tx.Objects(kind, in)(yield)
			return nil
		})
	}
}

type writesInView struct{ catalog.Store }

func (w writesInView) View(ctx context.Context, fn func(catalog.Tx) error) error {
	return w.Update(ctx, fn)
}

type neverEnds struct{ catalog.Tx }

func (w neverEnds) CreateObject(*catalog.Object) error { return nil }

type moreTimes struct{ catalog.Tx }

func (w moreTimes) Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

type ignoresContext struct{ catalog.Store }

func (w ignoresContext) Update(ctx context.Context, fn func(catalog.Tx) error) error {
	return w.Store.Update(context.WithoutCancel(ctx), fn)
}

// diesOfOutcome fails an update in which anything was refused.
type diesOfOutcome struct{ catalog.Store }

func (w diesOfOutcome) Update(ctx context.Context, fn func(catalog.Tx) error) error {
	return w.Store.Update(ctx, func(tx catalog.Tx) error {
		var refused error
		err := fn(noticesCreate{tx, &refused})
		return cmp.Or(err, refused)
	})
}

type noticesCreate struct {
	catalog.Tx
	refused *error
}

func (w noticesCreate) CreateObject(o *catalog.Object) error {
	err := w.Tx.CreateObject(o)
	*w.refused = cmp.Or(*w.refused, err)
	return err
}

type losesLast struct{ catalog.Tx }

func (w losesLast) Objects(kind catalog.Kind, in catalog.Name) iter.Seq2[*catalog.Object, error] {
	all := collect(w.Tx.Objects(kind, in))
	return values(all[:max(0, len(all)-1)])
}

type staysOpen struct{ catalog.Store }

func (w staysOpen) Close() error { return nil }

func collect[V any](listing iter.Seq2[V, error]) []V {
	var all []V
	for v, err := range listing {
		if err == nil {
			all = append(all, v)
		}
	}
	return all
}

func values[V any](all []V) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// unless drops an error of a code: the caller believes that the call worked.
func unless(code errs.Code, err error) error {
	if errs.Is(err, code) {
		return nil
	}
	return err
}
