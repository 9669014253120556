// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"cmp"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// The media types of docker that go through.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// document is what the registry reads of a manifest or index.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *v1.Descriptor    `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Manifests     []v1.Descriptor   `json:"manifests"`
	Subject       *v1.Descriptor    `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// parseManifest reads a manifest or index that was pushed with a Content-Type. It gives the media types too that occur: its own, that
// of the artifact, and those of what it names.
//
// Errors: Invalid.
func parseManifest(body []byte, contentType string) (_ *catalog.Manifest, types []string, _ error) {
	invalid := func(cause error, format string, args ...any) (*catalog.Manifest, []string, error) {
		return nil, nil, coded(manifestInvalid, errs.Wrap(cause, errs.Invalid, format, args...))
	}
	var d document
	if err := json.Unmarshal(body, &d); err != nil {
		return invalid(err, "the manifest is no valid JSON document")
	}
	declared := ""
	if contentType != "" {
		var err error
		if declared, _, err = mime.ParseMediaType(contentType); err != nil {
			return invalid(err, "content type %.200q is malformed", contentType)
		}
	}
	mediaType := cmp.Or(d.MediaType, declared)
	if declared != "" && declared != mediaType {
		return invalid(nil, "the manifest is of type %.200s, the request says %.200s", mediaType, declared)
	}
	if d.SchemaVersion != 2 {
		return invalid(nil, "manifests of schema version %d are not taken, only 2", d.SchemaVersion)
	}
	m := &catalog.Manifest{MediaType: mediaType, ArtifactType: d.ArtifactType, Annotations: d.Annotations, Body: body}
	switch mediaType {
	case v1.MediaTypeImageManifest, dockerManifest:
		if d.Config == nil || d.Manifests != nil {
			return invalid(nil, "an image manifest must have a config and no manifests")
		}
		m.ArtifactType = cmp.Or(d.ArtifactType, d.Config.MediaType)
	case v1.MediaTypeImageIndex, dockerList:
		if d.Config != nil || d.Layers != nil {
			return invalid(nil, "an index must have no config and no layers")
		}
	default:
		return nil, nil, statused(manifestInvalid, http.StatusUnsupportedMediaType,
			errs.New(errs.Invalid, "manifests of type %.200q are not taken", mediaType))
	}
	types = []string{m.MediaType, m.ArtifactType}
	if d.Config != nil {
		types = append(types, d.Config.MediaType)
	}
	for _, named := range slices.Concat(d.Layers, d.Manifests) {
		types = append(types, named.MediaType)
	}
	return m, types, references(m, &d)
}

// blobs gives what a manifest needs beside itself: its config and the layers that are not elsewhere.
func (d *document) blobs() []v1.Descriptor {
	all := slices.DeleteFunc(slices.Clone(d.Layers), func(l v1.Descriptor) bool { return foreign(l.MediaType) })
	if d.Config != nil {
		all = append([]v1.Descriptor{*d.Config}, all...)
	}
	return all
}

// references notes what a manifest points to.
func references(m *catalog.Manifest, d *document) error {
	for _, b := range d.blobs() {
		if err := checkDigest(b.Digest.String()); err != nil {
			return err
		}
		m.Blobs = append(m.Blobs, b.Digest.String())
	}
	for _, c := range d.Manifests {
		if err := checkDigest(c.Digest.String()); err != nil {
			return err
		}
		m.Children = append(m.Children, c.Digest.String())
	}
	if d.Subject != nil {
		m.Subject = d.Subject.Digest.String()
		return checkDigest(m.Subject)
	}
	return nil
}

// foreign tells whether layers of the media type live elsewhere. An image with such a layer can be stored and pulled, not run.
func foreign(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.nondistributable.") ||
		strings.HasPrefix(mediaType, "application/vnd.docker.image.rootfs.foreign.")
}
