// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func nodeChecks() []Check {
	return []Check{
		{"a node lives as long as it is seen", checkNodes},
		{"a removed node knows", checkRemovedNode},
	}
}

// ids gives the ids of the nodes that were seen within a time.
func ids(t T, tx catalog.Tx, within time.Duration) []string {
	t.Helper()
	var found []string
	for _, n := range all(t, tx.ListNodes(within)) {
		found = append(found, n.ID)
	}
	return found
}

func checkNodes(t T, s catalog.Store) {
	old := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	silent, fresh := &catalog.Node{ID: "b", URL: "http://b", Started: old, Seen: old}, &catalog.Node{ID: "a", URL: "http://a"}
	update(t, s, func(tx catalog.Tx) error {
		for _, n := range []*catalog.Node{silent, fresh} {
			if err := tx.AddNode(n); err != nil {
				return err
			}
		}
		wantCode(t, "a node of a known id", tx.AddNode(&catalog.Node{ID: "a"}), errs.Exists)
		return nil
	})
	if fresh.Started.IsZero() || fresh.Started.After(fresh.Seen) {
		t.Errorf("a new node was started at %s and seen at %s", fresh.Started, fresh.Seen)
	}
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "nodes", all(t, tx.ListNodes(0)), []catalog.Node{*fresh, *silent})
		wantEqual(t, "nodes seen within an hour", ids(t, tx, time.Hour), []string{"a"})
		return nil
	})
	update(t, s, func(tx catalog.Tx) error { return tx.BeatNode("b") })
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "nodes seen within an hour after a beat", ids(t, tx, time.Hour), []string{"a", "b"})
		wantEqual(t, "start of a node that was seen again", all(t, tx.ListNodes(0))[1].Started, old)
		return nil
	})
}

func checkRemovedNode(t T, s catalog.Store) {
	update(t, s, func(tx catalog.Tx) error {
		for _, id := range []string{"a", "b"} {
			if err := tx.AddNode(&catalog.Node{ID: id}); err != nil {
				return err
			}
		}
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		for range 2 {
			if err := tx.RemoveNode("a"); err != nil {
				return err
			}
		}
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		wantCode(t, "a beat of a removed node", tx.BeatNode("a"), errs.NotFound)
		wantEqual(t, "nodes", ids(t, tx, 0), []string{"b"})
		return tx.BeatNode("b")
	})
}
