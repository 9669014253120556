// SPDX-License-Identifier: Apache-2.0

package sbom

import (
	"cmp"
	"fmt"
	"strings"

	"firn.dev/firn/internal/imagecheck/dpkg"
)

// pypiURL is the package URL of a Python distribution. https://github.com/package-url/purl-spec
func pypiURL(name, version string) string {
	return "pkg:pypi/" + escape(strings.ReplaceAll(strings.ToLower(name), "_", "-")) + "@" + escape(version)
}

// debURL is the package URL of a binary Debian package.
func debURL(p dpkg.Package, release dpkg.Release) string {
	vendor := cmp.Or(release.ID, "debian")
	url := "pkg:deb/" + escape(vendor) + "/" + escape(strings.ToLower(p.Name)) + "@" + escape(p.Version)
	var qualifiers []string
	if p.Arch != "" {
		qualifiers = append(qualifiers, "arch="+escape(p.Arch))
	}
	if release.VersionID != "" {
		qualifiers = append(qualifiers, "distro="+escape(vendor+"-"+release.VersionID))
	}
	if len(qualifiers) > 0 {
		url += "?" + strings.Join(qualifiers, "&")
	}
	return url
}

// escape leaves letters, digits and ".-_~:" as they are.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(".-_~:", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
