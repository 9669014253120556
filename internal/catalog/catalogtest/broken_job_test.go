// SPDX-License-Identifier: Apache-2.0

package catalogtest_test

import (
	"cmp"
	"iter"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

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
