// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/sql/ast"
)

// The rules of image repositories. Here they are written and shown; the registry keeps them.

// ruleProperties are the rules as CREATE and ALTER IMAGE REPOSITORY take them.
func ruleProperties() []property {
	type spec = *catalog.ImageRepositorySpec
	return []property{
		immutableProperty(),
		numberProperty("TAG_RETENTION_COUNT", 0, 1_000_000, 0, func(s spec) *int { return &s.RetentionCount }),
		numberProperty("TAG_RETENTION_DAYS", 0, 36_500, 0, func(s spec) *int { return &s.RetentionDays }),
		bytesProperty("STORAGE_QUOTA", func(s spec) *int64 { return &s.Quota }),
		mediaTypesProperty(), upstreamProperty(), upstreamSecretProperty(),
	}
}

// ruleColumns are the rules as SHOW IMAGE REPOSITORIES gives them, and what they bound. NULL is no rule.
func ruleColumns() []column {
	type spec = *catalog.ImageRepositorySpec
	list := func(name string, value func(spec) []string) column {
		return specCell(name, func(s spec) *string { return orNull(strings.Join(value(s), ", ")) })
	}
	number := func(name string, value func(spec) int64) column {
		return numberOf(name, func(_ *listing, o *catalog.Object) *string { return unlessZero(value(o.Spec.(spec))) })
	}
	return []column{
		list("immutable_tags", func(s spec) []string { return s.ImmutableTags }),
		number("tag_retention_count", func(s spec) int64 { return int64(s.RetentionCount) }),
		number("tag_retention_days", func(s spec) int64 { return int64(s.RetentionDays) }),
		number("storage_quota", func(s spec) int64 { return s.Quota }),
		list("allowed_media_types", func(s spec) []string { return s.MediaTypes }),
		specCell("upstream", func(s spec) *string { return orNull(s.Upstream) }),
		specCell("upstream_secret", func(s spec) *string { return orNull(s.UpstreamSecret.String()) }),
		numberOf("storage_used", func(l *listing, o *catalog.Object) *string {
			used, err := l.tx.StorageUsed([]catalog.ID{o.ID})
			if err != nil {
				l.fail(err)
			}
			return numberCell(used)
		}),
	}
}

// unlessZero gives NULL for 0.
func unlessZero(n int64) *string {
	if n == 0 {
		return nil
	}
	return numberCell(n)
}

// immutableProperty is IMMUTABLE_TAGS = TRUE, FALSE, or a list of patterns.
func immutableProperty() property {
	const name = "IMMUTABLE_TAGS"
	set := func(patterns []string) change {
		return func(o *catalog.Object) { o.Spec.(*catalog.ImageRepositorySpec).ImmutableTags = patterns }
	}
	return property{
		name: name, reset: set(nil),
		decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
			patterns, err := w.listValue(name, v)
			switch {
			case err != nil:
				return nil, err
			case len(patterns) == 1 && strings.EqualFold(patterns[0], "TRUE"):
				return set([]string{"*"}), nil
			case len(patterns) == 0 || len(patterns) == 1 && strings.EqualFold(patterns[0], "FALSE"):
				return set(nil), nil
			}
			return set(patterns), patternsOf(name, patterns, regexp.MustCompile(`^[a-zA-Z0-9_.*-]+$`), "TRUE, FALSE, ('v*', ...): patterns of tags, * being any text")
		},
	}
}

// mediaTypesProperty is ALLOWED_MEDIA_TYPES = a list of patterns.
func mediaTypesProperty() property {
	const name = "ALLOWED_MEDIA_TYPES"
	set := func(patterns []string) change {
		return func(o *catalog.Object) { o.Spec.(*catalog.ImageRepositorySpec).MediaTypes = patterns }
	}
	return property{
		name: name, reset: set(nil),
		decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
			patterns, err := w.listValue(name, v)
			if err != nil || len(patterns) == 0 {
				return set(nil), err
			}
			return set(patterns), patternsOf(name, patterns, regexp.MustCompile(`^[a-zA-Z0-9!#$&^_.+*-]+(/[a-zA-Z0-9!#$&^_.+*-]+)?$`),
				"('application/vnd.oci.image.*', ...): patterns of media types, * being any text")
		},
	}
}

// mostPatterns bounds the patterns of a rule.
const mostPatterns = 100

// patternsOf checks that patterns have a form.
func patternsOf(name string, patterns []string, form *regexp.Regexp, allowed string) error {
	if len(patterns) > mostPatterns {
		return badValue(name, strconv.Itoa(len(patterns))+" patterns", "at most "+strconv.Itoa(mostPatterns)+" patterns")
	}
	if i := slices.IndexFunc(patterns, func(p string) bool { return len(p) > 255 || !form.MatchString(p) }); i >= 0 {
		return badValue(name, patterns[i], allowed)
	}
	return nil
}

// bytesProperty takes a number of bytes, or a text with a unit: '10 GB'. 0 is no limit.
func bytesProperty[S catalog.Spec](name string, field func(S) *int64) property {
	return property{
		name: name, reset: func(o *catalog.Object) { *field(o.Spec.(S)) = 0 },
		decode: func(_ context.Context, w *work, v ast.Value) (change, error) {
			text, err := w.textValue(name, v)
			if err != nil {
				return nil, err
			}
			n, ok := parseBytes(text)
			if !ok {
				return nil, badValue(name, text, "bytes, or a number with a unit of B, KB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (of 1024): 10000000000, '10 GB', '9.5 GiB'")
			}
			return func(o *catalog.Object) { *field(o.Spec.(S)) = n }, nil
		},
	}
}

var bytesForm = regexp.MustCompile(`(?i)^\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*(?:([KMGT])(I?))?B?\s*$`)

// parseBytes reads a number of bytes.
func parseBytes(text string) (int64, bool) {
	m := bytesForm.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseFloat(m[1], 64)
	base := 1000.0
	if m[3] != "" {
		base = 1024
	}
	for range 1 + strings.Index("KMGT", strings.ToUpper(m[2])) {
		if m[2] != "" {
			n *= base
		}
	}
	const most = 1 << 60
	return int64(n), err == nil && n < most && (m[2] != "" || !strings.Contains(m[1], "."))
}
