// SPDX-License-Identifier: Apache-2.0

// Package bundle carries images from one registry to another in a file: an OCI archive with every tag, everything that is attached to
// the images (signatures, SBOMs) and, as evidence, a bill of materials and a validation report of each image.
//
// It judges nothing (package imagecheck does) and keeps no images. `firn image export` calls Export, `firn image import` calls Import.
// Files:
//
//	place.go     names of what is carried       gather.go    what a registry has
//	remote.go    the registry                   evidence.go  SBOM and report, as attachments
//	archive.go   the file is written            layout.go    the file is read
//	push.go      what the registry lacks
//
// Errors of all: Invalid, NotFound, Unauthenticated, Denied, Refused, Exhausted, Unavailable, Unsupported, Corrupt, Canceled.
package bundle

import (
	"github.com/google/go-containerregistry/pkg/v1/types"
	specs "github.com/opencontainers/image-spec/specs-go/v1"
)

// The artifact types of the evidence.
const (
	SBOMType   = "application/vnd.cyclonedx+json"
	ReportType = "application/vnd.firn.validate+json"
)

const (
	manifestMax = 4 << 20 // bytes of one manifest, as registries have it
	depthMax    = 8       // of indexes in indexes and attachments of attachments
	refName     = specs.AnnotationRefName
)

// Tag is one name that was carried.
type Tag struct {
	Image  string // "churn"
	Tag    string // "v1"
	Digest string
	// Result is the verdict of Export: "pass", "fail" or "error", "" when nothing was judged.
	Result string
	// Before is the digest that the tag had when Import began, "" when there was no such tag.
	Before string
}

// raw is a manifest as it is pushed.
type raw struct {
	body      []byte
	mediaType types.MediaType
}

// RawManifest implements remote.Taggable.
func (r raw) RawManifest() ([]byte, error) { return r.body, nil }

// MediaType is asked for by package remote.
func (r raw) MediaType() (types.MediaType, error) { return r.mediaType, nil }
