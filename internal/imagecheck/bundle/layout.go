// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/source"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	specs "github.com/opencontainers/image-spec/specs-go/v1"
)

// load is what an archive brings for one image.
type load struct {
	image     string
	tags      map[string]v1.Hash
	blobs     []v1.Descriptor // in the order of the manifests
	manifests []v1.Hash       // what is named comes before what names it
	seen      map[v1.Hash]bool
}

// reading is an archive that is read.
type reading struct {
	archive   *source.Archive
	file      string
	bodies    map[v1.Hash]raw
	documents map[v1.Hash]*document
	loads     []*load
	leftOut   []string // attachments of what is not in the archive
}

// readLayout reads index and manifests, and plans what goes where.
func readLayout(a *source.Archive, file string, place Place) (*reading, error) {
	r := &reading{archive: a, file: file, bodies: map[v1.Hash]raw{}, documents: map[v1.Hash]*document{}}
	body, err := a.Read(specs.ImageIndexFile, manifestMax)
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(errs.Corrupt, "%s is no OCI archive: it has no %s", file, specs.ImageIndexFile)
	} else if err != nil {
		return nil, err
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(body, &index); err != nil {
		return nil, errs.New(errs.Corrupt, "%s of %s does not decode: %v", specs.ImageIndexFile, file, err)
	}
	var named, attachments []v1.Descriptor
	for _, d := range index.Manifests {
		m, err := r.manifest(d)
		if err != nil {
			return nil, err
		}
		if d.Annotations[refName] == "" && m.Subject != nil {
			attachments = append(attachments, d)
		} else {
			named = append(named, d)
		}
	}
	if err := r.plan(named, place); err != nil {
		return nil, err
	}
	return r, r.planAttachments(attachments)
}

// plan says under which image and tag each named entry goes.
func (r *reading) plan(named []v1.Descriptor, place Place) error {
	if len(named) == 0 {
		return errs.New(errs.NotFound, "%s holds no image", r.file)
	}
	if place.Tag != "" && len(named) > 1 {
		return errs.New(errs.Conflict, "%s holds %d images, which cannot all become %s: leave out the tag", r.file, len(named), place)
	}
	from := map[string]bool{}
	for _, d := range named {
		image, tag := splitName(d.Annotations[refName])
		if from[image] = true; place.Image != "" && len(from) > 1 {
			return errs.New(errs.Conflict, "%s holds several images, which cannot all become %s: import into %s/%s", r.file, place.Image, place.Host, place.Repository)
		}
		if place.Image != "" {
			image = place.Image
		}
		if place.Tag != "" {
			tag = place.Tag
		}
		switch {
		case image == "" && tag == "":
			return errs.New(errs.Invalid, "image %s of %s has no name: import into %s/IMAGE:TAG", d.Digest, r.file, place)
		case image == "":
			return errs.New(errs.Invalid, "%s names its image %q, which is a tag only: import into %s/IMAGE", r.file, tag, place)
		case !tagPattern.MatchString(tag):
			return errs.New(errs.Invalid, "image %s of %s has no tag: import into %s/%s:TAG", d.Digest, r.file, place.Host+"/"+place.Repository, image)
		}
		if _, err := place.image(image); err != nil {
			return errs.New(errs.Invalid, "%s holds image %.300q, which is no name of an image: import into %s/IMAGE", r.file, image, place)
		}
		l := r.load(image)
		if old, ok := l.tags[tag]; ok && old != d.Digest {
			return errs.New(errs.Corrupt, "%s has two images %s:%s", r.file, image, tag)
		}
		l.tags[tag] = d.Digest
		if err := r.add(l, d, 0); err != nil {
			return err
		}
	}
	return nil
}

// splitName cuts "churn:v1", also behind a host and a path; "v1" alone is a tag.
func splitName(text string) (image, tag string) {
	i := strings.LastIndex(text, ":")
	if i < 0 || strings.Contains(text[i:], "/") {
		if strings.Contains(text, "/") {
			return text, ""
		}
		return "", text
	}
	return text[:i], text[i+1:]
}

func (r *reading) load(image string) *load {
	for _, l := range r.loads {
		if l.image == image {
			return l
		}
	}
	l := &load{image: image, tags: map[string]v1.Hash{}, seen: map[v1.Hash]bool{}}
	r.loads = append(r.loads, l)
	return l
}

// planAttachments puts each attachment wherever its subject is. One that is about another attachment comes after that.
func (r *reading) planAttachments(list []v1.Descriptor) error {
	placed := map[v1.Hash]bool{}
	for more := true; more; {
		more = false
		for _, d := range list {
			for _, l := range r.loads {
				if l.seen[d.Digest] || !l.seen[r.documents[d.Digest].Subject.Digest] {
					continue
				}
				if err := r.add(l, d, 0); err != nil {
					return err
				}
				more, placed[d.Digest] = true, true
			}
		}
	}
	for _, d := range list {
		if !placed[d.Digest] && !slices.ContainsFunc(r.loads, func(l *load) bool { return l.seen[d.Digest] }) {
			r.leftOut = append(r.leftOut, d.Digest.String())
		}
	}
	return nil
}

// add takes a manifest and what it names into a load.
func (r *reading) add(l *load, d v1.Descriptor, depth int) error {
	if depth > depthMax {
		return errs.New(errs.Unsupported, "image %s of %s: indexes nested deeper than %d", d.Digest, r.file, depthMax)
	}
	if l.seen[d.Digest] {
		return nil
	}
	l.seen[d.Digest] = true
	m, err := r.manifest(d)
	if err != nil {
		return err
	}
	for _, child := range m.Manifests {
		if err := r.add(l, child, depth+1); err != nil {
			return err
		}
	}
	for _, b := range m.blobs() {
		if !l.seen[b.Digest] {
			l.seen[b.Digest] = true
			l.blobs = append(l.blobs, b)
		}
	}
	l.manifests = append(l.manifests, d.Digest)
	return nil
}

// manifest reads a manifest and compares it with its digest, once.
func (r *reading) manifest(d v1.Descriptor) (*document, error) {
	if m, ok := r.documents[d.Digest]; ok {
		return m, nil
	}
	body, err := r.archive.Read(blobName(d.Digest), manifestMax)
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(errs.Corrupt, "%s lacks manifest %s: export it again", r.file, d.Digest)
	} else if err != nil {
		return nil, err
	}
	if got, _, err := v1.SHA256(bytes.NewReader(body)); err != nil || got != d.Digest {
		return nil, errs.New(errs.Corrupt, "manifest %s of %s has another content: its digest is %s; copy or export the archive again", d.Digest, r.file, got)
	}
	m, err := parseDocument(body, d.Digest.String()+" of "+r.file)
	if err != nil {
		return nil, err
	}
	mediaType := d.MediaType
	if m.MediaType != "" {
		mediaType = m.MediaType
	}
	if mediaType == "" {
		mediaType = types.OCIManifestSchema1
	}
	r.documents[d.Digest], r.bodies[d.Digest] = m, raw{body, mediaType}
	return m, nil
}

// verify compares every blob with its digest and gives their number.
func (r *reading) verify(ctx context.Context) (int, error) {
	done := map[v1.Hash]bool{}
	for _, l := range r.loads {
		for _, b := range l.blobs {
			if done[b.Digest] {
				continue
			}
			done[b.Digest] = true
			if err := ctx.Err(); err != nil {
				return 0, errs.Wrap(err, errs.Canceled, "archive %s", r.file)
			}
			if err := r.verifyBlob(b); err != nil {
				return 0, err
			}
		}
	}
	return len(done), nil
}

func (r *reading) verifyBlob(b v1.Descriptor) error {
	f, err := r.archive.Open(blobName(b.Digest))
	if err != nil {
		return errs.New(errs.Corrupt, "%s lacks %s, which a manifest of it names: export it again", r.file, b.Digest)
	}
	defer f.Close()
	sum, err := v1.Hasher(b.Digest.Algorithm)
	if err != nil {
		return errs.New(errs.Unsupported, "%s of %s: %v", b.Digest, r.file, err)
	}
	n, err := io.Copy(sum, f)
	if err != nil {
		return errs.New(errs.Corrupt, "%s of %s cannot be read: %v", b.Digest, r.file, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != b.Digest.Hex || n != b.Size {
		return errs.New(errs.Corrupt, "%s of %s has another content: %d bytes with digest %s:%s, %d bytes are expected; copy or export the archive again",
			b.Digest, r.file, n, b.Digest.Algorithm, got, b.Size)
	}
	return nil
}
