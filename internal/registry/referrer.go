// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/registry/upstream"
)

// getReferrers lists the manifests that are about another one, as an index: signatures, SBOMs, reports. A digest that nothing is
// about, or that does not exist, has an empty list.
func (g *Registry) getReferrers(w http.ResponseWriter, r *request) error {
	at, err := g.admit(r, catalog.Read)
	if err != nil {
		return err
	}
	found, err := g.referrers(r.Context(), at.repository.ID, r.image, r.reference)
	if err != nil {
		return err
	}
	if follows(at.repository) {
		found = (&followed{g, r.id, at.repository, r.image}).addReferrers(r.Context(), r.reference, found)
	}
	if filter := r.URL.Query().Get("artifactType"); filter != "" {
		found = slices.DeleteFunc(found, func(d v1.Descriptor) bool { return d.ArtifactType != filter })
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	w.Header().Set("Content-Type", v1.MediaTypeImageIndex)
	w.WriteHeader(http.StatusOK)
	_ = json.NewEncoder(w).Encode(v1.Index{ // the client is gone when this fails
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: found,
	})
	return nil
}

// referrers describes the manifests of an image that are about a digest, never nil.
func (g *Registry) referrers(ctx context.Context, repository catalog.ID, image, about string) (found []v1.Descriptor, err error) {
	err = g.Catalog.View(ctx, func(tx catalog.Tx) error {
		found = []v1.Descriptor{}
		for m, err := range tx.Referrers(repository, image, about) {
			if err != nil {
				return err
			}
			found = append(found, v1.Descriptor{
				MediaType: m.MediaType, Digest: digest.Digest(m.Digest), Size: int64(len(m.Body)), ArtifactType: m.ArtifactType, Annotations: m.Annotations,
			})
		}
		return nil
	})
	return found, err
}

// addReferrers adds to what is here what the upstream has and who pulls it by its digest gets. It is asked once in
// askRest. Without an answer what is here is listed.
func (f *followed) addReferrers(ctx context.Context, about string, here []v1.Descriptor) []v1.Descriptor {
	at := f.tag("about " + about)
	known, ok := f.told(at, true)
	if !ok {
		answer, err := shared(ctx, &f.upstreams.asking, string(at.repository)+" "+at.source+" "+at.image+" "+at.reference, func(ctx context.Context) (any, error) {
			image, err := f.open(ctx)
			if err != nil {
				return nil, err
			}
			return image.Referrers(ctx, about)
		})
		if err != nil {
			f.Log.Warn("an upstream does not list what is attached to an image: what is here is listed", "image", f.path(about), "error", err)
		}
		known.referrers, _ = answer.([]upstream.Descriptor)
		if ctx.Err() == nil { // else only who asked is gone
			f.upstreams.put(at, answerThere{referrers: known.referrers, err: err, at: f.Now()}, f.Now().Add(-askRest))
		}
	}
	for _, d := range known.referrers {
		listed := slices.ContainsFunc(here, func(h v1.Descriptor) bool { return string(h.Digest) == d.Digest })
		if !listed && checkDigest(d.Digest) == nil {
			here = append(here, v1.Descriptor{
				MediaType: d.MediaType, Digest: digest.Digest(d.Digest), Size: d.Size, ArtifactType: d.ArtifactType, Annotations: d.Annotations,
			})
		}
	}
	return here
}
