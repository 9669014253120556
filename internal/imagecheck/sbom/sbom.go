// SPDX-License-Identifier: Apache-2.0

// Package sbom writes what is installed in an image as a bill of materials: CycloneDX 1.6 or SPDX 2.3, both as JSON. The same image
// gives the same bytes: the time in it is that of the image, its identifiers are made of its content.
//
// It reads no image (package imagecheck does) and judges nothing. `firn image sbom` calls Write. Files:
//
//	parts.go    what is listed, and what needs what     cyclonedx.go  the one form
//	purl.go, expression.go  names and licences          spdx.go       the other
package sbom

import (
	"io"
	"strings"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
)

// The formats.
const (
	CycloneDX = "cyclonedx"
	SPDX      = "spdx"
)

// Formats lists the formats that Write knows.
func Formats() []string { return []string{CycloneDX, SPDX} }

// Write writes the bill of materials of an image in a format; version is that of Firn.
//
// Errors: Invalid for an unknown format, Internal when w fails.
func Write(w io.Writer, format string, inv *imagecheck.Inventory, version string) error {
	var err error
	switch b := gather(inv); format {
	case CycloneDX:
		err = writeCycloneDX(w, b, version)
	case SPDX:
		err = writeSPDX(w, b, version)
	default:
		return errs.New(errs.Invalid, "format %q does not exist: there are %s", format, strings.Join(Formats(), " and "))
	}
	if err != nil {
		return errs.Wrap(err, errs.Internal, "bill of materials of image %s", inv.Image.Ref)
	}
	return nil
}
