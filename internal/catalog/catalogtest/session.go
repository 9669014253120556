// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func sessionChecks() []Check {
	return []Check{
		{"sessions come back as they were stored", checkSessions},
		{"tokens come back as they were stored", checkTokens},
		{"tokens are deleted by what they belong to", checkDeleteTokens},
		{"sessions and tokens expire", checkExpire},
		{"programmatic tokens are kept by user and name", checkProgramTokens},
	}
}

func checkSessions(t T, s catalog.Store) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC)
	full := &catalog.Session{
		User: "U", Role: "R", SecondaryRoles: "ALL", Bound: "R", Database: "D", Schema: "S", Warehouse: "W", Parameters: map[string]string{"TIMEZONE": "UTC"},
		Variables: map[string]string{"X": `{"type":"TEXT","value":"ü"}`}, Client: "PythonConnector 4.7.1", LastStatement: "q", JobID: "j",
		LastUsed: at, Expires: at.Add(time.Hour),
	}
	ids := map[int64]bool{}
	update(t, s, func(tx catalog.Tx) error {
		for range 50 {
			o := &catalog.Session{User: "O"}
			if err := tx.PutSession(o); err != nil {
				return err
			}
			if o.ID <= 0 || o.ID >= 1<<53 {
				t.Errorf("session id %d is not between 0 and 2^53", o.ID)
			}
			ids[o.ID] = true
		}
		if err := tx.PutSession(full); err != nil {
			return err
		}
		if !full.Created.Equal(tx.Now()) {
			t.Errorf("created is %v, want %v", full.Created, tx.Now())
		}
		return nil
	})
	wantEqual(t, "number of session ids", len(ids), 50)
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "session", must(tx.Session(full.ID))(t), full)
		_, err := tx.Session(1 << 60)
		wantCode(t, "unknown session", err, errs.NotFound)
		return nil
	})
	full.Role, full.Schema, full.Parameters, full.Variables, full.Closed = "R2", "", nil, map[string]string{}, at.Add(time.Minute)
	update(t, s, func(tx catalog.Tx) error { return tx.PutSession(full) })
	named := &catalog.Session{ID: 4711, User: "N", Created: at}
	update(t, s, func(tx catalog.Tx) error { return tx.PutSession(named) })
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "changed and closed session", must(tx.Session(full.ID))(t), full)
		wantEqual(t, "session with a given id", must(tx.Session(4711))(t), named)
		return nil
	})
}

func checkTokens(t T, s catalog.Store) {
	at := time.Date(2020, 1, 2, 3, 4, 5, 678000, time.UTC)
	expired := catalog.Token{
		Hash: "aa", Use: catalog.TokenTransfer, User: "U", Role: "R", Session: 1<<53 - 1, JobID: "j", Name: "stage path", Created: at, Expires: at,
	}
	bare := catalog.Token{Hash: "bb", Use: catalog.TokenProgram}
	update(t, s, func(tx catalog.Tx) error {
		if err := tx.PutToken(expired); err != nil {
			return err
		}
		stolen := expired
		stolen.User = "THIEF"
		wantCode(t, "second token of a hash", tx.PutToken(stolen), errs.Exists)
		bare.Created = tx.Now()
		return tx.PutToken(catalog.Token{Hash: "bb", Use: catalog.TokenProgram})
	})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "token", must(tx.Token("aa"))(t), expired)
		wantEqual(t, "token without a creation time", must(tx.Token("bb"))(t), bare)
		_, err := tx.Token("cc")
		wantCode(t, "unknown token", err, errs.NotFound)
		return nil
	})
}

func checkDeleteTokens(t T, s catalog.Store) {
	for _, c := range []struct {
		session int64
		job     catalog.ID
		user    string
		left    string
	}{
		{session: 1, left: "cdef"},
		{job: "j", left: "abef"},
		{user: "U", left: "bdf"},
		{session: 1, user: "U", left: "bcdef"},
		{job: "j", user: "V", left: "abcef"},
		{session: 9, left: "abcdef"},
	} {
		update(t, s, func(tx catalog.Tx) error {
			for _, k := range []catalog.Token{
				{Hash: "a", Session: 1, User: "U"}, {Hash: "b", Session: 1, User: "V"}, {Hash: "c", JobID: "j", User: "U"},
				{Hash: "d", JobID: "j", User: "V"}, {Hash: "e", Session: 2, User: "U"}, {Hash: "f"},
			} {
				if err := tx.PutToken(k); err != nil && !errs.Is(err, errs.Exists) {
					return err
				}
			}
			n, err := tx.DeleteTokens(c.session, c.job, c.user)
			wantEqual(t, "number of deleted tokens", n, 6-len(c.left))
			return err
		})
		left := ""
		view(t, s, func(tx catalog.Tx) error {
			for _, hash := range []string{"a", "b", "c", "d", "e", "f"} {
				if _, err := tx.Token(hash); err == nil {
					left += hash
				}
			}
			return nil
		})
		wantEqual(t, "tokens left", left, c.left)
	}
	update(t, s, func(tx catalog.Tx) error {
		_, err := tx.DeleteTokens(0, "", "")
		wantCode(t, "deleting tokens of nothing", err, errs.Invalid)
		must(tx.Token("a"))(t)
		return nil
	})
}

func checkExpire(t T, s catalog.Store) {
	newWorld(t, s)
	limit := time.Now().UTC().Truncate(time.Microsecond)
	sessions := []*catalog.Session{
		{ID: 30, Expires: limit.Add(-time.Second)}, {ID: 20, Expires: limit.Add(-time.Hour)}, {ID: 10, Expires: limit},
		{ID: 40}, {ID: 50, Expires: limit.Add(-time.Hour), Closed: limit.Add(-time.Minute)},
	}
	update(t, s, func(tx catalog.Tx) error {
		for _, o := range sessions {
			if err := tx.PutSession(o); err != nil {
				return err
			}
			temporary := stage("D", "S", string(rune('A'+o.ID/10)))
			temporary.Session = o.ID
			if err := create(tx, temporary); err != nil {
				return err
			}
			if err := tx.PutFile(&catalog.File{Stage: temporary.ID, Path: "f", Key: temporary.Name.Object}); err != nil {
				return err
			}
		}
		for _, k := range []catalog.Token{{Hash: "over", Expires: limit.Add(-time.Microsecond)}, {Hash: "now", Expires: limit}, {Hash: "endless"}} {
			if err := tx.PutToken(k); err != nil {
				return err
			}
		}
		return nil
	})
	var closed time.Time
	update(t, s, func(tx catalog.Tx) error {
		closed = tx.Now()
		wantEqual(t, "closed sessions", must(tx.ExpireSessions(limit))(t), []int64{20, 30})
		return nil
	})
	view(t, s, func(tx catalog.Tx) error {
		for _, o := range sessions {
			want := o.Closed
			if o.ID == 20 || o.ID == 30 {
				want = closed
			}
			wantEqual(t, "end of a session", must(tx.Session(o.ID))(t).Closed, want)
		}
		wantEqual(t, "stages", names(all(t, tx.Objects(catalog.KindStage, catalog.Name{}))), []string{"D.S.B", "D.S.E", "D.S.ST"})
		wantEqual(t, "orphans", all(t, tx.OrphanKeys(closed.Add(time.Second))), []string{"C", "D", "F"})
		_, err := tx.Token("over")
		wantCode(t, "expired token", err, errs.NotFound)
		must(tx.Token("now"))(t)
		must(tx.Token("endless"))(t)
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "sessions closed the second time", len(must(tx.ExpireSessions(limit))(t)), 0)
		return nil
	})
}

func checkProgramTokens(t T, s catalog.Store) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC)
	token := catalog.Token{Hash: "h1", Use: catalog.TokenProgram, User: "U", Name: "CI", Created: at, Expires: at, Comment: "ü", CreatedBy: "ADMIN"}
	update(t, s, func(tx catalog.Tx) error {
		for _, k := range []catalog.Token{
			token, {Hash: "h2", Use: catalog.TokenProgram, User: "U", Name: "B"}, {Hash: "h3", Use: catalog.TokenProgram, User: "V", Name: "A"},
			{Hash: "h4", Use: catalog.TokenRegistry, User: "U"},
		} {
			must(0, tx.PutToken(k))(t)
		}
		must(tx.ExpireSessions(tx.Now()))(t) // programmatic tokens are shown as expired until somebody removes them
		return nil
	})
	token.Name, token.Role, token.Comment, token.Disabled, token.RotatedTo = "CI2", "R", "", true, "NEW"
	token.Expires = at.Add(time.Hour)
	update(t, s, func(tx catalog.Tx) error {
		wantCode(t, "change of nothing", tx.AlterToken(catalog.Token{Hash: "none"}), errs.NotFound)
		wantCode(t, "removal of nothing", tx.DeleteToken("none"), errs.NotFound)
		return tx.AlterToken(token)
	})
	update(t, s, func(tx catalog.Tx) error {
		tokens := all(t, tx.ProgramTokens("U"))
		if len(tokens) != 2 || tokens[0].Hash != "h2" {
			t.Fatalf("tokens of U: %+v", tokens)
		}
		wantEqual(t, "token", tokens[1], token)
		wantEqual(t, "tokens of nobody", len(all(t, tx.ProgramTokens(""))), 0)
		must(0, tx.DeleteToken("h2"))(t)
		wantEqual(t, "tokens after a removal", len(all(t, tx.ProgramTokens("U"))), 1)
		return nil
	})
}
