// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"regexp"
	"strings"

	"firn.dev/firn/internal/errs"
	"github.com/google/go-containerregistry/pkg/name"
)

// Place is an image repository of a server, one of its images, or one tag.
type Place struct {
	Host       string // "127.0.0.1:8085"
	Repository string // "ml/churn/images"
	Image      string // "" for all
	Tag        string // "" for all
}

// String writes the place as users do.
func (p Place) String() string {
	s := p.Host + "/" + p.Repository
	if p.Image != "" {
		s += "/" + p.Image
	}
	if p.Tag != "" {
		s += ":" + p.Tag
	}
	return s
}

var tagPattern = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// ParsePlace reads HOST/db/schema/repository[/image[:tag]]. Database, schema and repository are compared without case.
//
// Errors: Invalid.
func ParsePlace(text string) (Place, error) {
	wrong := func(reason string) (Place, error) {
		return Place{}, errs.New(errs.Invalid, "%.300q %s: write HOST/db/schema/repository[/image[:tag]]", text, reason)
	}
	parts := strings.Split(strings.TrimSuffix(text, "/"), "/")
	if len(parts) < 4 {
		return wrong("is no image repository of a server")
	}
	if !strings.ContainsAny(parts[0], ".:") && parts[0] != "localhost" {
		return wrong("does not begin with a host")
	}
	p := Place{Host: parts[0], Repository: strings.ToLower(strings.Join(parts[1:4], "/"))}
	image, tag, tagged := strings.Cut(strings.Join(parts[4:], "/"), ":")
	if p.Image, p.Tag = image, tag; tagged && !tagPattern.MatchString(tag) || tagged && image == "" {
		return wrong("has no such tag")
	}
	check := p.Host + "/" + p.Repository
	if image != "" {
		check += "/" + image
	}
	if _, err := name.NewRepository(check, name.StrictValidation); err != nil {
		return wrong("is no name of an image")
	}
	return p, nil
}

// image is the name of an image in the place's repository.
//
// Errors: Invalid.
func (p Place) image(image string) (name.Repository, error) {
	r, err := name.NewRepository(p.Host + "/" + p.Repository + "/" + image)
	if err != nil {
		return r, errs.New(errs.Invalid, "%.300q is no name of an image", image)
	}
	return r, nil
}
