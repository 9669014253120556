// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

const (
	historyOfMine = "select * from D.INFORMATION_SCHEMA.CUSTOM_RUNTIME_ENVIRONMENT_HISTORY where ENVIRONMENT_NAME = 'MY_CRE'"
	replaceMine   = "create or replace custom runtime environment MY_CRE image_path = '/d/s/repo/app:v1' base_image_type = CPU"
)

func benchDigest(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }

func benchRepository() catalog.Name {
	return catalog.Name{Database: "D", Schema: "S", Object: "REPO"}
}

func TestEnvironmentHistory(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, b *jobBench) {
		if rows := b.run(b.admin, historyOfMine); len(rows) != 0 {
			t.Fatalf("before anything ended: %v", rows)
		}
		b.push(benchRepository(), "app", "v1", benchDigest("c"))
		row := b.run(b.admin, "desc custom runtime environment MY_CRE")[0]
		if row["image_status"] != "DRIFTED" || row["digest"] != benchDigest("a") {
			t.Errorf("after the push: %v", row)
		}
		created := row["created_on"]
		b.run(b.admin, "alter custom runtime environment MY_CRE set cre_status = DEPRECATED")
		if rows := b.run(b.admin, historyOfMine); len(rows) != 0 {
			t.Errorf("a status is no end: %v", rows)
		}
		b.run(b.admin, replaceMine)
		rows := b.run(b.admin, historyOfMine)
		if len(rows) != 1 {
			t.Fatalf("after OR REPLACE: %v", rows)
		}
		for column, want := range map[string]string{
			"ENVIRONMENT_NAME": "MY_CRE", "OWNER": "ACCOUNTADMIN", "IMAGE_PATH": "/d/s/repo/app:v1", "DIGEST": benchDigest("a"), "CRE_STATUS": "DEPRECATED",
			"PINNED_IMAGE_PATH": "/d/s/repo/app@" + benchDigest("a"), "BASE_IMAGE_TYPE": "CPU", "VERDICT": "pass", "POLICY": "default (sha256 f00)",
			"START_TIME": created, "END_REASON": "REPLACED", "USER_NAME": "ADMIN", "ROLE_NAME": "ACCOUNTADMIN",
		} {
			if rows[0][column] != want {
				t.Errorf("%s is %q, want %q", column, rows[0][column], want)
			}
		}
		if text := b.cell(b.admin, "select QUERY_TEXT from table(D.INFORMATION_SCHEMA.QUERY_HISTORY()) where QUERY_ID = '"+rows[0]["QUERY_ID"]+"'"); text != replaceMine {
			t.Errorf("QUERY_ID is of %q", text)
		}
		if now := b.run(b.admin, "desc custom runtime environment MY_CRE")[0]; rows[0]["END_TIME"] != now["created_on"] || now["digest"] != benchDigest("c") {
			t.Errorf("the new one begins when the old one ended: %v, %v", rows[0], now)
		}
		b.goesBack(rows[0])
		b.run(b.admin, "drop custom runtime environment MY_CRE")
		var ends []string
		for _, row := range b.run(b.admin, historyOfMine) {
			ends = append(ends, row["END_REASON"]+" "+row["DIGEST"][7:8])
		}
		if want := []string{"DROPPED a", "REPLACED c", "REPLACED a"}; !slices.Equal(ends, want) {
			t.Errorf("ends %v, want %v", ends, want)
		}
		// What DROP did not end is in no history.
		b.refuses(b.admin, 2003, "drop custom runtime environment MY_CRE")
		b.run(b.admin, "drop custom runtime environment if exists MY_CRE")
		if rows := b.run(b.admin, historyOfMine); len(rows) != 3 {
			t.Errorf("after a DROP of nothing: %v", rows)
		}
	})
}

// goesBack registers the image of an entry of the history again, which makes it usable though its tag has moved.
func (b *jobBench) goesBack(entry map[string]string) {
	b.t.Helper()
	b.run(b.admin, "create or replace custom runtime environment MY_CRE image_path = '"+entry["PINNED_IMAGE_PATH"]+"' base_image_type = "+entry["BASE_IMAGE_TYPE"])
	now := b.run(b.admin, "desc custom runtime environment MY_CRE")[0]
	if now["digest"] != entry["DIGEST"] || now["image_status"] != "CURRENT" || now["cre_status"] != "RESOLVED" || now["tag"] != "" {
		b.t.Errorf("after the way back: %v", now)
	}
}

// TestEnvironmentHistoryHolds: the deletion of an image and its collection ask the same account for the same days.
func TestEnvironmentHistoryHolds(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, b *jobBench) {
		b.push(benchRepository(), "app", "v1", benchDigest("c"))
		b.run(b.admin, replaceMine)
		b.held(30)
		b.run(b.admin, "alter account set runtime_environment_history_retention_time_in_days = 90")
		b.held(90)
		b.run(b.admin, "alter account set runtime_environment_history_retention_time_in_days = 0")
		b.held(0)
		b.run(b.admin, "alter account unset runtime_environment_history_retention_time_in_days")
		b.held(30)
	})
}

// held checks for how many days the first image of MY_CRE is held: HELD_UNTIL, what the collector keeps, and what may be deleted. It
// changes nothing.
func (b *jobBench) held(days int) {
	b.t.Helper()
	entry := b.run(b.admin, historyOfMine)[0]
	ended, until := benchTime(b.t, entry["END_TIME"]), benchTime(b.t, entry["HELD_UNTIL"])
	if got := until.Sub(ended); got != time.Duration(days)*24*time.Hour {
		b.t.Errorf("HELD_UNTIL is %s after the end, want %d days", got, days)
	}
	repo := b.repository()
	tried := errs.New(errs.Canceled, "only tried")
	err := b.store.Update(context.Background(), func(tx catalog.Tx) error {
		if err := tx.RenewHeld(tx.Now().Add(time.Hour)); err != nil {
			return err
		}
		m, err := tx.Manifest(repo, "app", benchDigest("a"))
		if err != nil {
			return err
		}
		if kept := m.Leased.Equal(tx.Now()); kept != (days > 0) {
			b.t.Errorf("with %d days the collector keeps it: %v", days, kept)
		}
		err = tx.DeleteManifest(repo, "app", benchDigest("a"))
		if errs.Is(err, errs.Refused) != (days > 0) {
			b.t.Errorf("with %d days deletion gives %v", days, err)
		}
		if names := "history of environment MY_CRE until " + until.UTC().Format("2006-01-02 15:04"); err != nil && !strings.Contains(err.Error(), names) {
			b.t.Errorf("no %q in %v", names, err)
		}
		return tried
	})
	if !errors.Is(err, tried) {
		b.t.Error(err)
	}
}

// benchTime reads a cell of a timestamp.
func benchTime(t *testing.T, cell string) time.Time {
	t.Helper()
	seconds, err := strconv.ParseFloat(cell, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000)))
}

func TestEnvironmentHistoryIsForThoseWhoMayKnow(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, b *jobBench) {
		seen := func(want int, when string) {
			t.Helper()
			if rows := b.run(b.ann, "select * from D.INFORMATION_SCHEMA.CUSTOM_RUNTIME_ENVIRONMENT_HISTORY"); len(rows) != want {
				t.Errorf("%s: %d rows, want %d", when, len(rows), want)
			}
		}
		for _, text := range []string{"usage on database D", "usage on schema D.S", "read on image repository D.S.REPO", "create custom runtime environment on account"} {
			b.run(b.admin, "grant "+text+" to role SCIENTIST")
		}
		b.run(b.admin, replaceMine)
		seen(0, "of somebody else")
		b.run(b.admin, "grant usage on custom runtime environment MY_CRE to role SCIENTIST")
		seen(1, "with USAGE on what has the name now")
		b.run(b.admin, "drop custom runtime environment MY_CRE")
		seen(0, "of what is gone")
		b.run(b.ann, strings.Replace(replaceMine, "or replace ", "", 1))
		seen(0, "of what had the name of an environment of one's own")
		b.run(b.ann, replaceMine)
		seen(1, "of one's own")
		b.run(b.ann, "drop custom runtime environment MY_CRE")
		seen(2, "of one's own that is gone")
		if rows := b.run(b.admin, historyOfMine); len(rows) != 4 {
			t.Errorf("ACCOUNTADMIN sees %v", rows)
		}
		b.run(b.admin, "drop image repository D.S.REPO")
		if rows := b.run(b.admin, historyOfMine); len(rows) != 4 || rows[0]["PINNED_IMAGE_PATH"] != "" {
			t.Errorf("without the repository: %v", rows)
		}
	})
}

func TestAccountSaysHowLongImagesAreHeld(t *testing.T) {
	t.Parallel()
	b := newJobBench(t)
	for parameter, otherwise := range map[string]string{
		"JOB_IMAGE_RETENTION_TIME_IN_DAYS": "7", "RUNTIME_ENVIRONMENT_HISTORY_RETENTION_TIME_IN_DAYS": "30",
	} {
		shows := func(value, level string) {
			t.Helper()
			row := b.run(b.admin, "show parameters like '"+parameter+"' in account")[0]
			if row["value"] != value || row["level"] != level || row["default"] != otherwise || row["type"] != "NUMBER" || row["description"] == "" {
				t.Errorf("%v", row)
			}
		}
		shows(otherwise, "")
		b.run(b.admin, "alter account set "+strings.ToLower(parameter)+" = 14")
		shows("14", "ACCOUNT")
		for _, value := range []string{"-1", "3651", "1.5", "'soon'", "''"} {
			b.refuses(b.admin, 1008, "alter account set "+parameter+" = "+value, parameter, "from 0 to 3650")
		}
		b.refuses(b.admin, 1008, "alter session set "+parameter+" = 1", "write ALTER ACCOUNT SET")
		b.refuses(b.ann, 3001, "alter account set "+parameter+" = 1", "Insufficient privileges")
		shows("14", "ACCOUNT")
		b.run(b.admin, "alter account unset "+parameter)
		shows(otherwise, "")
		var details []string
		b.update(func(tx catalog.Tx) error {
			details = nil
			for e, err := range tx.Events(time.Time{}, 1000) {
				if err != nil {
					return err
				}
				if strings.HasPrefix(e.Detail, parameter) {
					details = append(details, e.Detail)
				}
			}
			return nil
		})
		if want := []string{parameter + " unset", parameter + " set to 14"}; !slices.Equal(details, want) {
			t.Errorf("audit says %q, want %q", details, want)
		}
	}
}
