// SPDX-License-Identifier: Apache-2.0

package catalogtest_test

import (
	"iter"
	"slices"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

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
		"a node lives as long as it is seen":                       onTx(func(tx catalog.Tx) catalog.Tx { return seesAll{tx} }),
		"a removed node knows":                                     onTx(func(tx catalog.Tx) catalog.Tx { return beatsOn{tx} }),
		"old results and statements are purged":                    onTx(func(tx catalog.Tx) catalog.Tx { return purgesMore{tx} }),
		"files come back as they were stored":                      onTx(func(tx catalog.Tx) catalog.Tx { return losesMD5{tx} }),
		"files are listed by prefix in byte order":                 onTx(func(tx catalog.Tx) catalog.Tx { return likesWildcards{tx} }),
		"bytes without a file are orphans":                         onTx(func(tx catalog.Tx) catalog.Tx { return collectsEarly{tx} }),
		"the audit trail keeps every event, newest first":          onTx(func(tx catalog.Tx) catalog.Tx { return ignoresLimit{tx} }),
		"a report belongs to its object":                           onTx(func(tx catalog.Tx) catalog.Tx { return keepsFirstReport{tx} }),
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

type seesAll struct{ catalog.Tx }

func (w seesAll) ListNodes(time.Duration) iter.Seq2[catalog.Node, error] { return w.Tx.ListNodes(0) }

type beatsOn struct{ catalog.Tx }

func (w beatsOn) BeatNode(id string) error { return unless(errs.NotFound, w.Tx.BeatNode(id)) }

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

type keepsFirstReport struct{ catalog.Tx }

func (w keepsFirstReport) PutReport(object catalog.ID, report []byte) error {
	if _, err := w.Report(object); err == nil {
		return nil
	}
	return w.Tx.PutReport(object, report)
}
