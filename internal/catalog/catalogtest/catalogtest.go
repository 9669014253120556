// SPDX-License-Identifier: Apache-2.0

// Package catalogtest is the suite that every implementation of catalog.Store passes: one Check for each group of promises in
// the comments of package catalog. It is imported by tests only.
//
// An implementation calls TestStore, and TestReopen when it keeps its catalog beyond Close. A promise is changed here first.
// That each check notices a broken promise is itself tested, in catalogtest_test.go.
package catalogtest

import (
	"context"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// T is what a check asks of a *testing.T, so that a test can watch a check fail.
type T interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Check tries promises on an empty catalog of its own.
type Check struct {
	Name string
	Run  func(t T, s catalog.Store)
}

// Checks lists the checks of all nouns.
func Checks() []Check {
	return slices.Concat(transactionChecks(), objectChecks(), nameChecks(), grantChecks(), sessionChecks(), statementChecks(), nodeChecks(),
		jobChecks(), leaseChecks(), fileChecks(), auditChecks(), reportChecks(), imageChecks(), imageRuleChecks(), environmentChecks(),
		garbageChecks())
}

// TestStore runs all checks. open gives a new, empty catalog each time and sees to its end.
func TestStore(t *testing.T, open func(t *testing.T) catalog.Store) {
	for _, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.Run(t, open(t))
		})
	}
}

// update runs an update that must work.
func update(t T, s catalog.Store, fn func(tx catalog.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

// view runs a view that must work.
func view(t T, s catalog.Store, fn func(tx catalog.Tx) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Fatalf("view: %v", err)
	}
}

// all walks a listing to its end.
func all[V any](t T, listing iter.Seq2[V, error]) []V {
	t.Helper()
	var values []V
	for v, err := range listing {
		if err != nil {
			t.Fatalf("listing: %v", err)
		}
		values = append(values, v)
	}
	return values
}

// must gives the value of a call that must work.
func must[V any](v V, err error) func(t T) V {
	return func(t T) V {
		t.Helper()
		if err != nil {
			t.Fatalf("%v", err)
		}
		return v
	}
}

// wantCode checks how a call failed; the code "" is that of a call that worked.
func wantCode(t T, what string, err error, code errs.Code) {
	t.Helper()
	if errs.CodeOf(err) != code {
		t.Errorf("%s: got error %v (%q), want %q", what, err, errs.CodeOf(err), code)
	}
}

// wantEqual compares whole values.
func wantEqual(t T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// together calls fn from n goroutines at once, and gives their errors.
func together(n int, fn func(i int) error) []error {
	errors := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errors[i] = fn(i) })
	}
	wg.Wait()
	return errors
}

// wantOneWinner checks that exactly one of several calls worked and that all others failed with the code.
func wantOneWinner(t T, what string, errors []error, code errs.Code) {
	t.Helper()
	won := 0
	for _, err := range errors {
		if err == nil {
			won++
		} else {
			wantCode(t, what, err, code)
		}
	}
	if won != 1 {
		t.Errorf("%s: %d of %d won, want 1", what, won, len(errors))
	}
}

// world is what most checks start from: a database, a schema and a stage.
type world struct {
	database, schema, stage *catalog.Object
}

// database, schema and stage make objects that are not in a catalog yet.
func database(name string) *catalog.Object {
	return &catalog.Object{Kind: catalog.KindDatabase, Name: catalog.Name{Object: name}, Owner: "R", Spec: &catalog.DatabaseSpec{RetentionDays: 1}}
}

func schema(database, name string) *catalog.Object {
	return &catalog.Object{Kind: catalog.KindSchema, Name: catalog.Name{Database: database, Object: name}, Owner: "R", Spec: &catalog.SchemaSpec{}}
}

func stage(database, schema, name string) *catalog.Object {
	return &catalog.Object{
		Kind: catalog.KindStage, Name: catalog.Name{Database: database, Schema: schema, Object: name}, Owner: "R",
		Spec: &catalog.StageSpec{Encryption: "SNOWFLAKE_SSE"},
	}
}

func role(name string) *catalog.Object {
	return &catalog.Object{Kind: catalog.KindRole, Name: catalog.Name{Object: name}, Owner: "R", Spec: &catalog.RoleSpec{}}
}

func user(name string) *catalog.Object {
	return &catalog.Object{Kind: catalog.KindUser, Name: catalog.Name{Object: name}, Owner: "R", Spec: &catalog.UserSpec{LoginName: name}}
}

// create adds objects.
func create(tx catalog.Objects, objects ...*catalog.Object) error {
	for _, o := range objects {
		if err := tx.CreateObject(o); err != nil {
			return err
		}
	}
	return nil
}

// newWorld adds D, D.S and D.S.ST.
func newWorld(t T, s catalog.Store) world {
	t.Helper()
	w := world{database: database("D"), schema: schema("D", "S"), stage: stage("D", "S", "ST")}
	update(t, s, func(tx catalog.Tx) error { return create(tx, w.database, w.schema, w.stage) })
	return w
}
