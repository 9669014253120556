// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// named tells whether the step reads no table: nothing, or what a WITH of the statement made, which is as small as what made it.
func named(step, text string) bool {
	words := strings.Fields(step)
	return step == "SCAN CONSTANT ROW" || len(words) > 1 && strings.Contains(text, "WITH ") && strings.Contains(text, " "+words[1]+" (")
}

// explainer is a runner that asks SQLite how it will run each statement before it runs it.
type explainer struct {
	*link
	t *testing.T
}

func (e explainer) explain(text string, args []any) {
	e.t.Helper()
	rows, err := e.link.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		e.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			e.t.Fatal(err)
		}
		ends := strings.Contains(step, " INDEX ") && strings.Contains(text, "LIMIT") // in the order of an index, up to a limit
		few := strings.Contains(step, " INDEX object_temporary")                     // holds temporary objects only
		if strings.HasPrefix(step, "SCAN ") && !ends && !few && !named(step, text) {
			e.t.Errorf("reads the whole table: %s\n%s", step, text)
		}
	}
	if err := rows.Err(); err != nil {
		e.t.Error(err)
	}
}

func (e explainer) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	e.explain(text, args)
	return e.link.ExecContext(ctx, text, args...)
}

func (e explainer) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	e.explain(text, args)
	return e.link.QueryContext(ctx, text, args...)
}

// TestFrequentStatementsUseAnIndex runs what happens on every request, for every job and in every round of the
// housekeeping, and expects no statement to read a table that grows with use from end to end.
func TestFrequentStatementsUseAnIndex(t *testing.T) {
	t.Parallel()
	s, _ := openFile(t)
	name := catalog.Name{Database: "D", Schema: "S", Object: "O"}
	err := s.Update(t.Context(), func(ct catalog.Tx) error {
		tx := txOf(ct)
		tx.runner = explainer{tx.runner.(*link), t}
		database := &catalog.Object{Kind: catalog.KindDatabase, Name: catalog.Name{Object: "D"}, Spec: &catalog.DatabaseSpec{}}
		schema := &catalog.Object{Kind: catalog.KindSchema, Name: name.Parent(), Spec: &catalog.SchemaSpec{}}
		stage := &catalog.Object{Kind: catalog.KindStage, Name: name, Spec: &catalog.StageSpec{}}
		for _, o := range []*catalog.Object{database, schema, stage} {
			if err := tx.CreateObject(o); err != nil {
				return err
			}
		}
		session, job := &catalog.Session{}, &catalog.Job{}
		q := &catalog.Statement{ID: "q", RequestID: "r", Session: 1, Status: catalog.StatementSuccess}
		_, noObject := tx.Object(catalog.KindSecret, name)
		_, noToken := tx.Token("h")
		_, noRequest := tx.StatementByRequest(1, "r")
		for _, err := range []error{noObject, noToken, noRequest} {
			if !errs.Is(err, errs.NotFound) {
				return err
			}
		}
		ended := *q
		for _, step := range []func() error{
			func() error { return tx.AlterObject(stage) },
			func() error { return tx.PutSession(session) },
			func() error { _, err := tx.Session(session.ID); return err },
			func() error { return tx.PutToken(catalog.Token{Hash: "h", Session: 1, JobID: "j", User: "U"}) },
			func() error { return tx.BeginStatement(q) },
			func() error { return tx.EndStatement(&ended) },
			func() error { _, err := tx.FailAbandoned("n", ""); return err },
			func() error { return tx.AddNode(&catalog.Node{ID: "n"}) },
			func() error { return tx.BeatNode("n") },
			func() error { return tx.RemoveNode("n") },
			func() error { return tx.PurgeStatements(tx.now, tx.now) },
			func() error { return tx.PutGrant(catalog.Grant{Object: stage.ID, Privilege: catalog.Read, Role: "R"}) },
			func() error { return tx.PutFile(&catalog.File{Stage: stage.ID, Path: "a", Key: "k"}) },
			func() error { return tx.DeleteFile(stage.ID, "a") },
			func() error { return tx.SubmitJob(job) },
			func() error { _, err := tx.ClaimJob("w", tx.now); return err },
			func() error { return tx.RenewJob(job.ID, "w", tx.now) },
			func() error { _, err := tx.TakeJob(job.ID, "v", tx.now); return err },
			func() error { return tx.TransitionJob(job.ID, catalog.JobPending, catalog.JobRunning, nil) },
			func() error { return tx.AddEvent(catalog.Event{}) },
			func() error { return walk(tx.Objects(catalog.KindStage, schema.Name)) },
			func() error { return walk(tx.GrantsOn(stage.ID)) },
			func() error { return walk(tx.GrantsTo("R")) },
			func() error { return walk(tx.Files(stage.ID, "a")) },
			func() error { return walk(tx.History(catalog.StatementFilter{})) },
			func() error { return walk(tx.History(catalog.StatementFilter{Session: 1})) },
			func() error { return walk(tx.ExpiredJobs(tx.now)) },
			func() error { return walk(tx.FindJobs(catalog.JobFilter{Limit: 10})) },
			func() error { return walk(tx.Events(time.Time{}, 10)) },
			func() error { _, err := tx.DeleteTokens(1, "", ""); return err },
			func() error { _, err := tx.DeleteTokens(0, "j", ""); return err },
			func() error { _, err := tx.DeleteTokens(0, "", "U"); return err },
			func() error { _, err := tx.ExpireSessions(tx.now); return err },
			func() error { return walk(tx.ProgramTokens("U")) },
			func() error {
				_, err := tx.CollectManifest(catalog.Unused{Repository: "r", Image: "i", Digest: "d"}, tx.now)
				return err
			},
			func() error {
				_, err := tx.CollectLink(catalog.Unused{Repository: "r", Image: "i", Digest: "d"}, tx.now)
				return err
			},
			func() error { _, err := tx.CollectBlob("d", "k", tx.now); return err },
			func() error { _, err := tx.NamesKey("k"); return err },
			func() error { return walk(tx.BlobsAfter("d", 10)) },
			func() error { return walk(tx.ManifestsAfter(catalog.Unused{}, 10)) },
			func() error { return walk(tx.FilesAfter("s", "p", 10)) },
			func() error { return tx.TakeDuty("n", "h", tx.now, time.Time{}) },
			func() error { return tx.EndDuty("n", "h", true) },
			func() error { return tx.DropObject(stage.ID) },
			func() error { return tx.DropObject(schema.ID) },
			func() error { return tx.DropObject(database.ID) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// walk walks a listing to its end.
func walk[V any](listing func(func(V, error) bool)) error {
	for _, err := range listing {
		if err != nil {
			return err
		}
	}
	return nil
}
