// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"fmt"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func statementChecks() []Check {
	return []Check{
		{"statements come back as they were stored", checkStatements},
		{"a request id runs once in its session", checkRequests},
		{"one of many statements of one request id wins", checkRequestRace},
		{"a statement ends once", checkEnds},
		{"history lists what was asked for, newest first", checkHistory},
		{"statements of a lost node fail", checkAbandoned},
		{"old results and statements are purged", checkPurge},
	}
}

func checkStatements(t T, s catalog.Store) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC)
	q := &catalog.Statement{
		ID: "q1", RequestID: "r1", Session: 1<<53 - 1, Parent: "q0", User: "U", Role: "R", Database: "D", Schema: "S", Warehouse: "W", Tag: "T",
		Text: "SELECT 'ü😀'", TypeID: 4096, Async: true, Node: "n", Started: at,
	}
	plain := &catalog.Statement{ID: "q2", Text: "SELECT 2", Status: catalog.StatementSuccess}
	update(t, s, func(tx catalog.Tx) error {
		if err := tx.BeginStatement(q); err != nil {
			return err
		}
		if err := tx.BeginStatement(plain); err != nil {
			return err
		}
		wantEqual(t, "status", plain.Status, catalog.StatementRunning)
		if !plain.Started.Equal(tx.Now()) {
			t.Errorf("started is %v, want %v", plain.Started, tx.Now())
		}
		return nil
	})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "running statement", must(tx.Statement("q1"))(t), q)
		wantEqual(t, "statement of a request", must(tx.StatementByRequest(q.Session, "r1"))(t), q)
		wantEqual(t, "statement without a request", must(tx.Statement("q2"))(t), plain)
		_, err := tx.Statement("none")
		wantCode(t, "unknown statement", err, errs.NotFound)
		_, err = tx.StatementByRequest(1, "r1")
		wantCode(t, "request of another session", err, errs.NotFound)
		_, err = tx.StatementByRequest(0, "")
		wantCode(t, "no request", err, errs.NotFound)
		return nil
	})
	q.Status, q.ErrorCode, q.SQLState, q.Message, q.Rows = catalog.StatementFailed, 2003, "02000", "does not exist", 7
	q.Result, q.Ended = []byte{0, 1, 0xff, 0}, at.Add(time.Second)
	plain.Status, plain.Rows = catalog.StatementSuccess, 1
	update(t, s, func(tx catalog.Tx) error {
		if err := tx.EndStatement(q); err != nil {
			return err
		}
		if err := tx.EndStatement(plain); err != nil {
			return err
		}
		if !plain.Ended.Equal(tx.Now()) {
			t.Errorf("ended is %v, want %v", plain.Ended, tx.Now())
		}
		return nil
	})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "ended statement", must(tx.Statement("q1"))(t), q)
		wantEqual(t, "ended statement of a request", must(tx.StatementByRequest(q.Session, "r1"))(t), q)
		wantEqual(t, "ended statement without a result", must(tx.Statement("q2"))(t), plain)
		return nil
	})
}

func checkRequests(t T, s catalog.Store) {
	begin := func(id string, session int64, request string) error {
		return s.Update(t.Context(), func(tx catalog.Tx) error {
			return tx.BeginStatement(&catalog.Statement{ID: id, Session: session, RequestID: request, Text: id})
		})
	}
	wantCode(t, "first", begin("a", 1, "r"), "")
	wantCode(t, "same request", begin("b", 1, "r"), errs.Exists)
	wantCode(t, "same id", begin("a", 1, "r2"), errs.Exists)
	wantCode(t, "other session", begin("c", 2, "r"), "")
	wantCode(t, "no request", begin("d", 1, ""), "")
	wantCode(t, "no request again", begin("e", 1, ""), "")
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "statement of the request", must(tx.StatementByRequest(1, "r"))(t).Text, "a")
		_, err := tx.Statement("b")
		wantCode(t, "statement that was refused", err, errs.NotFound)
		return nil
	})
}

func checkRequestRace(t T, s catalog.Store) {
	for round := range 5 {
		wantOneWinner(t, "begin", together(8, func(i int) error {
			return s.Update(t.Context(), func(tx catalog.Tx) error {
				return tx.BeginStatement(&catalog.Statement{ID: fmt.Sprint(round, i), Session: 1, RequestID: fmt.Sprint(round)})
			})
		}), errs.Exists)
	}
}

func checkEnds(t T, s catalog.Store) {
	end := func(id string, status catalog.StatementStatus) error {
		return s.Update(t.Context(), func(tx catalog.Tx) error { return tx.EndStatement(&catalog.Statement{ID: id, Status: status}) })
	}
	update(t, s, func(tx catalog.Tx) error { return tx.BeginStatement(&catalog.Statement{ID: "a"}) })
	wantCode(t, "end of an unknown statement", end("none", catalog.StatementSuccess), errs.NotFound)
	wantCode(t, "end that is none", end("a", catalog.StatementRunning), errs.Invalid)
	wantOneWinner(t, "end", together(6, func(int) error { return end("a", catalog.StatementAborted) }), errs.Conflict)
	wantCode(t, "second end", end("a", catalog.StatementSuccess), errs.Conflict)
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "status", must(tx.Statement("a"))(t).Status, catalog.StatementAborted)
		return nil
	})
}

func checkHistory(t T, s catalog.Store) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	update(t, s, func(tx catalog.Tx) error {
		for i := range 120 {
			q := &catalog.Statement{
				ID: fmt.Sprintf("%03d", i), Session: int64(1 + i%2), User: fmt.Sprint("U", i%3), Role: fmt.Sprint("R", i%4),
				Started: at.Add(time.Duration(i/2) * time.Second), // pairs of the same time
			}
			if err := tx.BeginStatement(q); err != nil {
				return err
			}
			if i%5 != 0 {
				continue
			}
			q.Status, q.Result = catalog.StatementSuccess, []byte("result")
			if err := tx.EndStatement(q); err != nil {
				return err
			}
		}
		return nil
	})
	for what, c := range map[string]struct {
		filter catalog.StatementFilter
		want   func(i int) bool
	}{
		"nothing":      {catalog.StatementFilter{}, func(i int) bool { return i >= 20 }},
		"a limit":      {catalog.StatementFilter{Limit: 3}, func(i int) bool { return i >= 117 }},
		"no limit":     {catalog.StatementFilter{Limit: 1000}, func(int) bool { return true }},
		"session":      {catalog.StatementFilter{Session: 2}, func(i int) bool { return i%2 == 1 }},
		"user":         {catalog.StatementFilter{User: "U1"}, func(i int) bool { return i%3 == 1 }},
		"roles":        {catalog.StatementFilter{Roles: []string{"R1", "R3", "X"}}, func(i int) bool { return i%2 == 1 }},
		"no role":      {catalog.StatementFilter{Roles: []string{}}, func(int) bool { return false }},
		"status":       {catalog.StatementFilter{Status: catalog.StatementSuccess}, func(i int) bool { return i%5 == 0 }},
		"time":         {catalog.StatementFilter{StartedSince: at.Add(10 * time.Second), StartedUntil: at.Add(20 * time.Second)}, func(i int) bool { return i >= 20 && i < 40 }},
		"all together": {catalog.StatementFilter{Session: 1, User: "U0", Roles: []string{"R0"}, Limit: 2, StartedUntil: at.Add(time.Minute)}, func(i int) bool { return i == 108 || i == 96 }},
	} {
		var want []string
		for i := 119; i >= 0; i-- {
			if c.want(i) {
				want = append(want, fmt.Sprintf("%03d", i))
			}
		}
		view(t, s, func(tx catalog.Tx) error {
			var got []string
			for _, q := range all(t, tx.History(c.filter)) {
				got = append(got, q.ID)
				if q.Result != nil {
					t.Errorf("history has the result of %s", q.ID)
				}
			}
			wantEqual(t, "history by "+what, got, want)
			return nil
		})
	}
}

func checkAbandoned(t T, s catalog.Store) {
	update(t, s, func(tx catalog.Tx) error {
		for _, q := range []*catalog.Statement{{ID: "a", Node: "n"}, {ID: "b", Node: "n"}, {ID: "c", Node: "m"}, {ID: "d", Node: "n"}} {
			if err := tx.BeginStatement(q); err != nil {
				return err
			}
		}
		return tx.EndStatement(&catalog.Statement{ID: "d", Status: catalog.StatementSuccess, Message: "fine"})
	})
	var now time.Time
	update(t, s, func(tx catalog.Tx) error {
		now = tx.Now()
		wantEqual(t, "number of failed statements", must(tx.FailAbandoned("n", "lost"))(t), 2)
		return nil
	})
	view(t, s, func(tx catalog.Tx) error {
		for id, want := range map[string]string{"a": "FAILED_WITH_ERROR lost", "b": "FAILED_WITH_ERROR lost", "c": "RUNNING ", "d": "SUCCESS fine"} {
			q := must(tx.Statement(id))(t)
			wantEqual(t, "statement "+id, fmt.Sprint(q.Status, " ", q.Message), want)
		}
		wantEqual(t, "end of a failed statement", must(tx.Statement("a"))(t).Ended, now)
		return nil
	})
}

func checkPurge(t T, s catalog.Store) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return at.AddDate(0, 0, n) }
	update(t, s, func(tx catalog.Tx) error {
		for _, q := range []*catalog.Statement{
			{ID: "old", Started: day(0), Ended: day(1)}, {ID: "middle", Started: day(0), Ended: day(3)}, {ID: "new", Started: day(0), Ended: day(5)},
			{ID: "edge", Started: day(2), Ended: day(4)}, {ID: "running", Started: day(0)},
		} {
			ended := q.Ended
			if err := tx.BeginStatement(q); err != nil {
				return err
			}
			if ended.IsZero() {
				continue
			}
			q.Status, q.Result, q.Ended = catalog.StatementSuccess, []byte("result"), ended
			if err := tx.EndStatement(q); err != nil {
				return err
			}
		}
		return nil
	})
	update(t, s, func(tx catalog.Tx) error { return tx.PurgeStatements(day(4), day(2)) })
	view(t, s, func(tx catalog.Tx) error {
		_, err := tx.Statement("old")
		wantCode(t, "statement that ended long ago", err, errs.NotFound)
		for id, want := range map[string]string{"middle": "", "edge": "result", "new": "result", "running": ""} {
			wantEqual(t, "result of statement "+id, string(must(tx.Statement(id))(t).Result), want)
		}
		return nil
	})
}
