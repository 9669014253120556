// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"fmt"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func imageRuleChecks() []Check {
	return []Check{
		{"image events are listed newest first and purged", checkImageEvents},
		{"the last pull of a manifest is known", checkImagePulls},
		{"storage counts content once", checkStorage},
		{"uploads reserve storage", checkReserved},
		{"images share what others hold", checkImageSize},
		{"jobs hold their image for some days", checkJobHold},
	}
}

func checkImageEvents(t T, s catalog.Store) {
	repo, other := newRepositories(t, s)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	var want []catalog.ImageEvent
	update(t, s, func(tx catalog.Tx) error {
		want = nil
		for i, kind := range []catalog.ImageEventKind{catalog.ImagePushed, catalog.ImageTagMoved, catalog.ImageDrifted} {
			e := catalog.ImageEvent{
				ID: catalog.ID(fmt.Sprintf("e%d", i)), Time: at.Add(time.Duration(i) * time.Hour), Kind: kind, Repository: repo, Image: image, Tag: "v1",
				Digest: "sha256:b", Previous: "sha256:a", User: "U", Environment: "E",
			}
			want = append([]catalog.ImageEvent{e}, want...)
			if err := tx.AddImageEvent(e); err != nil {
				return err
			}
		}
		wantCode(t, "event of nothing", tx.AddImageEvent(catalog.ImageEvent{Repository: "none"}), errs.NotFound)
		return tx.AddImageEvent(catalog.ImageEvent{Repository: other, Kind: catalog.ImagePulled})
	})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "events", all(t, tx.ImageEvents([]catalog.ID{repo}, 10)), want)
		wantEqual(t, "newest events", all(t, tx.ImageEvents([]catalog.ID{repo}, 2)), want[:2])
		wantEqual(t, "events of nothing", len(all(t, tx.ImageEvents(nil, 10))), 0)
		both := all(t, tx.ImageEvents([]catalog.ID{repo, other}, 10))
		if len(both) != 4 || both[0].ID == "" || both[0].Time.Before(at) || both[0].Repository != other {
			t.Errorf("events of two repositories are %+v", both)
		}
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "purged", must(tx.PurgeImageEvents(want[0].Time))(t), 2)
		wantEqual(t, "events that stay", all(t, tx.ImageEvents([]catalog.ID{repo}, 10)), want[:1])
		return nil
	})
	update(t, s, func(tx catalog.Tx) error { return tx.DropObject(repo) })
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "events of a dropped repository", len(all(t, tx.ImageEvents([]catalog.ID{repo}, 10))), 0)
		return nil
	})
}

func checkImagePulls(t T, s catalog.Store) {
	repo, _ := newRepositories(t, s)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	update(t, s, func(tx catalog.Tx) error {
		_, err := tx.ImagePull(repo, image, "sha256:m")
		wantCode(t, "pull that never was", err, errs.NotFound)
		if err := tx.PutManifest(manifest(repo, "sha256:m")); err != nil {
			return err
		}
		return tx.PutImagePull(catalog.ImagePull{Repository: repo, Image: image, Digest: "sha256:none", Time: at})
	})
	for _, user := range []string{"U", ""} {
		want := catalog.ImagePull{Repository: repo, Image: image, Digest: "sha256:m", Time: at, User: user}
		at = at.Add(time.Hour)
		want.Time = at
		update(t, s, func(tx catalog.Tx) error { return tx.PutImagePull(want) })
		view(t, s, func(tx catalog.Tx) error {
			wantEqual(t, "pull", must(tx.ImagePull(repo, image, "sha256:m"))(t), want)
			wantEqual(t, "pulls", all(t, tx.ImagePulls(repo)), []catalog.ImagePull{want})
			return nil
		})
	}
	update(t, s, func(tx catalog.Tx) error { return tx.DeleteManifest(repo, image, "sha256:m") })
	update(t, s, func(tx catalog.Tx) error {
		if err := tx.PutManifest(manifest(repo, "sha256:m")); err != nil {
			return err
		}
		_, err := tx.ImagePull(repo, image, "sha256:m")
		wantCode(t, "pull of a manifest that was deleted", err, errs.NotFound)
		return nil
	})
}

// sized adds blobs of a size that an image holds.
func sized(tx catalog.Tx, repo catalog.ID, image string, size int64, digests ...string) error {
	for _, d := range digests {
		if _, err := tx.PutBlob(&catalog.Blob{Digest: d, Size: size, Key: d}); err != nil {
			return err
		}
		if err := tx.LinkBlob(repo, image, d); err != nil {
			return err
		}
	}
	return nil
}

func checkStorage(t T, s catalog.Store) {
	repo, other := newRepositories(t, s)
	update(t, s, func(tx catalog.Tx) error {
		for _, step := range []func() error{
			func() error { return sized(tx, repo, "one", 1<<40, "sha256:a", "sha256:b") },
			func() error { return sized(tx, repo, "two", 1<<40, "sha256:a") },
			func() error { return sized(tx, other, "three", 1<<40, "sha256:a") },
			func() error { return sized(tx, other, "three", 100, "sha256:c") },
			func() error { return tx.PutManifest(manifest(repo, "sha256:m")) }, // of two bytes
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, s, func(tx catalog.Tx) error {
		for _, c := range []struct {
			in   []catalog.ID
			want int64
		}{{nil, 0}, {[]catalog.ID{repo}, 2<<40 + 2}, {[]catalog.ID{other}, 1<<40 + 100}, {[]catalog.ID{repo, other}, 2<<40 + 102}} {
			wantEqual(t, fmt.Sprintf("storage of %d repositories", len(c.in)), must(tx.StorageUsed(c.in))(t), c.want)
		}
		wantEqual(t, "a blob of one", must(tx.HoldsBlob([]catalog.ID{repo, other}, "sha256:c"))(t), true)
		wantEqual(t, "a blob of another", must(tx.HoldsBlob([]catalog.ID{repo}, "sha256:c"))(t), false)
		wantEqual(t, "a blob of nobody", must(tx.HoldsBlob(nil, "sha256:c"))(t), false)
		return nil
	})
}

func checkReserved(t T, s catalog.Store) {
	put := func(u catalog.Upload) {
		t.Helper()
		update(t, s, func(tx catalog.Tx) error { return tx.PutUpload(&u) })
	}
	reserved := func(want int64, except catalog.ID, in ...catalog.ID) {
		t.Helper()
		view(t, s, func(tx catalog.Tx) error {
			wantEqual(t, "reserved", must(tx.StorageReserved(in, except))(t), want)
			return nil
		})
	}
	put(catalog.Upload{ID: "u1", Repository: "r1", Reserved: 1 << 40})
	put(catalog.Upload{ID: "u2", Repository: "r1", Reserved: 5})
	put(catalog.Upload{ID: "u3", Repository: "r2", Reserved: 7})
	reserved(1<<40+5, "", "r1")
	reserved(5, "u1", "r1")
	reserved(12, "u1", "r1", "r2")
	reserved(0, "")
	put(catalog.Upload{ID: "u1", Repository: "r1", Reserved: 3})
	reserved(8, "", "r1")
	update(t, s, func(tx catalog.Tx) error { return tx.DeleteUpload("u2") })
	reserved(3, "", "r1")
}

func checkImageSize(t T, s catalog.Store) {
	repo, other := newRepositories(t, s)
	put := func(tx catalog.Tx, repo catalog.ID, image, digest string, blobs, children []string) error {
		m := manifest(repo, digest) // of two bytes
		m.Image, m.Blobs, m.Children = image, blobs, children
		return tx.PutManifest(m)
	}
	update(t, s, func(tx catalog.Tx) error {
		for _, step := range []func() error{
			func() error { return sized(tx, repo, image, 10, "sha256:a", "sha256:b", "sha256:c") },
			func() error { return sized(tx, repo, "else", 10, "sha256:c") },
			func() error { return sized(tx, other, image, 10, "sha256:b") },
			func() error {
				return put(tx, repo, image, "sha256:m", []string{"sha256:a", "sha256:b", "sha256:b"}, nil)
			},
			func() error { return put(tx, repo, image, "sha256:n", []string{"sha256:b", "sha256:c"}, nil) },
			func() error { return put(tx, repo, image, "sha256:i", nil, []string{"sha256:m", "sha256:n"}) },
			func() error { return put(tx, repo, "else", "sha256:m", nil, nil) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "sizes", all(t, tx.ImageSizes(repo)), []catalog.ImageSize{
			{Image: "else", Digest: "sha256:m", Bytes: 2},
			{Image: image, Digest: "sha256:i", Bytes: 36, Shared: 1, SharedBytes: 10}, // c
			{Image: image, Digest: "sha256:m", Bytes: 22, Shared: 1, SharedBytes: 10}, // b, with n; that another repository has it does not count
			{Image: image, Digest: "sha256:n", Bytes: 22, Shared: 2, SharedBytes: 20}, // b with m, c with another image
		})
		wantEqual(t, "sizes of nothing", len(all(t, tx.ImageSizes("none"))), 0)
		return nil
	})
}

func checkJobHold(t T, s catalog.Store) {
	repo, _ := newRepositories(t, s)
	old := &catalog.Job{Kind: "ML JOB", Owner: "R", Pool: "P", Digest: "sha256:old"}
	recent := &catalog.Job{Kind: "ML JOB", Owner: "R", Pool: "P", Digest: "sha256:recent"}
	update(t, s, func(tx catalog.Tx) error {
		for _, j := range []*catalog.Job{old, recent} {
			if err := tx.PutManifest(manifest(repo, j.Digest)); err != nil {
				return err
			}
			if err := tx.SubmitJob(j); err != nil {
				return err
			}
			ago := catalog.JobImageHold - time.Minute
			if j == old {
				ago = catalog.JobImageHold + time.Minute
			}
			err := tx.TransitionJob(j.ID, catalog.JobPending, catalog.JobDone, func(j *catalog.Job) { j.Completed = tx.Now().Add(-ago) })
			if err != nil {
				return err
			}
		}
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "holders", must(tx.ManifestHolders(repo, image, "sha256:recent"))(t), []string{"job " + string(recent.ID)})
		wantEqual(t, "holders of the repository", must(tx.ManifestHolders(repo, "", ""))(t), []string(nil))
		wantCode(t, "deletion", tx.DeleteManifest(repo, image, "sha256:recent"), errs.Refused)
		return tx.DeleteManifest(repo, image, "sha256:old")
	})
}
