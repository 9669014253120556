// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/http"
	"slices"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// What the owner of a repository has ruled (catalog.ImageRepositorySpec) is checked inside the transaction that writes, so a rule holds from
// the moment when ALTER IMAGE REPOSITORY has answered. Quotas are in quota.go, retention is in retention.go.

// rulesOf gives the rules of a repository.
func rulesOf(repository *catalog.Object) *catalog.ImageRepositorySpec {
	return repository.Spec.(*catalog.ImageRepositorySpec)
}

// matches tells whether one of the patterns fits the whole text. A * in a pattern is any text, also none.
func matches(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		first, rest, wild := strings.Cut(pattern, "*")
		if !wild {
			return pattern == text
		}
		text, ok := strings.CutPrefix(text, first)
		for ok {
			var part string
			if part, rest, wild = strings.Cut(rest, "*"); !wild {
				return strings.HasSuffix(text, part)
			}
			_, text, ok = strings.Cut(text, part)
		}
		return false
	})
}

// immutable refuses to move or delete a tag that the repository protects.
func immutable(repository *catalog.Object, image, tag, doing string) error {
	patterns := rulesOf(repository).ImmutableTags
	if !matches(patterns, tag) {
		return nil
	}
	return errs.New(errs.Refused, "cannot %s: tag %s of image %s is immutable in image repository %s (IMMUTABLE_TAGS = %s): push another tag, "+
		"or ask the owner for ALTER IMAGE REPOSITORY %s SET IMMUTABLE_TAGS = FALSE", doing, tag, image, repository.Name, quoteAll(patterns), repository.Name)
}

// quoteAll writes patterns as SQL has them.
func quoteAll(patterns []string) string { return "('" + strings.Join(patterns, "', '") + "')" }

// keepsImmutable refuses to delete a manifest that an immutable tag names.
func keepsImmutable(tx catalog.Tx, repository *catalog.Object, m *catalog.Manifest) error {
	if len(rulesOf(repository).ImmutableTags) == 0 {
		return nil
	}
	for tag, err := range tx.Tags(repository.ID, m.Image, "") {
		if err != nil {
			return err
		}
		if tag.Digest != m.Digest {
			continue
		}
		if err := immutable(repository, m.Image, tag.Name, "delete manifest "+m.Digest); err != nil {
			return err
		}
	}
	return nil
}

// allowedTypes refuses a manifest with a media type that the repository does not take.
func allowedTypes(repository *catalog.Object, types []string) error {
	allowed := rulesOf(repository).MediaTypes
	if len(allowed) == 0 {
		return nil
	}
	for _, mediaType := range types {
		if mediaType != "" && !matches(allowed, mediaType) {
			return statused(denied, http.StatusForbidden, errs.New(errs.Refused, "image repository %s does not take media type %.200s "+
				"(ALLOWED_MEDIA_TYPES = %s): push to another repository, or ask the owner for ALTER IMAGE REPOSITORY %s SET ALLOWED_MEDIA_TYPES = (...)",
				repository.Name, mediaType, quoteAll(allowed), repository.Name))
		}
	}
	return nil
}
