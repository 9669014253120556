// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/json"
	"net/http"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"firn.dev/firn/internal/catalog"
)

// getReferrers lists the manifests that are about another one, as an index: signatures, SBOMs, reports. A digest that nothing is
// about, or that does not exist, has an empty list.
func (g *Registry) getReferrers(w http.ResponseWriter, r *request) error {
	filter := r.URL.Query().Get("artifactType")
	index := v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{},
	}
	at, err := g.admit(r, catalog.Read)
	if err != nil {
		return err
	}
	err = g.Catalog.View(r.Context(), func(tx catalog.Tx) error {
		for m, err := range tx.Referrers(at.repository.ID, r.image, r.reference) {
			if err != nil {
				return err
			}
			if filter == "" || m.ArtifactType == filter {
				index.Manifests = append(index.Manifests, v1.Descriptor{
					MediaType: m.MediaType, Digest: digest.Digest(m.Digest), Size: int64(len(m.Body)),
					ArtifactType: m.ArtifactType, Annotations: m.Annotations,
				})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if filter != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	w.Header().Set("Content-Type", v1.MediaTypeImageIndex)
	w.WriteHeader(http.StatusOK)
	_ = json.NewEncoder(w).Encode(index) // the client is gone when this fails
	return nil
}
