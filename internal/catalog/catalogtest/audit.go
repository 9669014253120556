// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"time"

	"firn.dev/firn/internal/catalog"
)

func auditChecks() []Check {
	return []Check{{"the audit trail keeps every event, newest first", checkEvents}}
}

func checkEvents(t T, s catalog.Store) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	full := catalog.Event{
		ID: "00000000-0000-7000-8000-00000000000a", Time: at, User: "U", Role: "R", Action: "refuse", Kind: catalog.KindRuntimeEnvironment, Object: "D.S.E",
		Digest: "sha256:aa", Statement: "q", Allowed: true, Detail: "because",
	}
	older := catalog.Event{ID: "00000000-0000-7000-8000-00000000000b", Time: at.Add(-time.Hour), Action: "login"}
	var filled catalog.Event
	update(t, s, func(tx catalog.Tx) error {
		filled = catalog.Event{Time: tx.Now(), Action: "push"}
		for _, e := range []catalog.Event{full, older, {Action: "push"}} {
			if err := tx.AddEvent(e); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, s, func(tx catalog.Tx) error {
		got := all(t, tx.Events(time.Time{}, 10))
		if len(got) != 3 || got[0].ID == "" {
			t.Fatalf("events: %v, want three with ids", got)
		}
		filled.ID = got[0].ID
		wantEqual(t, "all events", got, []catalog.Event{filled, full, older})
		wantEqual(t, "events since a time", all(t, tx.Events(at, 10)), []catalog.Event{filled, full})
		wantEqual(t, "the newest event", all(t, tx.Events(time.Time{}, 1)), []catalog.Event{filled})
		return nil
	})
}
