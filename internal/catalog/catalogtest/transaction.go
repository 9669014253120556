// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func transactionChecks() []Check {
	return []Check{
		{"an update that fails leaves nothing", checkRollback},
		{"an update that panics leaves nothing", checkPanic},
		{"a view is a snapshot", checkSnapshot},
		{"a view cannot write", checkReadOnly},
		{"a transaction ends with its function", checkEnded},
		{"a transaction has one time", checkNow},
		{"updates do not lose each other's writes", checkLostUpdates},
		{"a cancelled caller hurts nobody else", checkCancel},
		{"a panic among others hurts nobody else", checkPanicAmongOthers},
		{"an outcome leaves the transaction usable", checkOutcome},
		{"walks may be nested, write, and be left early", checkWalk},
		{"a closed catalog is unavailable", checkClosed},
	}
}

func names(objects []*catalog.Object) []string {
	var all []string
	for _, o := range objects {
		all = append(all, o.Name.String())
	}
	return all
}

// databases lists the names of all databases.
func databases(t T, s catalog.Store) []string {
	t.Helper()
	var all []string
	view(t, s, func(tx catalog.Tx) error {
		for o, err := range tx.Objects(catalog.KindDatabase, catalog.Name{}) {
			if err != nil {
				return err
			}
			all = append(all, o.Name.Object)
		}
		return nil
	})
	return all
}

func checkRollback(t T, s catalog.Store) {
	update(t, s, func(tx catalog.Tx) error { return create(tx, database("KEPT")) })
	sorry := errors.New("sorry")
	err := s.Update(t.Context(), func(tx catalog.Tx) error {
		if err := create(tx, database("LOST")); err != nil {
			return err
		}
		return fmt.Errorf("wrapped: %w", sorry)
	})
	if !errors.Is(err, sorry) {
		t.Errorf("update gives %v, want what fn returned", err)
	}
	wantEqual(t, "databases", databases(t, s), []string{"KEPT"})
	if err := s.View(t.Context(), func(catalog.Tx) error { return sorry }); !errors.Is(err, sorry) {
		t.Errorf("view gives %v, want what fn returned", err)
	}
}

// updateOrPanic gives what an update panicked with, or nil.
func updateOrPanic(ctx context.Context, s catalog.Store, fn func(tx catalog.Tx) error) (panicked any, err error) {
	defer func() { panicked = recover() }()
	err = s.Update(ctx, fn)
	return nil, err
}

func checkPanic(t T, s catalog.Store) {
	panicked, err := updateOrPanic(t.Context(), s, func(tx catalog.Tx) error {
		if err := create(tx, database("LOST")); err != nil {
			return err
		}
		panic("sorry")
	})
	wantEqual(t, "panic", panicked, "sorry")
	wantCode(t, "error", err, "")
	update(t, s, func(tx catalog.Tx) error { return create(tx, database("KEPT")) })
	wantEqual(t, "databases", databases(t, s), []string{"KEPT"})
}

func checkSnapshot(t T, s catalog.Store) {
	newWorld(t, s)
	view(t, s, func(tx catalog.Tx) error {
		before := names(all(t, tx.Objects(catalog.KindDatabase, catalog.Name{})))
		wantEqual(t, "databases in the view", before, []string{"D"})
		written := together(1, func(int) error {
			return s.Update(t.Context(), func(tx catalog.Tx) error { return create(tx, database("E"), role("R1")) })
		})
		wantCode(t, "update beside the view", written[0], "")
		after := names(all(t, tx.Objects(catalog.KindDatabase, catalog.Name{})))
		wantEqual(t, "databases in the same view after an update", after, []string{"D"})
		_, err := tx.Object(catalog.KindRole, catalog.Name{Object: "R1"})
		wantCode(t, "role made beside the view", err, errs.NotFound)
		return nil
	})
	wantEqual(t, "databases after the view", databases(t, s), []string{"D", "E"})
}

func checkReadOnly(t T, s catalog.Store) {
	w := newWorld(t, s)
	job := &catalog.Job{Name: "J"}
	update(t, s, func(tx catalog.Tx) error { return tx.SubmitJob(job) })
	until := time.Now().Add(time.Hour)
	for what, write := range map[string]func(tx catalog.Tx) error{
		"create": func(tx catalog.Tx) error { return create(tx, database("E")) },
		"drop":   func(tx catalog.Tx) error { return tx.DropObject(w.stage.ID) },
		"claim":  func(tx catalog.Tx) error { _, err := tx.ClaimJob("w", until); return err },
	} {
		if err := s.View(t.Context(), write); err == nil {
			t.Errorf("%s in a view gives no error", what)
		}
	}
	wantEqual(t, "databases", databases(t, s), []string{"D"})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "stage", must(tx.ObjectByID(w.stage.ID))(t).Name, w.stage.Name)
		wantEqual(t, "worker", must(tx.Job(job.ID))(t).Worker, "")
		return nil
	})
}

func checkEnded(t T, s catalog.Store) {
	var kept catalog.Tx
	keep := func(tx catalog.Tx) error { kept = tx; return nil }
	use := func(what string) {
		if err := kept.CreateObject(database("LATE")); err == nil {
			t.Errorf("create after the end of %s gives no error", what)
		}
		if _, err := kept.Object(catalog.KindDatabase, catalog.Name{Object: "D"}); err == nil || errs.Is(err, errs.NotFound) {
			t.Errorf("lookup after the end of %s: got error %v, want that of a dead transaction", what, err)
		}
		ended := false
		for _, err := range kept.Objects(catalog.KindDatabase, catalog.Name{}) {
			ended = err != nil
		}
		if !ended {
			t.Errorf("listing after the end of %s gives no error", what)
		}
	}
	view(t, s, keep)
	use("a view")
	update(t, s, keep)
	use("an update")
	if p, _ := updateOrPanic(t.Context(), s, func(tx catalog.Tx) error { kept = tx; panic("sorry") }); p == nil {
		t.Errorf("the panic was swallowed")
	}
	use("a panic")
	wantEqual(t, "databases", len(databases(t, s)), 0)
}

func checkNow(t T, s catalog.Store) {
	var now time.Time
	o := database("D")
	before := time.Now()
	update(t, s, func(tx catalog.Tx) error {
		now = tx.Now()
		for start := time.Now(); time.Since(start) < 2*time.Microsecond; { // long enough that a running clock would show
		}
		if err := create(tx, o); err != nil {
			return err
		}
		wantEqual(t, "second look at the time", tx.Now(), now)
		return nil
	})
	if now.Location() != time.UTC || now != now.Truncate(time.Microsecond) {
		t.Errorf("the time is %v, want UTC in whole microseconds", now)
	}
	if d := now.Sub(before); d < -time.Minute || d > time.Minute {
		t.Errorf("the time is %v away from the clock", d)
	}
	wantEqual(t, "created", o.Created, now)
	exact := time.Date(2026, 2, 3, 4, 5, 6, 123456789, time.FixedZone("east", 3600))
	session := &catalog.Session{Expires: exact}
	update(t, s, func(tx catalog.Tx) error { return tx.PutSession(session) })
	view(t, s, func(tx catalog.Tx) error {
		read := must(tx.Session(session.ID))(t)
		if want := time.Date(2026, 2, 3, 3, 5, 6, 123456000, time.UTC); read.Expires != want {
			t.Errorf("a time comes back as %v, want %v", read.Expires, want)
		}
		if !read.Closed.IsZero() {
			t.Errorf("a zero time comes back as %v", read.Closed)
		}
		if got := must(tx.ObjectByID(o.ID))(t).Created; got != now {
			t.Errorf("created comes back as %v, want %v", got, now)
		}
		return nil
	})
}

func checkLostUpdates(t T, s catalog.Store) {
	w := newWorld(t, s)
	update(t, s, func(tx catalog.Tx) error {
		w.stage.Comment = "0"
		return tx.AlterObject(w.stage)
	})
	const goroutines, each = 8, 10
	for _, err := range together(goroutines, func(int) error {
		for range each {
			err := s.Update(t.Context(), func(tx catalog.Tx) error {
				o, err := tx.ObjectByID(w.stage.ID)
				if err != nil {
					return err
				}
				n, err := strconv.Atoi(o.Comment)
				if err != nil {
					return err
				}
				o.Comment = strconv.Itoa(n + 1)
				return tx.AlterObject(o)
			})
			if err != nil {
				return err
			}
		}
		return nil
	}) {
		wantCode(t, "error of an update", err, "")
	}
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "counter", must(tx.ObjectByID(w.stage.ID))(t).Comment, strconv.Itoa(goroutines*each))
		return nil
	})
}

func checkCancel(t T, s catalog.Store) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Update(gone, func(tx catalog.Tx) error { return create(tx, database("LOST")) })
	wantCode(t, "update of a cancelled caller", err, errs.Canceled)
	err = s.View(gone, func(tx catalog.Tx) error {
		_, err := tx.Object(catalog.KindDatabase, catalog.Name{Object: "LOST"})
		return err
	})
	wantCode(t, "view of a cancelled caller", err, errs.Canceled)

	const others = 12
	for i, err := range together(others, func(i int) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		return s.Update(ctx, func(tx catalog.Tx) error {
			if err := create(tx, database(fmt.Sprintf("D%02d", i))); err != nil {
				return err
			}
			if i%3 == 0 {
				cancel()
				return create(tx, database(fmt.Sprintf("LOST%02d", i)))
			}
			return nil
		})
	}) {
		if i%3 == 0 {
			wantCode(t, "update cancelled in the middle", err, errs.Canceled)
		} else {
			wantCode(t, "update beside cancelled ones", err, "")
		}
	}
	wantEqual(t, "databases", databases(t, s), []string{"D01", "D02", "D04", "D05", "D07", "D08", "D10", "D11"})
}

func checkPanicAmongOthers(t T, s catalog.Store) {
	for i, err := range together(12, func(i int) error {
		panicked, err := updateOrPanic(t.Context(), s, func(tx catalog.Tx) error {
			if err := create(tx, database(fmt.Sprintf("D%02d", i))); err != nil {
				return err
			}
			switch i % 4 {
			case 0:
				panic(i)
			case 1:
				return fmt.Errorf("error of %d", i)
			}
			return nil
		})
		if panicked != nil {
			return fmt.Errorf("panic of %v", panicked)
		}
		return err
	}) {
		got, want := fmt.Sprint(err), "<nil>"
		switch i % 4 {
		case 0:
			want = fmt.Sprintf("panic of %d", i)
		case 1:
			want = fmt.Sprintf("error of %d", i)
		}
		wantEqual(t, "end of an update", got, want)
	}
	wantEqual(t, "databases", databases(t, s), []string{"D02", "D03", "D06", "D07", "D10", "D11"})
}

func checkOutcome(t T, s catalog.Store) {
	update(t, s, func(tx catalog.Tx) error { return create(tx, database("D")) })
	update(t, s, func(tx catalog.Tx) error {
		wantCode(t, "second D", create(tx, database("D")), errs.Exists)
		_, err := tx.Object(catalog.KindDatabase, catalog.Name{Object: "NONE"})
		wantCode(t, "lookup of NONE", err, errs.NotFound)
		wantCode(t, "schema in NONE", create(tx, schema("NONE", "S")), errs.NotFound)
		return create(tx, database("E"))
	})
	wantEqual(t, "databases", databases(t, s), []string{"D", "E"})
}

func checkWalk(t T, s catalog.Store) {
	update(t, s, func(tx catalog.Tx) error {
		return create(tx, database("A"), database("B"), database("C"), schema("A", "S1"), schema("B", "S2"), schema("B", "S3"))
	})
	view(t, s, func(tx catalog.Tx) error {
		var seen []string
		for d, err := range tx.Objects(catalog.KindDatabase, catalog.Name{}) {
			if err != nil {
				return err
			}
			seen = append(seen, d.Name.String())
			for c, err := range tx.Objects(catalog.KindSchema, d.Name) {
				if err != nil {
					return err
				}
				seen = append(seen, must(tx.ObjectByID(c.ID))(t).Name.String())
			}
		}
		wantEqual(t, "nested walk", seen, []string{"A", "A.S1", "B", "B.S2", "B.S3", "C"})
		again := tx.Objects(catalog.KindDatabase, catalog.Name{})
		for range again {
			break
		}
		wantEqual(t, "walk after one that was left early", names(all(t, again)), []string{"A", "B", "C"})
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		for d, err := range tx.Objects(catalog.KindDatabase, catalog.Name{}) {
			if err != nil {
				return err
			}
			if err := tx.DropObject(d.ID); err != nil {
				return err
			}
			if err := create(tx, role(d.Name.Object)); err != nil {
				return err
			}
		}
		wantEqual(t, "roles made in a walk", names(all(t, tx.Objects(catalog.KindRole, catalog.Name{}))), []string{"A", "B", "C"})
		return nil
	})
	wantEqual(t, "databases", len(databases(t, s)), 0)
}

func checkClosed(t T, s catalog.Store) {
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	never := func(catalog.Tx) error { t.Errorf("fn runs in a closed catalog"); return nil }
	wantCode(t, "update after close", s.Update(t.Context(), never), errs.Unavailable)
	wantCode(t, "view after close", s.View(t.Context(), never), errs.Unavailable)
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}
