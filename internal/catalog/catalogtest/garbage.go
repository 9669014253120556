// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func garbageChecks() []Check {
	return []Check{
		{"what nothing names is unused", checkUnused},
		{"unused things go one after the other", checkCollect},
		{"a lease protects what nothing names", checkLeases},
		{"what is held stays", checkHeld},
		{"an open upload protects the blobs of its image", checkUploadLease},
		{"contents are listed in pages", checkContents},
		{"a duty has one holder", checkDuties},
	}
}

// ahead is a time that no lease reaches.
func ahead(tx catalog.Tx) time.Time { return tx.Now().Add(time.Hour) }

// pushed adds a manifest with its blobs, and tags it unless tag is "".
func pushed(tx catalog.Tx, m *catalog.Manifest, tag string) error {
	if err := push(tx, m.Repository, m.Image, m.Blobs...); err != nil {
		return err
	}
	if err := tx.PutManifest(m); err != nil || tag == "" {
		return err
	}
	return tx.PutTag(&catalog.Tag{Repository: m.Repository, Image: m.Image, Name: tag, Digest: m.Digest})
}

// garden fills an image: a tagged index of two manifests with a referrer that has a referrer, and the same without a tag. It
// gives the id of the repository.
func garden(t T, s catalog.Store) catalog.ID {
	t.Helper()
	repo, other := newRepositories(t, s)
	update(t, s, func(tx catalog.Tx) error {
		for prefix, tag := range map[string]string{"used-": "v1", "dead-": ""} {
			child, sbom, signature, index := manifest(repo, prefix+"child"), manifest(repo, prefix+"sbom"), manifest(repo, prefix+"signature"), manifest(repo, prefix+"index")
			child.Blobs, sbom.Blobs = []string{prefix + "layer", "shared"}, []string{prefix + "spdx"}
			sbom.Subject, signature.Subject = child.Digest, sbom.Digest
			index.Children = []string{child.Digest}
			for _, m := range []*catalog.Manifest{child, sbom, signature} {
				if err := pushed(tx, m, ""); err != nil {
					return err
				}
			}
			if err := pushed(tx, index, tag); err != nil {
				return err
			}
		}
		return push(tx, other, image, "alone", "used-layer")
	})
	return repo
}

func digests(unused []catalog.Unused) (all []string) {
	for _, u := range unused {
		all = append(all, u.Digest)
	}
	return all
}

func blobDigests(blobs []*catalog.Blob) (all []string) {
	for _, b := range blobs {
		all = append(all, b.Digest)
	}
	return all
}

func checkUnused(t T, s catalog.Store) {
	repo := garden(t, s)
	view(t, s, func(tx catalog.Tx) error {
		manifests := all(t, tx.UnusedManifests(ahead(tx)))
		wantEqual(t, "unused manifests", digests(manifests), []string{"dead-child", "dead-index", "dead-sbom", "dead-signature"})
		wantEqual(t, "an unused manifest", manifests[0], catalog.Unused{Repository: repo, Image: image, Digest: "dead-child", Size: 2})
		links := map[string]int64{}
		for _, l := range all(t, tx.UnusedLinks(ahead(tx))) {
			links[string(l.Repository)+l.Digest] = l.Size
		}
		other := must(tx.Object(catalog.KindImageRepository, catalog.Name{Database: "D", Schema: "S", Object: "OTHER"}))(t).ID
		wantEqual(t, "unused links", links, map[string]int64{
			string(repo) + "dead-layer": 1, string(repo) + "dead-spdx": 1, string(other) + "alone": 1, string(other) + "used-layer": 1,
		})
		blobs := all(t, tx.UnusedBlobs(ahead(tx)))
		wantEqual(t, "unused blobs", blobDigests(blobs), []string{"alone", "dead-layer", "dead-spdx"})
		for _, b := range blobs {
			wantEqual(t, "key of an unused blob", b.Key, "key/"+b.Digest)
		}
		return nil
	})
}

func checkCollect(t T, s catalog.Store) {
	repo := garden(t, s)
	u := func(digest string) catalog.Unused {
		return catalog.Unused{Repository: repo, Image: image, Digest: digest}
	}
	update(t, s, func(tx catalog.Tx) error {
		manifest := func(digest string, want bool) {
			t.Helper()
			wantEqual(t, "collected manifest "+digest, must(tx.CollectManifest(u(digest), ahead(tx)))(t), want)
		}
		link := func(digest string, want bool) {
			t.Helper()
			wantEqual(t, "collected link "+digest, must(tx.CollectLink(u(digest), ahead(tx)))(t), want)
		}
		blob := func(digest string, want bool) {
			t.Helper()
			wantEqual(t, "collected blob "+digest, must(tx.CollectBlob(digest, "key/"+digest, ahead(tx)))(t), want)
		}
		for _, digest := range []string{"used-index", "used-child", "used-sbom", "used-signature", "dead-child", "dead-sbom", "dead-signature", "none"} {
			manifest(digest, false)
		}
		link("dead-layer", false)
		for _, digest := range []string{"dead-index", "dead-child", "dead-sbom", "dead-signature"} {
			manifest(digest, true)
		}
		manifest("dead-index", false)
		blob("dead-layer", false)
		for digest, want := range map[string]bool{"dead-layer": true, "dead-spdx": true, "shared": false, "used-layer": false} {
			link(digest, want)
			wantEqual(t, "blob under another key", must(tx.CollectBlob(digest, "other", ahead(tx)))(t), false)
			blob(digest, want)
		}
		return nil
	})
	view(t, s, func(tx catalog.Tx) error {
		must(tx.Manifest(repo, image, "used-signature"))(t)
		must(tx.LinkedBlob(repo, image, "shared"))(t)
		_, err := tx.Blob("dead-layer")
		wantCode(t, "collected blob", err, errs.NotFound)
		_, err = tx.Manifest(repo, image, "dead-child")
		wantCode(t, "collected manifest", err, errs.NotFound)
		wantEqual(t, "unused manifests", len(all(t, tx.UnusedManifests(ahead(tx)))), 0)
		return nil
	})
}

// checkLeases: whatever takes a manifest out of use, or relies on one, renews its lease.
func checkLeases(t T, s catalog.Store) {
	repo, _ := newRepositories(t, s)
	update(t, s, func(tx catalog.Tx) error {
		for _, digest := range []string{"put", "asked", "moved", "untagged", "child", "still", "next"} {
			m := manifest(repo, digest)
			if digest == "still" {
				m.Blobs = []string{"still-layer"}
			}
			if err := pushed(tx, m, map[string]string{"moved": "a", "untagged": "b"}[digest]); err != nil {
				return err
			}
		}
		index := manifest(repo, "index")
		index.Children = []string{"child"}
		return pushed(tx, index, "")
	})
	var since time.Time
	update(t, s, func(tx catalog.Tx) error {
		since = tx.Now()
		must(0, tx.PutManifest(manifest(repo, "put")))(t)
		must(0, tx.RenewManifest(repo, image, "asked"))(t)
		wantCode(t, "lease of nothing", tx.RenewManifest(repo, image, "none"), errs.NotFound)
		must(0, tx.PutTag(&catalog.Tag{Repository: repo, Image: image, Name: "a", Digest: "next"}))(t)
		must(0, tx.PutTag(&catalog.Tag{Repository: repo, Image: image, Name: "a", Digest: "next"}))(t)
		must(0, tx.DeleteTag(repo, image, "b"))(t)
		return tx.DeleteManifest(repo, image, "index")
	})
	update(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "unused", digests(all(t, tx.UnusedManifests(since))), []string{"still"})
		wantEqual(t, "unused blobs", blobDigests(all(t, tx.UnusedBlobs(since))), []string{"still-layer"})
		for _, digest := range []string{"put", "asked", "moved", "untagged", "child"} {
			wantEqual(t, "lease of "+digest, must(tx.Manifest(repo, image, digest))(t).Leased, since)
			u := catalog.Unused{Repository: repo, Image: image, Digest: digest}
			wantEqual(t, "collected "+digest, must(tx.CollectManifest(u, since))(t), false)
		}
		damaged := manifest(repo, "still")
		damaged.Body = []byte("whole")
		must(0, tx.PutManifest(damaged))(t)
		wantEqual(t, "body", must(tx.Manifest(repo, image, "still"))(t).Body, []byte("whole"))
		must(0, tx.DeleteManifest(repo, image, "still"))(t)
		u := catalog.Unused{Repository: repo, Image: image, Digest: "still-layer"}
		must(0, tx.LinkBlob(repo, image, "still-layer"))(t)
		wantEqual(t, "collected link with a lease", must(tx.CollectLink(u, since))(t), false)
		wantEqual(t, "collected link", must(tx.CollectLink(u, ahead(tx)))(t), true)
		must(tx.PutBlob(&catalog.Blob{Digest: "still-layer"}))(t)
		wantEqual(t, "collected blob with a lease", must(tx.CollectBlob("still-layer", "key/still-layer", since))(t), false)
		wantEqual(t, "collected blob", must(tx.CollectBlob("still-layer", "key/still-layer", ahead(tx)))(t), true)
		return nil
	})
}

func checkHeld(t T, s catalog.Store) {
	repo, other := newRepositories(t, s)
	job := &catalog.Job{Kind: "ML JOB", Owner: "R", Pool: "P", Digest: "ran"}
	update(t, s, func(tx catalog.Tx) error {
		for _, digest := range []string{"held", "index", "ran", "free"} {
			must(0, tx.PutManifest(manifest(repo, digest)))(t)
		}
		must(0, tx.PutManifest(manifest(other, "held")))(t)
		must(0, tx.SubmitJob(job))(t)
		return tx.CreateObject(&catalog.Object{
			Kind: catalog.KindRuntimeEnvironment, Name: catalog.Name{Object: "E"}, Owner: "R",
			Spec: &catalog.RuntimeEnvironmentSpec{Repository: repo, Image: image, Digest: "held", TagDigest: "index", Status: catalog.Deprecated},
		})
	})
	var since time.Time
	update(t, s, func(tx catalog.Tx) error {
		since = tx.Now()
		return tx.RenewHeld(since)
	})
	view(t, s, func(tx catalog.Tx) error {
		for _, digest := range []string{"held", "index", "ran"} {
			wantEqual(t, "lease of "+digest, must(tx.Manifest(repo, image, digest))(t).Leased, since)
		}
		wantEqual(t, "unused", digests(all(t, tx.UnusedManifests(since))), []string{"free", "held"})
		last := catalog.Unused{}
		for _, u := range all(t, tx.UnusedManifests(since)) {
			last = u
		}
		wantEqual(t, "unused elsewhere", last.Repository, other)
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		must(0, tx.RenewHeld(since))(t)
		wantEqual(t, "a lease that has not ended", must(tx.Manifest(repo, image, "held"))(t).Leased, since)
		ended := func(j *catalog.Job) { j.Completed = tx.Now().Add(-catalog.JobImageHold) }
		must(0, tx.TransitionJob(job.ID, catalog.JobPending, catalog.JobCancelled, ended))(t)
		must(0, tx.RenewHeld(ahead(tx)))(t)
		wantEqual(t, "lease after the job", must(tx.Manifest(repo, image, "ran"))(t).Leased, since)
		wantEqual(t, "lease of the environment", must(tx.Manifest(repo, image, "held"))(t).Leased, tx.Now())
		return nil
	})
}

func checkUploadLease(t T, s catalog.Store) {
	repo, _ := newRepositories(t, s)
	u := catalog.Unused{Repository: repo, Image: image, Digest: "early"}
	update(t, s, func(tx catalog.Tx) error {
		must(0, push(tx, repo, image, "early"))(t)
		must(0, push(tx, repo, "another", "late"))(t)
		return tx.PutUpload(&catalog.Upload{ID: "u", Repository: repo, Image: image, Key: "k", Expires: ahead(tx)})
	})
	update(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "unused links", digests(all(t, tx.UnusedLinks(ahead(tx)))), []string{"late"})
		wantEqual(t, "unused blobs", blobDigests(all(t, tx.UnusedBlobs(ahead(tx)))), []string{"late"})
		wantEqual(t, "collected", must(tx.CollectLink(u, ahead(tx)))(t), false)
		must(0, tx.DeleteUpload("u"))(t)
		wantEqual(t, "unused links", digests(all(t, tx.UnusedLinks(ahead(tx)))), []string{"late", "early"})
		wantEqual(t, "collected after the upload", must(tx.CollectLink(u, ahead(tx)))(t), true)
		return nil
	})
}

func checkContents(t T, s catalog.Store) {
	repo := garden(t, s)
	w := must(stageOf(s, t))(t)
	update(t, s, func(tx catalog.Tx) error {
		for _, f := range []catalog.File{{Path: "a", Key: "f1"}, {Path: "b", Key: "f2"}, {Path: "c", Key: "f3"}} {
			f.Stage = w
			must(0, tx.PutFile(&f))(t)
		}
		must(0, tx.DeleteFile(w, "c"))(t)
		return tx.PutUpload(&catalog.Upload{ID: "u", Repository: repo, Image: image, Key: "up", Expires: ahead(tx)})
	})
	view(t, s, func(tx catalog.Tx) error {
		blobs := all(t, tx.BlobsAfter("alone", 2))
		wantEqual(t, "blobs", blobDigests(blobs), []string{"dead-layer", "dead-spdx"})
		wantEqual(t, "last blobs", blobDigests(all(t, tx.BlobsAfter("used-layer", 9))), []string{"used-spdx"})
		var got []string
		at := catalog.Unused{}
		for {
			page := all(t, tx.ManifestsAfter(at, 3))
			for _, m := range page {
				got = append(got, m.Digest)
				at = catalog.Unused{Repository: m.Repository, Image: m.Image, Digest: m.Digest}
			}
			if len(page) < 3 {
				break
			}
		}
		wantEqual(t, "manifests", got, []string{"dead-child", "dead-index", "dead-sbom", "dead-signature", "used-child", "used-index", "used-sbom", "used-signature"})
		wantEqual(t, "first file", all(t, tx.FilesAfter("", "", 1))[0].Path, "a")
		wantEqual(t, "next file", all(t, tx.FilesAfter(w, "a", 9))[0].Key, "f2")
		for key, want := range map[string]bool{"key/shared": true, "up": true, "f1": true, "f3": true, "none": false, "": false} {
			wantEqual(t, "names "+key, must(tx.NamesKey(key))(t), want)
		}
		wantEqual(t, "links", len(all(t, tx.BlobLinks("used-layer"))), 2)
		wantEqual(t, "a link", all(t, tx.BlobLinks("shared")), []catalog.Unused{{Repository: repo, Image: image, Digest: "shared"}})
		wantEqual(t, "missing", len(all(t, tx.MissingBlobs())), 0)
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		must(0, tx.LoseBlob("alone", "another"))(t)
		wantEqual(t, "under another key", must(tx.Blob("alone"))(t).Lost, time.Time{})
		lacks := func(when string, want bool) {
			t.Helper()
			for _, digest := range []string{"used-child", "used-index"} {
				wantEqual(t, digest+when, must(tx.LacksContent(repo, image, digest))(t), want)
			}
			wantEqual(t, "another image"+when, must(tx.LacksContent(repo, image, "dead-index"))(t), false)
		}
		lacks(" whole", false)
		must(0, tx.LoseBlob("used-layer", "key/used-layer"))(t)
		wantEqual(t, "lost", must(tx.LinkedBlob(repo, image, "used-layer"))(t).Lost, tx.Now())
		lacks(" lost", true)
		must(0, tx.RestoreBlob(&catalog.Blob{Digest: "used-layer", Body: []byte{7}}, "key/used-layer"))(t)
		b := must(tx.Blob("used-layer"))(t)
		wantEqual(t, "restored", catalog.Blob{Key: b.Key, Body: b.Body, Lost: b.Lost}, catalog.Blob{Body: []byte{7}})
		lacks(" restored", false)
		return nil
	})
}

// stageOf gives the id of D.S.ST.
func stageOf(s catalog.Store, t T) (id catalog.ID, err error) {
	err = s.View(t.Context(), func(tx catalog.Tx) error {
		o, err := tx.Object(catalog.KindStage, catalog.Name{Database: "D", Schema: "S", Object: "ST"})
		if err == nil {
			id = o.ID
		}
		return err
	})
	return id, err
}

func checkDuties(t T, s catalog.Store) {
	var never time.Time
	update(t, s, func(tx catalog.Tx) error {
		_, err := tx.Duty("gc")
		wantCode(t, "duty that nobody took", err, errs.NotFound)
		must(0, tx.TakeDuty("gc", "a", ahead(tx), never))(t)
		must(0, tx.TakeDuty("gc", "a", ahead(tx), never))(t)
		wantCode(t, "duty of another", tx.TakeDuty("gc", "b", ahead(tx), never), errs.Conflict)
		must(0, tx.TakeDuty("other", "b", ahead(tx), never))(t)
		must(0, tx.EndDuty("gc", "b", true))(t)
		wantEqual(t, "duty", must(tx.Duty("gc"))(t), catalog.Duty{Name: "gc", Holder: "a", Until: ahead(tx)})
		must(0, tx.EndDuty("gc", "a", false))(t)
		must(0, tx.TakeDuty("gc", "b", ahead(tx), tx.Now()))(t)
		return tx.EndDuty("gc", "b", true)
	})
	update(t, s, func(tx catalog.Tx) error {
		done := must(tx.Duty("gc"))(t).Done
		wantCode(t, "duty that was done", tx.TakeDuty("gc", "a", ahead(tx), done), errs.Conflict)
		must(0, tx.TakeDuty("gc", "a", tx.Now(), done.Add(time.Microsecond)))(t)
		must(0, tx.TakeDuty("gc", "b", ahead(tx), never))(t)
		wantEqual(t, "done", must(tx.Duty("gc"))(t).Done, done)
		return nil
	})
}
