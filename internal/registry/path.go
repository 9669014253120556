// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"regexp"
	"slices"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// Path is an image path as SQL statements write it: /db/schema/repository/image[:tag][@digest].
type Path struct {
	Repository catalog.Name // canonical: upper case
	Image      string
	Tag        string // "" when only a digest was given; "latest" when neither was
	Digest     string // "" when none was given
}

// String writes the path as SHOW IMAGES does, with a leading slash: the repository part in lower case.
func (p Path) String() string {
	s := "/" + strings.ToLower(p.Repository.Database+"/"+p.Repository.Schema+"/"+p.Repository.Object) + "/" + p.Image
	if p.Tag != "" {
		s += ":" + p.Tag
	}
	if p.Digest != "" {
		s += "@" + p.Digest
	}
	return s
}

// identifier is a part of a path that names a database, schema or repository.
var identifier = regexp.MustCompile(`^[A-Za-z0-9_$][A-Za-z0-9_$.-]*$`)

// ParsePath reads an image path. The leading slash may be missing; then a registry host may come first, when it looks like one:
// with a dot or a port, or "localhost". Database, schema and repository are compared without case, the image is lower case.
//
// Errors: Invalid.
func ParsePath(text string) (Path, error) {
	invalid := func(reason string, args ...any) error {
		return errs.New(errs.Invalid, "image path %.300q: "+reason+"; write /db/schema/repository/image:tag", append([]any{text}, args...)...)
	}
	rest, digest, hasDigest := strings.Cut(text, "@")
	if hasDigest && checkDigest(digest) != nil {
		return Path{}, invalid("%.200q is no digest", digest)
	}
	rest, absolute := strings.CutPrefix(rest, "/")
	parts := strings.Split(rest, "/")
	if !absolute && len(parts) > 1 && isHost(parts[0]) {
		parts = parts[1:]
	}
	if len(parts) < 4 {
		return Path{}, invalid("it has %d parts of at least 4", len(parts))
	}
	last, tag, hasTag := strings.Cut(parts[len(parts)-1], ":")
	parts[len(parts)-1] = last
	switch {
	case hasTag && !tagPattern.MatchString(tag):
		return Path{}, invalid("%.200q is no tag", tag)
	case !hasTag && !hasDigest:
		tag = "latest"
	}
	if i := slices.IndexFunc(parts[:3], func(p string) bool { return !identifier.MatchString(p) }); i >= 0 {
		return Path{}, invalid("%.200q is no name", parts[i])
	}
	if i := slices.IndexFunc(parts[3:], func(p string) bool { return !nameComponent.MatchString(p) }); i >= 0 {
		return Path{}, invalid("%.200q is no image name, which has lower-case letters, digits and . _ - between them", parts[3+i])
	}
	return Path{repositoryName(parts), strings.Join(parts[3:], "/"), tag, digest}, nil
}

// isHost tells whether the first part of a path names a registry.
func isHost(part string) bool {
	return strings.ContainsAny(part, ".:") || part == "localhost"
}
