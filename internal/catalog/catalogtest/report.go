// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"bytes"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func reportChecks() []Check {
	return []Check{{"a report belongs to its object", checkReports}}
}

func checkReports(t T, s catalog.Store) {
	body := bytes.Repeat([]byte{0, 1, 0xff}, 50000)
	o := &catalog.Object{Kind: catalog.KindRuntimeEnvironment, Name: catalog.Name{Object: "E"}, Spec: &catalog.RuntimeEnvironmentSpec{}}
	update(t, s, func(tx catalog.Tx) error {
		if err := tx.CreateObject(o); err != nil {
			return err
		}
		if err := tx.PutReport(o.ID, []byte("first")); err != nil {
			return err
		}
		wantCode(t, "a report of nothing", tx.PutReport("00000000-0000-7000-8000-0000000000ff", body), errs.NotFound)
		return tx.PutReport(o.ID, body)
	})
	view(t, s, func(tx catalog.Tx) error {
		got, err := tx.Report(o.ID)
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("report: %d bytes, %v, want the %d of the second", len(got), err, len(body))
		}
		return nil
	})
	update(t, s, func(tx catalog.Tx) error { return tx.DropObject(o.ID) })
	view(t, s, func(tx catalog.Tx) error {
		_, err := tx.Report(o.ID)
		wantCode(t, "the report of a dropped object", err, errs.NotFound)
		return nil
	})
}
