// SPDX-License-Identifier: Apache-2.0

package catalogtest

import (
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

func environmentChecks() []Check {
	return []Check{
		{"what environments were is kept", checkPast},
		{"what environments were holds their images", checkPastHolds},
		{"the account says how long images are held", checkHoldParameters},
	}
}

// past is an entry of an environment that was pinned to an image, as an index and the manifest in it.
func past(repo catalog.ID, name, digest string) *catalog.PastEnvironment {
	return &catalog.PastEnvironment{
		Environment: catalog.ID("of " + name), Name: name, Owner: "R", Verdict: "pass", Policy: "default", EndedBy: "U", EndedAs: "R",
		Reason: catalog.EnvironmentReplaced, Statement: "q", Since: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		Spec: catalog.RuntimeEnvironmentSpec{
			Repository: repo, Image: image, Tag: "v1", Digest: digest, TagDigest: "index-" + digest, Path: "/d/s/repo/" + image + ":v1", BaseType: "CPU",
			BaseImage: "b", Python: "3.11", Status: catalog.Deprecated,
		},
	}
}

func checkPast(t T, s catalog.Store) {
	repo, _ := newRepositories(t, s)
	first, second, older := past(repo, "E", "one"), past(repo, "E", "two"), past(repo, "F", "three")
	update(t, s, func(tx catalog.Tx) error {
		must(0, create(tx, role("R")))(t)
		must(0, tx.AddPastEnvironment(first))(t)
		wantEqual(t, "until", first.Until, tx.Now())
		if first.ID == "" {
			t.Errorf("the entry got no id")
		}
		must(0, tx.AddPastEnvironment(second))(t)
		older.Until = tx.Now().Add(-time.Hour)
		return tx.AddPastEnvironment(older)
	})
	update(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "history", all(t, tx.PastEnvironments()), []*catalog.PastEnvironment{second, first, older})
		must(0, tx.DropObject(repo))(t)
		r := must(tx.Object(catalog.KindRole, catalog.Name{Object: "R"}))(t)
		r.Name.Object = "NEW"
		return tx.AlterObject(r)
	})
	for _, p := range []*catalog.PastEnvironment{first, second, older} {
		p.Owner = "NEW"
	}
	view(t, s, func(tx catalog.Tx) error {
		wantEqual(t, "history without the repository", all(t, tx.PastEnvironments()), []*catalog.PastEnvironment{second, first, older})
		return nil
	})
}

func checkPastHolds(t T, s catalog.Store) {
	repo, other := newRepositories(t, s)
	var since time.Time
	update(t, s, func(tx catalog.Tx) error {
		for _, digest := range []string{"one", "index-one", "old", "free"} {
			must(0, tx.PutManifest(manifest(repo, digest)))(t)
		}
		must(0, tx.PutManifest(manifest(other, "one")))(t)
		elsewhere := manifest(repo, "one")
		elsewhere.Image = "else"
		must(0, tx.PutManifest(elsewhere))(t)
		for _, p := range []*catalog.PastEnvironment{past(repo, "E", "one"), past(repo, "E", "one"), past(repo, "F", "one"), past(repo, "E", "old")} {
			if p.Spec.Digest == "old" {
				p.Until = tx.Now().Add(-catalog.EnvironmentHistoryHold)
			}
			must(0, tx.AddPastEnvironment(p))(t)
		}
		return nil
	})
	update(t, s, func(tx catalog.Tx) error {
		since = tx.Now()
		until := all(t, tx.PastEnvironments())[0].Until.Add(catalog.EnvironmentHistoryHold).Format("2006-01-02 15:04 UTC")
		want := []string{"history of environment E until " + until, "history of environment F until " + until}
		for _, digest := range []string{"one", "index-one"} {
			wantEqual(t, "holders of "+digest, must(tx.ManifestHolders(repo, image, digest))(t), want)
			err := tx.DeleteManifest(repo, image, digest)
			wantCode(t, "deletion of "+digest, err, errs.Refused)
			if err != nil && !strings.Contains(err.Error(), want[0]) {
				t.Errorf("the refusal does not name %q: %v", want[0], err)
			}
		}
		for what, at := range map[string]catalog.Unused{
			"after the hold": {Repository: repo, Image: image, Digest: "old"}, "in another repository": {Repository: other, Image: image, Digest: "one"},
			"in another image": {Repository: repo, Image: "else", Digest: "one"}, "of the repository": {Repository: repo},
		} {
			wantEqual(t, "holders "+what, must(tx.ManifestHolders(at.Repository, at.Image, at.Digest))(t), []string(nil))
		}
		must(0, tx.RenewHeld(since))(t)
		leased := digests(all(t, tx.UnusedManifests(since)))
		wantEqual(t, "not held", len(leased), 4) // free, old, and the digest in another image and repository
		for _, digest := range []string{"one", "index-one"} {
			wantEqual(t, "lease of "+digest, must(tx.Manifest(repo, image, digest))(t).Leased, since)
		}
		return nil
	})
}

func checkHoldParameters(t T, s catalog.Store) {
	repo, _ := newRepositories(t, s)
	account := &catalog.Object{ID: catalog.AccountID, Kind: catalog.KindAccount, Name: catalog.Name{Object: "A"}, Spec: &catalog.AccountSpec{}}
	job := &catalog.Job{Kind: "ML JOB", Owner: "R", Pool: "P", Digest: "ran"}
	const day = 24 * time.Hour
	update(t, s, func(tx catalog.Tx) error {
		must(0, create(tx, account))(t)
		p := past(repo, "E", "was")
		p.Until = tx.Now().Add(-3 * day)
		must(0, tx.AddPastEnvironment(p))(t)
		must(0, tx.PutManifest(manifest(repo, "was")))(t)
		must(0, tx.PutManifest(manifest(repo, "ran")))(t)
		must(0, tx.SubmitJob(job))(t)
		return tx.TransitionJob(job.ID, catalog.JobPending, catalog.JobDone, func(j *catalog.Job) { j.Completed = tx.Now().Add(-3 * day) })
	})
	for _, c := range []struct {
		days string
		held bool
	}{{"", true}, {"4", true}, {"2", false}, {"3650", true}, {"0", false}, {"many", true}, {"-1", true}} {
		update(t, s, func(tx catalog.Tx) error {
			parameters := map[string]string{catalog.JobHoldParameter: c.days, catalog.HistoryHoldParameter: c.days}
			account.Spec = &catalog.AccountSpec{Parameters: parameters}
			must(0, tx.AlterObject(account))(t)
			must(0, tx.RenewHeld(ahead(tx)))(t)
			for _, digest := range []string{"was", "ran"} {
				holders := must(tx.ManifestHolders(repo, image, digest))(t)
				wantEqual(t, digest+" is held for "+c.days+" days", len(holders) > 0, c.held)
				renewed := must(tx.Manifest(repo, image, digest))(t).Leased.Equal(tx.Now())
				wantEqual(t, digest+" is kept for "+c.days+" days", renewed, c.held)
			}
			return nil
		})
	}
	update(t, s, func(tx catalog.Tx) error {
		account.Spec = &catalog.AccountSpec{Parameters: map[string]string{catalog.JobHoldParameter: "4", catalog.HistoryHoldParameter: "0"}}
		must(0, tx.AlterObject(account))(t)
		err := tx.DeleteManifest(repo, image, "ran")
		wantCode(t, "deletion", err, errs.Refused)
		if err != nil && !strings.Contains(err.Error(), "until 4 days after its end") {
			t.Errorf("the refusal does not say for how long: %v", err)
		}
		return tx.DeleteManifest(repo, image, "was")
	})
}
