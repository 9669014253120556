// SPDX-License-Identifier: Apache-2.0

package sweep_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/catalogtest"
	"firn.dev/firn/internal/registry"
	"firn.dev/firn/internal/stage"
	"firn.dev/firn/internal/sweep"
)

// findings writes findings short, with digests and keys by name.
func findings(r sweep.Report, names ...string) (all []string) {
	short := strings.NewReplacer(names...)
	for _, f := range r.Findings {
		all = append(all, short.Replace(string(f.Problem)+" "+f.What+" "+strings.Join(f.Images, ",")+" "+f.Moved))
	}
	return all
}

// damaged is a world in which something of everything is broken, with the names of what is.
func damaged(t *testing.T, w *world) (names []string, files *stage.Stage, id catalog.ID) {
	t.Helper()
	must[[]byte](t)(w.push("app", "v1", "good", ""))
	bad := must[[]byte](t)(w.push("app", "v1.1", "bad", ""))
	must[[]byte](t)(w.push("app", "v1.2", "lost", ""))
	untagged := must[[]byte](t)(w.push("app", "", "untagged", ""))
	if err := w.pushManifest("app", "multi", index(bad)); err != nil {
		t.Fatal(err)
	}
	files = stage.New(w.store, w.blobs)
	err := w.store.Update(t.Context(), func(tx catalog.Tx) error {
		o, err := tx.Object(catalog.KindStage, catalog.Name{Database: "DB", Schema: "S", Object: "FILES"})
		if err != nil {
			return err
		}
		id = o.ID
		for seed, name := range map[string]string{"bad": "BAD", "lost": "LOST", "good": "GOOD"} {
			b, err := tx.Blob(digestOf(content("layer "+seed, large)))
			if err != nil {
				return err
			}
			names = append(names, b.Digest, name+"-LAYER", b.Key, name+"-KEY")
			switch seed {
			case "bad":
				_, err = w.blobs.Put(t.Context(), b.Key, strings.NewReader("other content"))
			case "lost":
				err = w.blobs.Delete(t.Context(), b.Key)
			}
			if err != nil {
				return err
			}
		}
		config := digestOf(content("config bad", 100))
		names = append(names, config, "BAD-CONFIG", strings.ReplaceAll(config, ":", "-"), "BAD-CONFIG", digestOf(untagged), "UNTAGGED")
		if err := tx.RestoreBlob(&catalog.Blob{Digest: config, Body: []byte("other")}, ""); err != nil {
			return err
		}
		return tx.PutManifest(&catalog.Manifest{Repository: w.repo, Image: "app", Digest: digestOf(untagged), Body: []byte("{}")})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"good", "bad", "lost"} {
		f := must[*catalog.File](t)(files.Put(t.Context(), id, path, strings.NewReader(path), nil))
		switch path {
		case "bad":
			_, err = w.blobs.Put(t.Context(), f.Key, strings.NewReader("bar"))
			names = append(names, f.Key, "BAD-FILE")
		case "lost":
			err = w.blobs.Delete(t.Context(), f.Key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return names, files, id
}

// TestCheck: each kind of damage is found and named, repair moves it aside, and pushing and putting again heals it.
func TestCheck(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, w *world) {
		s := w.sweeper(day)
		names, files, id := damaged(t, w)
		want := func(when string, r sweep.Report, want ...string) {
			t.Helper()
			got := findings(r, names...)
			wanted := map[string]bool{}
			for _, f := range want {
				wanted[f] = true
			}
			for _, f := range got {
				if !wanted[f] {
					t.Errorf("%s: unexpected finding %q", when, f)
				}
				delete(wanted, f)
			}
			for f := range wanted {
				t.Errorf("%s: %q was not found", when, f)
			}
		}
		const both = "/db/s/repo/app:multi,/db/s/repo/app:v1.1 "
		seen := must[sweep.Report](t)(s.Check(t.Context(), sweep.CheckOptions{}))
		want("check", seen, "damaged blob BAD-LAYER "+both, "damaged blob BAD-CONFIG "+both, "lost blob LOST-LAYER /db/s/repo/app:v1.2 ",
			"damaged manifest UNTAGGED /db/s/repo/app ", "damaged stage file DB.S.FILES/bad  ", "lost stage file DB.S.FILES/lost  ")
		counted := sweep.Report{Blobs: 8, Manifests: 5, Files: 3, Objects: 6, Bytes: seen.Bytes, Findings: seen.Findings}
		if d := cmp.Diff(counted, seen); d != "" {
			t.Errorf("report (-want +got):\n%s", d)
		}
		told := 0
		repaired := must[sweep.Report](t)(s.Check(t.Context(), sweep.CheckOptions{Repair: true, Found: func(sweep.Finding) { told++ }}))
		want("repair", repaired, "damaged blob BAD-LAYER "+both+"quarantine/BAD-KEY", "damaged blob BAD-CONFIG "+both+"quarantine/rows/BAD-CONFIG",
			"lost blob LOST-LAYER /db/s/repo/app:v1.2 ", "damaged manifest UNTAGGED /db/s/repo/app ",
			"damaged stage file DB.S.FILES/bad  quarantine/BAD-FILE", "lost stage file DB.S.FILES/lost  ")
		if told != len(repaired.Findings) {
			t.Errorf("%d findings were told, %d are in the report", told, len(repaired.Findings))
		}
		after := must[sweep.Report](t)(s.Check(t.Context(), sweep.CheckOptions{}))
		want("after the repair", after, "lost blob BAD-LAYER "+both, "lost blob BAD-CONFIG "+both, "lost blob LOST-LAYER /db/s/repo/app:v1.2 ",
			"damaged manifest UNTAGGED /db/s/repo/app ", "lost stage file DB.S.FILES/bad  ", "lost stage file DB.S.FILES/lost  ")
		if after.Quarantined != 3 {
			t.Errorf("%d objects are in quarantine", after.Quarantined)
		}

		for _, seed := range []string{"bad", "lost"} {
			a := must[answer](t)(w.want(202, "POST", v2+"other/blobs/uploads/?mount="+digestOf(content("layer "+seed, large))+"&from=db/s/repo/app", nil))
			must[answer](t)(w.want(204, "DELETE", a.header.Get("Location"), nil))
		}
		for seed, tag := range map[string]string{"bad": "v1.1", "lost": "v1.2", "untagged": ""} {
			m := must[[]byte](t)(w.push("app", tag, seed, ""))
			if err := w.pull("app", digestOf(m), content("config "+seed, 100), content("layer "+seed, large)); err != nil {
				t.Error(err)
			}
		}
		for _, path := range []string{"bad", "lost"} {
			must[*catalog.File](t)(files.Put(t.Context(), id, path, strings.NewReader(path), nil))
		}
		want("healed", must[sweep.Report](t)(s.Check(t.Context(), sweep.CheckOptions{})))
		w.ahead.Add(int64(2 * day))
		must[sweep.Result](t)(s.Collect(t.Context()))
		if n := w.objects(t, "quarantine/"); n != 3 {
			t.Errorf("%d objects are left in quarantine", n)
		}
	})
}

// TestCheckCountsOrphans: objects without a row are no damage, and counted.
func TestCheckCountsOrphans(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalogtest.SQLite(t), day)
	must[[]byte](t)(w.push("app", "v1", "x", ""))
	s := w.sweeper(day)
	must[sweep.Report](t)(s.Check(t.Context(), sweep.CheckOptions{}))
	for _, key := range []string{registry.KeyPrefix + "00/x", stage.KeyPrefix + "x", "joblogs/x/0"} {
		if _, err := w.blobs.Put(t.Context(), key, strings.NewReader("12345")); err != nil {
			t.Fatal(err)
		}
	}
	r := must[sweep.Report](t)(s.Check(t.Context(), sweep.CheckOptions{}))
	if r.Orphans != 2 || r.OrphanBytes != 10 || len(r.Findings) > 0 {
		t.Errorf("orphans: %+v", r)
	}
}

// TestCheckBesideTraffic: what is pushed and collected during a check is no damage.
func TestCheckBesideTraffic(t *testing.T) {
	t.Parallel()
	const grace = 100 * time.Millisecond
	r := &race{world: newWorld(t, catalogtest.SQLite(t), grace), grace: grace}
	checks := 0
	enough := func() bool {
		return checks >= 20 || len(r.damage) > 0
	}
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			report, err := r.sweeper(grace).Check(t.Context(), sweep.CheckOptions{Repair: true})
			r.mu.Lock()
			if err != nil || len(report.Findings) > 0 {
				r.damage = append(r.damage, "check: "+strings.Join(findings(report), "; "))
			}
			checks++
			r.mu.Unlock()
			select {
			case <-over:
				return
			default:
			}
		}
	}()
	damage := r.run(t, r.sweeper(grace), enough)
	close(over)
	<-done
	for _, d := range damage {
		if strings.HasPrefix(d, "check") { // pushes are too slow for this grace
			t.Error(d)
		}
	}
}
