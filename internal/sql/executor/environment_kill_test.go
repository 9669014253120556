// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/catalogtest"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
)

// replacer is the variable that makes this test program replace and drop MY_CRE for ever, in the catalog that it names.
const replacer = "FIRN_TEST_REPLACER"

func TestMain(m *testing.M) {
	if database := os.Getenv(replacer); database != "" {
		fmt.Fprintln(os.Stderr, replaceForEver(database))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// replaceForEver prints a line for each statement that was answered.
func replaceForEver(database string) error {
	ctx := context.Background()
	store, err := sqlstore.Open(ctx, database, sqlstore.Options{})
	if err != nil {
		return err
	}
	e := New(Options{
		Catalog: store, Images: catalogImages{store, &atomic.Pointer[error]{}, &atomic.Pointer[func()]{}}, Stages: catalogStages{store}, Logs: textLogs{},
		Hosts: smallHost{}, Node: uuid.NewString(), Account: "FIRN", Version: "1", Registry: func() string { return "localhost" }, Wake: func() {},
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	s := &catalog.Session{
		User: "ADMIN", Role: "ACCOUNTADMIN", SecondaryRoles: "NONE", Parameters: map[string]string{}, Variables: map[string]string{}, Created: time.Now(),
		LastUsed: time.Now(), Expires: time.Now().Add(time.Hour),
	}
	if err := store.Update(ctx, func(tx catalog.Tx) error { return tx.PutSession(s) }); err != nil {
		return err
	}
	for n := 0; ; n++ {
		text := strings.Replace(replaceMine, "v1", []string{"v1", "v2"}[n%2], 1)
		if n%5 == 4 {
			text = "drop custom runtime environment if exists MY_CRE"
		}
		if _, err := e.Execute(ctx, s, Request{Text: text, QueryID: uuid.NewString()}); err != nil {
			return err
		}
		fmt.Println(text) // one write each, so that no line is torn
	}
}

// TestEnvironmentHistorySurvivesKills kills a process that replaces and drops an environment, at random moments, and expects the history to
// go on from where the last environment ended, each time: so what an environment is pinned to, its history and the audit trail are one
// transaction.
func TestEnvironmentHistorySurvivesKills(t *testing.T) {
	t.Parallel()
	for name, database := range catalogtest.Databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := database(t)
			b := newJobBenchOn(t, source)
			b.push(benchRepository(), "app", "v2", benchDigest("c"))
			answered := 0
			for range 8 {
				answered += killReplacer(t, source, 1+rand.IntN(40))
				if ends := len(b.chain()); ends < answered*3/5 { // of five statements one creates, and one may find nothing to drop
					t.Errorf("%d statements were answered and %d ends are in the history", answered, ends)
				}
			}
			t.Logf("%d statements were answered", answered)
		})
	}
}

// killReplacer lets a process work until it has been answered so often, kills it, and tells how often it was.
func killReplacer(t *testing.T, database string, until int) (answered int) {
	t.Helper()
	p := exec.CommandContext(t.Context(), os.Args[0])
	p.Env = append(os.Environ(), replacer+"="+database)
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if answered++; answered == until {
			time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, func() { _ = p.Process.Kill() }) // while it does the next
		}
	}
	if err := p.Wait(); err == nil || answered < until {
		t.Fatalf("the process ended by itself (error %v) after %d answers, want to kill it after %d", err, answered, until)
	}
	return answered
}

// chain gives the history of MY_CRE, oldest first, and checks that it is whole: each replaced environment ended at the very time at which
// the next one began, no environment is in it twice or while it exists, and the audit trail tells of the same.
func (b *jobBench) chain() (ends []*catalog.PastEnvironment) {
	b.t.Helper()
	var now *catalog.Object
	var created, ended []string
	err := b.store.View(b.t.Context(), func(tx catalog.Tx) (err error) {
		ends, created, ended = nil, nil, nil
		for p, err := range tx.PastEnvironments() {
			if err != nil {
				return err
			}
			ends = append([]*catalog.PastEnvironment{p}, ends...)
		}
		for e, err := range tx.Events(time.Time{}, 1_000_000) {
			if err != nil {
				return err
			}
			switch {
			case e.Kind != catalog.KindRuntimeEnvironment || e.Object != "MY_CRE":
			case e.Action == "create":
				created = append([]string{e.Digest}, created...)
			case e.Action == "replace":
				ended = append([]string{string(catalog.EnvironmentReplaced) + e.Digest}, ended...)
			case e.Action == "drop":
				ended = append([]string{string(catalog.EnvironmentDropped) + e.Digest}, ended...)
			}
		}
		now, err = tx.Object(catalog.KindRuntimeEnvironment, catalog.Name{Object: "MY_CRE"})
		if errs.Is(err, errs.NotFound) {
			now, err = nil, nil
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.comparesWithAudit(ends, now, created, ended)
	known := map[catalog.ID]bool{}
	for i, p := range ends {
		if known[p.Environment] || now != nil && now.ID == p.Environment {
			b.t.Errorf("environment %s ended twice, or is still there", p.Environment)
		}
		known[p.Environment] = true
		var next time.Time // when the one after began; zero: there is none
		switch {
		case i+1 < len(ends):
			next = ends[i+1].Since
		case now != nil:
			next = now.Created
		}
		if (p.Reason == catalog.EnvironmentReplaced && !next.Equal(p.Until)) || (p.Reason == catalog.EnvironmentDropped && !next.IsZero() && !next.After(p.Until)) {
			b.t.Errorf("entry %d was %s at %s, and the next environment began at %s", i, p.Reason, p.Until, next)
		}
	}
	return ends
}

// comparesWithAudit checks that history and what is there now have the digests and ends of which the audit trail tells.
func (b *jobBench) comparesWithAudit(ends []*catalog.PastEnvironment, now *catalog.Object, created, ended []string) {
	b.t.Helper()
	var digests, reasons []string
	for _, p := range ends {
		digests = append(digests, p.Spec.Digest)
		reasons = append(reasons, string(p.Reason)+p.Spec.Digest)
	}
	if now != nil {
		digests = append(digests, now.Spec.(*catalog.RuntimeEnvironmentSpec).Digest)
	}
	if !slices.Equal(digests, created) || !slices.Equal(reasons, ended) {
		b.t.Errorf("history has %d pins and %d ends, the audit trail %d and %d", len(digests), len(reasons), len(created), len(ended))
	}
}

// brokenAudit is a catalog whose audit trail cannot be written when an environment is created or dropped.
type brokenAudit struct{ catalog.Store }

type brokenAuditTx struct{ catalog.Tx }

var errAudit = errors.New("the trail is full")

func (b brokenAudit) Update(ctx context.Context, fn func(catalog.Tx) error) error {
	return b.Store.Update(ctx, func(tx catalog.Tx) error { return fn(brokenAuditTx{tx}) })
}

func (b brokenAuditTx) AddEvent(e catalog.Event) error {
	if e.Kind == catalog.KindRuntimeEnvironment && e.Action != "replace" {
		return errAudit
	}
	return b.Tx.AddEvent(e)
}

// TestEnvironmentHistoryGoesWithTheStatement: a statement that fails at its last write leaves environment and history as they were.
func TestEnvironmentHistoryGoesWithTheStatement(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, b *jobBench) {
		b.push(benchRepository(), "app", "v1", benchDigest("c"))
		sound := b.e.options.Catalog
		for _, text := range []string{replaceMine, "drop custom runtime environment MY_CRE"} {
			b.e.options.Catalog = brokenAudit{sound}
			_, err := b.try(b.admin, text)
			b.e.options.Catalog = sound
			if err == nil {
				t.Errorf("%s worked without its audit event", text)
			}
			if ends := b.chain(); len(ends) != 0 {
				t.Errorf("%s failed and left %+v", text, ends[0])
			}
			if row := b.run(b.admin, "desc custom runtime environment MY_CRE")[0]; row["digest"] != benchDigest("a") {
				t.Errorf("%s failed and left %v", text, row)
			}
		}
		// The image that moves while it is checked ends the transaction after the old environment was taken away.
		moves := func() { b.push(benchRepository(), "app", "v1", benchDigest("d")) }
		b.meanwhile.Store(&moves)
		b.refuses(b.admin, 0, replaceMine, "changed while it was checked")
		b.meanwhile.Store(nil)
		if ends := b.chain(); len(ends) != 0 {
			t.Errorf("a conflict left %+v", ends[0])
		}
		b.run(b.admin, replaceMine)
		if ends := b.chain(); len(ends) != 1 {
			t.Errorf("%d ends", len(ends))
		}
	})
}
