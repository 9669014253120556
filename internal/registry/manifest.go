// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strconv"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// maxManifest bounds a manifest, in bytes, as the specification proposes.
const maxManifest = 4 << 20

// maxTags bounds the tags of one push.
const maxTags = 32

// findManifest finds a manifest by tag or digest.
//
// Errors: NotFound.
func findManifest(tx catalog.Tx, repository catalog.ID, image, reference string) (*catalog.Manifest, error) {
	if !isDigest(reference) {
		t, err := tx.Tag(repository, image, reference)
		if err != nil {
			return nil, err
		}
		reference = t.Digest
	}
	return tx.Manifest(repository, image, reference)
}

// getManifest serves GET and HEAD of a manifest. A pull is on record before it is answered.
func (g *Registry) getManifest(w http.ResponseWriter, r *request) error {
	repository, m, size, err := g.askedManifest(r)
	if err != nil {
		return err
	}
	if r.Method == http.MethodGet {
		pull := &catalog.ImagePull{Repository: repository.ID, Image: r.image, Digest: m.Digest, User: r.id.User}
		g.audit(r.Context(), entry{r.event(actionPull, m.Digest), pull})
	}
	if g.rested(m.Leased) {
		if err := g.renewManifest(r, m); err != nil {
			return err
		}
	}
	h := w.Header()
	h.Set("Content-Type", m.MediaType)
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	h.Set("Docker-Content-Digest", m.Digest)
	h.Set("ETag", `"`+m.Digest+`"`)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(m.Body) // the client is gone when this fails
	}
	return nil
}

// askedManifest finds the manifest of a request, and its size. HEAD of what is not imported yet from an upstream gives one without a body.
func (g *Registry) askedManifest(r *request) (repository *catalog.Object, m *catalog.Manifest, size int64, err error) {
	whole := r.Method == http.MethodGet
	at, err := g.admit(r, catalog.Read)
	if err != nil {
		return nil, nil, 0, err
	}
	repository = at.repository
	if follows(repository) {
		m, size, err = (&followed{g, r.id, repository, r.image}).find(r.Context(), r.reference, whole)
		if errs.Is(err, errs.NotFound) {
			err = coded(manifestUnknown, err)
		}
		return repository, m, size, err
	}
	err = g.Catalog.View(r.Context(), func(tx catalog.Tx) (err error) {
		if m, err = findManifest(tx, repository.ID, r.image, r.reference); err != nil || whole {
			return coded(manifestUnknown, err)
		}
		return g.askForContent(tx, r, repository, m)
	})
	return repository, m, bodySize(m), err
}

// askForContent denies a manifest to who may push it when it, or content that it needs, is lost: clients send nothing of an image
// whose manifest is there.
func (g *Registry) askForContent(tx catalog.Tx, r *request, repository *catalog.Object, m *catalog.Manifest) error {
	lacks, err := tx.LacksContent(repository.ID, r.image, m.Digest)
	if err != nil {
		return err
	}
	h := newHash(m.Digest)
	h.Write(m.Body)
	if !lacks && verify(h, m.Digest) == nil {
		return nil
	}
	write, err := g.Authorizer.Allowed(tx, r.id, catalog.Write, repository)
	if err != nil || !write {
		return err
	}
	return coded(manifestUnknown, errs.New(errs.NotFound, "content of manifest %s is lost: push the image again", m.Digest))
}

// renewManifest renews the lease of a manifest when the identity may push: who pushes an index does not push again what is there.
func (g *Registry) renewManifest(r *request, m *catalog.Manifest) error {
	return g.Catalog.Update(r.Context(), func(tx catalog.Tx) error {
		repository, err := g.repository(tx, r.id, r.repository, catalog.Read)
		if err != nil {
			return err
		}
		write, err := g.Authorizer.Allowed(tx, r.id, catalog.Write, repository)
		if err != nil || !write {
			return err
		}
		return coded(manifestUnknown, tx.RenewManifest(repository.ID, r.image, m.Digest))
	})
}

// putManifest takes a manifest, by digest or under a tag; a push by digest may name tags too (?tag=).
func (g *Registry) putManifest(w http.ResponseWriter, r *request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxManifest))
	if tooLarge, ok := err.(*http.MaxBytesError); ok {
		return statused(manifestInvalid, http.StatusRequestEntityTooLarge,
			errs.New(errs.Exhausted, "the manifest is larger than %d bytes", tooLarge.Limit))
	} else if err != nil {
		return broken(err)
	}
	m, types, err := parseManifest(body, r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	tags, err := pushedTags(r)
	if err != nil {
		return err
	}
	m.Image, m.PushedBy, m.Digest = r.image, r.id.User, r.reference
	h := newHash(r.reference)
	h.Write(body)
	if !isDigest(r.reference) {
		m.Digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	} else if err := verify(h, r.reference); err != nil {
		return err
	}
	if err := g.storeManifest(r, m, tags, types); err != nil {
		return err
	}
	header := w.Header()
	header.Set("Location", "/v2/"+r.name+"/manifests/"+m.Digest)
	header.Set("Docker-Content-Digest", m.Digest)
	if m.Subject != "" {
		header.Set("OCI-Subject", m.Subject)
	}
	if isDigest(r.reference) {
		for _, tag := range tags {
			header.Add("OCI-Tag", tag)
		}
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// pushedTags gives the tags that a push sets.
func pushedTags(r *request) ([]string, error) {
	if !isDigest(r.reference) {
		return []string{r.reference}, nil
	}
	tags := r.URL.Query()["tag"]
	if len(tags) > maxTags {
		return nil, coded(manifestInvalid, errs.New(errs.Invalid, "a push sets at most %d tags", maxTags))
	}
	for _, tag := range tags {
		if !tagPattern.MatchString(tag) {
			return nil, coded(manifestInvalid, errs.New(errs.Invalid, "%.200q is no tag", tag))
		}
	}
	return tags, nil
}

// storeManifest commits a manifest with its tags and the record of the push. Who may push is looked up before, beside other writers.
func (g *Registry) storeManifest(r *request, m *catalog.Manifest, tags, types []string) error {
	at, err := g.admit(r, catalog.Write)
	if err != nil {
		return err
	}
	return g.Catalog.Update(r.Context(), func(tx catalog.Tx) error {
		at, err := at.now(tx)
		if err != nil {
			return err
		}
		if err := takesPushes(at.repository); err != nil {
			return err
		}
		if err := holdsChildren(tx, at.repository.ID, m); err != nil {
			return err
		}
		if err := keepManifest(tx, at, m, tags, types); err != nil {
			return err
		}
		return tx.AddEvent(r.event(actionPush, m.Digest))
	})
}

// keepManifest stores a manifest with its tags, as the rules of the repository allow. It comes from m.PushedBy.
func keepManifest(tx catalog.Tx, at *place, m *catalog.Manifest, tags, types []string) error {
	if err := allowedTypes(at.repository, types); err != nil {
		return err
	}
	m.Repository = at.repository.ID
	untold := false // it is new, and no tag tells of it
	if len(tags) == 0 || at.limited() {
		_, err := tx.Manifest(m.Repository, m.Image, m.Digest)
		if errs.Is(err, errs.NotFound) {
			untold = len(tags) == 0
			err = fits(tx, at, "", "", int64(len(m.Body)))
		}
		if err != nil {
			return err
		}
	}
	if err := tx.PutManifest(m); errs.Is(err, errs.NotFound) {
		return statused(manifestBlobUnknown, http.StatusBadRequest, err)
	} else if err != nil {
		return err
	}
	for _, name := range tags {
		if err := moveTag(tx, at.repository, m, name, m.PushedBy); err != nil {
			return err
		}
	}
	if !untold {
		return nil
	}
	return tx.AddImageEvent(catalog.ImageEvent{
		Kind: catalog.ImagePushed, Repository: m.Repository, Image: m.Image, Digest: m.Digest, User: m.PushedBy,
	})
}

// holdsChildren tells whether the image holds the manifests that an index names. What comes from an upstream need not: they follow when
// somebody asks for them.
func holdsChildren(tx catalog.Tx, repository catalog.ID, m *catalog.Manifest) error {
	for _, digest := range m.Children {
		_, err := tx.Manifest(repository, m.Image, digest)
		if errs.Is(err, errs.NotFound) {
			return statused(manifestBlobUnknown, http.StatusBadRequest,
				errs.New(errs.NotFound, "image %s has no manifest %s, which the index names: push it first", m.Image, digest))
		} else if err != nil {
			return err
		}
	}
	return nil
}

// deleteManifest removes a manifest with its tags when a digest is given, else the tag alone.
func (g *Registry) deleteManifest(w http.ResponseWriter, r *request) error {
	err := g.Catalog.Update(r.Context(), func(tx catalog.Tx) error {
		repository, err := g.repository(tx, r.id, r.repository, catalog.Write)
		if err != nil {
			return err
		}
		m, err := findManifest(tx, repository.ID, r.image, r.reference)
		if err != nil {
			return coded(manifestUnknown, err)
		}
		if isDigest(r.reference) {
			err = removeManifest(tx, repository, m, r.id.User)
		} else if err = immutable(repository, r.image, r.reference, "delete the tag"); err == nil {
			tag := &catalog.Tag{Repository: repository.ID, Image: r.image, Name: r.reference, Digest: m.Digest}
			err = dropTag(tx, tag, catalog.ImageTagDeleted, r.id.User)
		}
		if err != nil {
			return err
		}
		return tx.AddEvent(r.event(actionDelete, m.Digest))
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// removeManifest deletes a manifest with its tags.
func removeManifest(tx catalog.Tx, repository *catalog.Object, m *catalog.Manifest, user string) error {
	if err := keepsImmutable(tx, repository, m); err != nil {
		return err
	}
	if err := tx.DeleteManifest(repository.ID, m.Image, m.Digest); err != nil {
		return err
	}
	return tx.AddImageEvent(catalog.ImageEvent{
		Kind: catalog.ImageManifestDeleted, Repository: repository.ID, Image: m.Image, Digest: m.Digest, User: user,
	})
}

// maxPage bounds a page of tags.
const maxPage = 1000

// getTags lists the tags of an image in pages. A page that is not the last carries a Link to the next, and only then.
func (g *Registry) getTags(w http.ResponseWriter, r *request) error {
	query := r.URL.Query()
	page, err := pageSize(query)
	if err != nil {
		return err
	}
	at, err := g.admit(r, catalog.Read)
	if err != nil {
		return err
	}
	var tags []string
	err = g.Catalog.View(r.Context(), func(tx catalog.Tx) (err error) {
		tags, err = listTags(tx, at.repository.ID, r.image, query.Get("last"), page+1)
		return err
	})
	if err != nil {
		return err
	}
	if len(tags) > page {
		tags = tags[:page]
		if page > 0 {
			next := "/v2/" + r.name + "/tags/list?n=" + strconv.Itoa(page) + "&last=" + tags[page-1]
			w.Header().Set("Link", "<"+next+`>; rel="next"`)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"name": r.name, "tags": tags})
	return nil
}

// listTags gives at most limit tags after the one named last; never nil.
//
// Errors: NotFound when there is no such image.
func listTags(tx catalog.Tx, repository catalog.ID, image, last string, limit int) ([]string, error) {
	tags := []string{}
	for t, err := range tx.Tags(repository, image, last) {
		if err != nil {
			return nil, err
		}
		if tags = append(tags, t.Name); len(tags) == limit {
			break
		}
	}
	if len(tags) > 0 {
		return tags, nil
	}
	var images []string
	for name, err := range tx.ImageNames(repository) {
		if err != nil {
			return nil, err
		}
		images = append(images, name)
	}
	if !slices.Contains(images, image) {
		return nil, coded(nameUnknown, errs.New(errs.NotFound, "image %s does not exist", image))
	}
	return tags, nil
}
