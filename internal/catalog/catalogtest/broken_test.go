// SPDX-License-Identifier: Apache-2.0

package catalogtest_test

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
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

func brokenRows() map[string]func(catalog.Store) catalog.Store {
	return map[string]func(catalog.Store) catalog.Store{
		"grants come back in order, and change their grant option": onTx(func(tx catalog.Tx) catalog.Tx { return losesOption{tx} }),
		"grants are taken away one by one":                         onTx(func(tx catalog.Tx) catalog.Tx { return takesAll{tx} }),
		"the role graph keeps its edges in order":                  onTx(func(tx catalog.Tx) catalog.Tx { return reversesEdges{tx} }),
		"sessions come back as they were stored":                   onTx(func(tx catalog.Tx) catalog.Tx { return losesVariables{tx} }),
		"tokens come back as they were stored":                     onTx(func(tx catalog.Tx) catalog.Tx { return losesTokenName{tx} }),
		"tokens are deleted by what they belong to":                onTx(func(tx catalog.Tx) catalog.Tx { return deletesMore{tx} }),
		"sessions and tokens expire":                               onTx(func(tx catalog.Tx) catalog.Tx { return expiresEarly{tx} }),
		"statements come back as they were stored":                 onTx(func(tx catalog.Tx) catalog.Tx { return losesResult{tx} }),
		"a request id runs once in its session":                    onTx(func(tx catalog.Tx) catalog.Tx { return beginsAgain{tx} }),
		"one of many statements of one request id wins":            onTx(func(tx catalog.Tx) catalog.Tx { return beginsAgain{tx} }),
		"a statement ends once":                                    onTx(func(tx catalog.Tx) catalog.Tx { return endsAgain{tx} }),
		"history lists what was asked for, newest first":           onTx(func(tx catalog.Tx) catalog.Tx { return showsAllRoles{tx} }),
		"statements of a lost node fail":                           onTx(func(tx catalog.Tx) catalog.Tx { return failsNothing{tx} }),
		"old results and statements are purged":                    onTx(func(tx catalog.Tx) catalog.Tx { return purgesMore{tx} }),
		"files come back as they were stored":                      onTx(func(tx catalog.Tx) catalog.Tx { return losesMD5{tx} }),
		"files are listed by prefix in byte order":                 onTx(func(tx catalog.Tx) catalog.Tx { return likesWildcards{tx} }),
		"bytes without a file are orphans":                         onTx(func(tx catalog.Tx) catalog.Tx { return collectsEarly{tx} }),
		"the audit trail keeps every event, newest first":          onTx(func(tx catalog.Tx) catalog.Tx { return ignoresLimit{tx} }),
	}
}

type losesOption struct{ catalog.Tx }

func (w losesOption) PutGrant(g catalog.Grant) error {
	g.GrantOption = false
	return w.Tx.PutGrant(g)
}

type takesAll struct{ catalog.Tx }

func (w takesAll) DeleteGrant(object catalog.ID, _ catalog.Privilege, role string) error {
	for _, g := range collect(w.GrantsOn(object)) {
		if err := w.Tx.DeleteGrant(object, g.Privilege, role); err != nil {
			return err
		}
	}
	return nil
}

type reversesEdges struct{ catalog.Tx }

func (w reversesEdges) RoleGrants() iter.Seq2[catalog.RoleGrant, error] {
	all := collect(w.Tx.RoleGrants())
	slices.Reverse(all)
	return values(all)
}

type losesVariables struct{ catalog.Tx }

func (w losesVariables) Session(id int64) (*catalog.Session, error) {
	s, err := w.Tx.Session(id)
	if err == nil {
		s.Variables = nil
	}
	return s, err
}

type losesTokenName struct{ catalog.Tx }

func (w losesTokenName) PutToken(k catalog.Token) error {
	k.Name = ""
	return w.Tx.PutToken(k)
}

type deletesMore struct{ catalog.Tx }

func (w deletesMore) DeleteTokens(session int64, job catalog.ID, user string) (int, error) {
	if session != 0 || job != "" {
		user = ""
	}
	return w.Tx.DeleteTokens(session, job, user)
}

type expiresEarly struct{ catalog.Tx }

func (w expiresEarly) ExpireSessions(before time.Time) ([]int64, error) {
	return w.Tx.ExpireSessions(before.Add(time.Microsecond))
}

type losesResult struct{ catalog.Tx }

func (w losesResult) EndStatement(s *catalog.Statement) error {
	ended := *s
	ended.Result = nil
	err := w.Tx.EndStatement(&ended)
	s.Ended = ended.Ended
	return err
}

type beginsAgain struct{ catalog.Tx }

func (w beginsAgain) BeginStatement(s *catalog.Statement) error {
	return unless(errs.Exists, w.Tx.BeginStatement(s))
}

type endsAgain struct{ catalog.Tx }

func (w endsAgain) EndStatement(s *catalog.Statement) error {
	return unless(errs.Conflict, w.Tx.EndStatement(s))
}

type showsAllRoles struct{ catalog.Tx }

func (w showsAllRoles) History(f catalog.StatementFilter) iter.Seq2[*catalog.Statement, error] {
	f.Roles = nil
	return w.Tx.History(f)
}

type failsNothing struct{ catalog.Tx }

func (w failsNothing) FailAbandoned(string, string) (int, error) { return 2, nil }

type purgesMore struct{ catalog.Tx }

func (w purgesMore) PurgeStatements(resultsBefore, _ time.Time) error {
	return w.Tx.PurgeStatements(resultsBefore, resultsBefore)
}

type losesMD5 struct{ catalog.Tx }

func (w losesMD5) PutFile(f *catalog.File) error {
	stored := *f
	stored.MD5 = ""
	err := w.Tx.PutFile(&stored)
	f.Modified = stored.Modified
	return err
}

// likesWildcards lets _ in a prefix stand for any character, as LIKE does.
type likesWildcards struct{ catalog.Tx }

func (w likesWildcards) Files(stage catalog.ID, prefix string) iter.Seq2[*catalog.File, error] {
	return w.Tx.Files(stage, strings.TrimSuffix(prefix, "_"))
}

type collectsEarly struct{ catalog.Tx }

func (w collectsEarly) OrphanKeys(before time.Time) iter.Seq2[string, error] {
	return w.Tx.OrphanKeys(before.Add(24 * time.Hour))
}

type ignoresLimit struct{ catalog.Tx }

func (w ignoresLimit) Events(since time.Time, _ int) iter.Seq2[catalog.Event, error] {
	return w.Tx.Events(since, 1000)
}

func brokenJobs() map[string]func(catalog.Store) catalog.Store {
	return map[string]func(catalog.Store) catalog.Store{
		"jobs come back as they were stored":                     onTx(func(tx catalog.Tx) catalog.Tx { return losesPlan{tx} }),
		"a job moves from one state to another":                  onTx(func(tx catalog.Tx) catalog.Tx { return losesChange{tx} }),
		"one of many moves of one job wins":                      onTx(func(tx catalog.Tx) catalog.Tx { return movesAgain{tx} }),
		"jobs are found by what was asked for, newest first":     onTx(func(tx catalog.Tx) catalog.Tx { return showsAllPools{tx} }),
		"the oldest pending job without a live lease is claimed": onTx(func(tx catalog.Tx) catalog.Tx { return claimsForEver{tx} }),
		"many workers claim each job once":                       onTx(func(tx catalog.Tx) catalog.Tx { return claimsTwice{tx} }),
		"a lease is renewed by who holds it":                     onTx(func(tx catalog.Tx) catalog.Tx { return renewsAnyway{tx} }),
		"a passed lease is taken over":                           onTx(func(tx catalog.Tx) catalog.Tx { return takesAnyway{tx} }),
		"jobs whose lease passed are listed":                     onTx(func(tx catalog.Tx) catalog.Tx { return rescuesEarly{tx} }),
	}
}

type losesPlan struct{ catalog.Tx }

func (w losesPlan) Job(id catalog.ID) (*catalog.Job, error) {
	j, err := w.Tx.Job(id)
	if err == nil {
		j.Plan.Timeout = 0
	}
	return j, err
}

type losesChange struct{ catalog.Tx }

func (w losesChange) TransitionJob(id catalog.ID, from, to catalog.JobState, _ func(*catalog.Job)) error {
	return w.Tx.TransitionJob(id, from, to, nil)
}

type movesAgain struct{ catalog.Tx }

func (w movesAgain) TransitionJob(id catalog.ID, from, to catalog.JobState, change func(*catalog.Job)) error {
	return unless(errs.Conflict, w.Tx.TransitionJob(id, from, to, change))
}

type showsAllPools struct{ catalog.Tx }

func (w showsAllPools) FindJobs(f catalog.JobFilter) iter.Seq2[*catalog.Job, error] {
	f.Pool = ""
	return w.Tx.FindJobs(f)
}

// claimsForEver gives leases that do not pass.
type claimsForEver struct{ catalog.Tx }

func (w claimsForEver) ClaimJob(worker string, _ time.Time) (*catalog.Job, error) {
	return w.Tx.ClaimJob(worker, w.Now().Add(1000*time.Hour))
}

// claimsTwice gives job 100 away a second time.
type claimsTwice struct{ catalog.Tx }

func (w claimsTwice) ClaimJob(worker string, until time.Time) (*catalog.Job, error) {
	j, err := w.Tx.ClaimJob(worker, until)
	if err != nil || j.ID != "100" || j.Message == "seen" {
		return j, err
	}
	err = w.TransitionJob(j.ID, j.State, j.State, func(j *catalog.Job) { j.Message = "seen" })
	return j, cmp.Or(err, w.RenewJob(j.ID, worker, w.Now().Add(-time.Hour)))
}

type renewsAnyway struct{ catalog.Tx }

func (w renewsAnyway) RenewJob(id catalog.ID, worker string, until time.Time) error {
	return unless(errs.Conflict, w.Tx.RenewJob(id, worker, until))
}

type takesAnyway struct{ catalog.Tx }

func (w takesAnyway) TakeJob(id catalog.ID, worker string, until time.Time) (*catalog.Job, error) {
	j, err := w.Tx.TakeJob(id, worker, until)
	if errs.Is(err, errs.Conflict) {
		return w.Job(id)
	}
	return j, err
}

type rescuesEarly struct{ catalog.Tx }

func (w rescuesEarly) ExpiredJobs(now time.Time) iter.Seq2[*catalog.Job, error] {
	return w.Tx.ExpiredJobs(now.Add(time.Microsecond))
}
