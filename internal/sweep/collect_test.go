// SPDX-License-Identifier: Apache-2.0

package sweep_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firn.dev/firn/internal/blob/s3test"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/catalogtest"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry"
	"firn.dev/firn/internal/stage"
	"firn.dev/firn/internal/sweep"
)

const day = 24 * time.Hour

// eachDatabase runs a test on every database, and on a bucket.
func eachDatabase(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for name, source := range catalogtest.Databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, source(t), day))
		})
	}
	t.Run("s3", func(t *testing.T) {
		t.Parallel()
		test(t, newWorldOver(t, catalogtest.SQLite(t), s3test.Open(t, s3test.Options(t)), day))
	})
}

// TestCollect: a moved tag, a deleted index and a dropped repository leave garbage, which goes when the grace is over; what is
// tagged, held, named by an index, or about something that stays, stays.
func TestCollect(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, w *world) {
		old := must[[]byte](t)(w.push("app", "v1", "old", ""))
		must[[]byte](t)(w.push("app", "v1", "new", "")) // the tag moves
		held := must[[]byte](t)(w.push("app", "v2", "held", ""))
		sbom := must[[]byte](t)(w.push("app", "", "sbom", digestOf(held)))
		child := must[[]byte](t)(w.push("app", "", "child", ""))
		dead := must[[]byte](t)(w.push("app", "", "dead", ""))
		deadIndex := index(dead)
		deadSBOM := must[[]byte](t)(w.push("app", "", "dead sbom", digestOf(deadIndex)))
		for tag, m := range map[string][]byte{"multi": index(child), "": deadIndex} {
			if err := w.pushManifest("app", tag, m); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.pushBlob("app", content("alone", large), 0, ""); err != nil {
			t.Fatal(err)
		}
		must[answer](t)(w.want(202, "DELETE", v2+"app/manifests/v2", nil))
		environment := &catalog.Object{Kind: catalog.KindRuntimeEnvironment, Name: catalog.Name{Object: "E"}, Spec: &catalog.RuntimeEnvironmentSpec{
			Repository: w.repo, Image: "app", Digest: digestOf(held), TagDigest: digestOf(held), Status: catalog.Deprecated,
		}}
		if err := w.store.Update(t.Context(), func(tx catalog.Tx) error { return tx.CreateObject(environment) }); err != nil {
			t.Fatal(err)
		}
		pulls := func(want map[string]bool) {
			t.Helper()
			for seed, there := range want {
				m := map[string][]byte{"old": old, "held": held, "sbom": sbom, "child": child, "dead": dead, "dead sbom": deadSBOM}[seed]
				if err := w.pull("app", digestOf(m), content("config "+seed, 100), content("layer "+seed, large)); (err == nil) != there {
					t.Errorf("%s: %v, want it there: %v", seed, err, there)
				}
			}
		}
		s := w.sweeper(day)
		wantResult(t, "within the grace", must[sweep.Result](t)(s.Collect(t.Context())), sweep.Result{})
		pulls(map[string]bool{"old": true, "held": true, "sbom": true, "child": true, "dead": true, "dead sbom": true})

		w.ahead.Add(int64(day + time.Hour))
		want := sweep.Result{Manifests: 4, Links: 7, Blobs: 7, Bytes: 4*large + 300, DryRun: true}
		wantResult(t, "preview", must[sweep.Result](t)(s.Preview(t.Context())), want)
		want.DryRun = false
		wantResult(t, "after the grace", must[sweep.Result](t)(s.Collect(t.Context())), want)
		pulls(map[string]bool{"old": false, "held": true, "sbom": true, "child": true, "dead": false, "dead sbom": false})
		wantResult(t, "again", must[sweep.Result](t)(s.Collect(t.Context())), sweep.Result{})
		if n := w.objects(t, registry.KeyPrefix); n != 4 {
			t.Errorf("%d objects are left, want one for each layer that stays", n)
		}

		drop := func(tx catalog.Tx) error { return tx.DropObject(environment.ID) }
		if err := w.store.Update(t.Context(), drop); err != nil {
			t.Fatal(err)
		}
		wantResult(t, "just dropped", must[sweep.Result](t)(s.Collect(t.Context())), sweep.Result{})
		w.ahead.Add(int64(day + time.Hour))
		wantResult(t, "dropped", must[sweep.Result](t)(s.Collect(t.Context())), sweep.Result{Manifests: 2, Links: 4, Blobs: 4, Bytes: 2*large + 200})
		if err := w.store.Update(t.Context(), func(tx catalog.Tx) error { return tx.DropObject(w.repo) }); err != nil {
			t.Fatal(err)
		}
		wantResult(t, "no repository", must[sweep.Result](t)(s.Collect(t.Context())), sweep.Result{Blobs: 4, Bytes: 2*large + 200})
		if n := w.objects(t, registry.KeyPrefix); n != 0 {
			t.Errorf("%d objects are left", n)
		}
		wantEvents(t, w, "4 manifests, 7 links, 7 blobs, 0 objects, 287020 bytes", "2 manifests, 4 links, 4 blobs, 0 objects, 143560 bytes", "0 manifests, 0 links, 4 blobs, 0 objects, 143560 bytes")
	})
}

// TestCollectionsAreTold: each manifest and blob that goes is an image event and an audit event of its own; what stays is none.
func TestCollectionsAreTold(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, w *world) {
		old := must[[]byte](t)(w.push("app", "v1", "old", ""))
		must[[]byte](t)(w.push("app", "v1", "new", ""))
		w.ahead.Add(int64(day + time.Hour))
		must[sweep.Result](t)(w.sweeper(day).Preview(t.Context()))
		must[sweep.Result](t)(w.sweeper(day).Collect(t.Context()))
		must[sweep.Result](t)(w.sweeper(day).Collect(t.Context()))
		config, layer := digestOf(content("config old", 100)), digestOf(content("layer old", large))
		wantEvent, wantAudit := map[string]int{}, map[string]int{}
		wantEvent["MANIFEST_COLLECTED app "+digestOf(old)]++
		wantAudit["IMAGE REPOSITORY /db/s/repo/app "+digestOf(old)]++
		for _, blob := range []string{config, layer} {
			wantEvent["BLOB_COLLECTED app "+blob]++
			wantAudit["IMAGE REPOSITORY /db/s/repo/app "+blob]++
			wantAudit["  "+blob]++
		}
		events, audit := map[string]int{}, map[string]int{}
		err := w.store.View(t.Context(), func(tx catalog.Tx) error {
			clear(events)
			clear(audit)
			for e, err := range tx.ImageEvents([]catalog.ID{w.repo}, 1000) {
				if err != nil {
					return err
				}
				if strings.HasSuffix(string(e.Kind), "COLLECTED") {
					events[strings.Join([]string{string(e.Kind), e.Image, e.Digest}, " ")]++
				}
			}
			for e, err := range tx.Events(time.Time{}, 1000) {
				if err != nil {
					return err
				}
				if e.Action == "collect" {
					audit[strings.Join([]string{string(e.Kind), e.Object, e.Digest}, " ")]++
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(wantEvent, events); d != "" {
			t.Errorf("image events (-want +got):\n%s", d)
		}
		if d := cmp.Diff(wantAudit, audit); d != "" {
			t.Errorf("audit trail (-want +got):\n%s", d)
		}
	})
}

// TestHistoryHolds: what an environment was pinned to outlives the environment by the account's days and the grace.
func TestHistoryHolds(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, w *world) {
		was := must[[]byte](t)(w.push("app", "v1", "was", ""))
		must[[]byte](t)(w.push("app", "v1", "new", ""))
		err := w.store.Update(t.Context(), func(tx catalog.Tx) error {
			account, err := tx.ObjectByID(catalog.AccountID)
			if err != nil {
				return err
			}
			account.Spec.(*catalog.AccountSpec).Parameters = map[string]string{catalog.HistoryHoldParameter: "3"}
			if err := tx.AlterObject(account); err != nil {
				return err
			}
			return tx.AddPastEnvironment(&catalog.PastEnvironment{Name: "E", Reason: catalog.EnvironmentReplaced, Spec: catalog.RuntimeEnvironmentSpec{
				Repository: w.repo, Image: "app", Digest: digestOf(was), TagDigest: digestOf(was),
			}})
		})
		if err != nil {
			t.Fatal(err)
		}
		there := func(want bool) {
			t.Helper()
			must[sweep.Result](t)(w.sweeper(day).Collect(t.Context()))
			if err := w.pull("app", digestOf(was), content("config was", 100), content("layer was", large)); (err == nil) != want {
				t.Errorf("%v, want it there: %v", err, want)
			}
		}
		for range 5 { // until 2 days and 22 hours after the end
			w.ahead.Add(int64(14 * time.Hour))
			there(true)
			refusal := must[answer](t)(w.want(409, "DELETE", v2+"app/manifests/"+digestOf(was), nil))
			if !strings.Contains(string(refusal.body), "history of environment E until ") {
				t.Errorf("the refusal is %s", refusal.body)
			}
		}
		w.ahead.Add(int64(4 * time.Hour))
		there(true) // for the grace
		w.ahead.Add(int64(day))
		there(false)
	})
}

func wantResult(t *testing.T, when string, got, want sweep.Result) {
	t.Helper()
	got.Took = 0
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", when, d)
	}
}

// wantEvents compares what the audit trail says of collections.
func wantEvents(t *testing.T, w *world, want ...string) {
	t.Helper()
	var got []string
	err := w.store.View(t.Context(), func(tx catalog.Tx) error {
		got = nil
		for e, err := range tx.Events(time.Time{}, 1000) {
			if err != nil {
				return err
			}
			if e.Action == "collect garbage" {
				got = append([]string{e.Detail}, got...)
			}
		}
		return nil
	})
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("audit trail: %v (-want +got):\n%s", err, d)
	}
}

// TestOrphans: objects without a row go when they are old enough, whoever wrote them; others' objects stay.
func TestOrphans(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, w *world) {
		must[[]byte](t)(w.push("app", "v1", "x", ""))
		files := stage.New(w.store, w.blobs)
		var id catalog.ID
		err := w.store.View(t.Context(), func(tx catalog.Tx) error {
			o, err := tx.Object(catalog.KindStage, catalog.Name{Database: "DB", Schema: "S", Object: "FILES"})
			if err == nil {
				id = o.ID
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"kept", "deleted"} {
			must[*catalog.File](t)(files.Put(t.Context(), id, path, strings.NewReader(path), nil))
		}
		if err := files.Delete(t.Context(), id, "deleted"); err != nil {
			t.Fatal(err)
		}
		s := w.sweeper(day)
		must[sweep.Result](t)(s.Collect(t.Context()))
		for _, key := range []string{registry.KeyPrefix + "00/x", stage.KeyPrefix + "x", "joblogs/x/0", "quarantine/x"} {
			if _, err := w.blobs.Put(t.Context(), key, strings.NewReader("12345")); err != nil {
				t.Fatal(err)
			}
		}
		wantResult(t, "young", must[sweep.Result](t)(s.Collect(t.Context())), sweep.Result{})
		w.ahead.Add(int64(day + time.Hour))
		wantResult(t, "old", must[sweep.Result](t)(s.Collect(t.Context())), sweep.Result{Objects: 2, Bytes: 10})
		if n := w.objects(t, ""); n != 6 { // a layer, two files, of which one is the stage's garbage, a log, what is in quarantine, and the mark
			t.Errorf("%d objects are left", n)
		}
	})
}

// TestUploadIsNoOrphan: what an upload has finished is young although it was written long ago.
func TestUploadIsNoOrphan(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, w *world) {
		s := w.sweeper(time.Hour)
		must[sweep.Result](t)(s.Collect(t.Context()))
		b := content("slow", large)
		early := content("early", large)
		if err := w.pushBlob("app", early, 0, ""); err != nil {
			t.Fatal(err)
		}
		a := must[answer](t)(w.want(202, "POST", v2+"app/blobs/uploads/", nil))
		a = must[answer](t)(w.want(202, "PATCH", a.header.Get("Location"), b))
		w.ahead.Add(int64(20 * time.Hour))
		finished := &collectsWithin{Store: w.blobs, collect: func() { must[sweep.Result](t)(s.Collect(t.Context())) }}
		w.door.Blobs = finished
		must[answer](t)(w.want(201, "PUT", a.header.Get("Location")+"?digest="+digestOf(b), nil))
		if !finished.done {
			t.Fatal("nothing was collected between the object and its row")
		}
		m := document("", b, early) // the upload has protected what was there before it
		if err := w.pushManifest("app", "v1", m); err != nil {
			t.Fatal(err)
		}
		if err := w.pull("app", digestOf(m), b, early); err != nil {
			t.Error(err)
		}
	})
}

// TestOneAtATime: a replica whose run has not ended keeps others from collecting, until its lease has passed.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, w *world) {
		take := func(tx catalog.Tx) error {
			return tx.TakeDuty("garbage collection", "other", tx.Now().Add(time.Minute), time.Time{})
		}
		if err := w.store.Update(t.Context(), take); err != nil {
			t.Fatal(err)
		}
		if _, err := w.sweeper(day).Collect(t.Context()); !errs.Is(err, errs.Conflict) {
			t.Errorf("collect beside another replica: %v", err)
		}
		w.ahead.Add(int64(2 * time.Minute))
		must[sweep.Result](t)(w.sweeper(day).Collect(t.Context()))
	})
}

// TestForeignStore: the objects of another installation are not garbage.
func TestForeignStore(t *testing.T) {
	t.Parallel()
	a, b := newWorld(t, catalogtest.SQLite(t), day), newWorld(t, catalogtest.SQLite(t), day)
	must[[]byte](t)(a.push("app", "v1", "x", ""))
	o := b.options(day)
	o.Blobs = a.blobs
	for _, when := range []string{"unmarked", "marked"} {
		for _, collect := range []func() (sweep.Result, error){
			func() (sweep.Result, error) { return sweep.New(o).Collect(t.Context()) },
			func() (sweep.Result, error) { return sweep.New(o).Preview(t.Context()) },
		} {
			if _, err := collect(); !errs.Is(err, errs.Refused) {
				t.Errorf("%s: %v", when, err)
			}
		}
		must[sweep.Result](t)(a.sweeper(day).Collect(t.Context()))
	}
	if n := a.objects(t, registry.KeyPrefix); n != 1 {
		t.Errorf("%d objects are left", n)
	}
}
