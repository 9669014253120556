// SPDX-License-Identifier: Apache-2.0

package imagecheck

import (
	"firn.dev/firn/internal/imagecheck/dpkg"
	"firn.dev/firn/internal/imagecheck/python"
)

// Inventory is what is installed in an image, for a bill of materials. It is not to be changed.
type Inventory struct {
	Image        ImageInfo
	Release      dpkg.Release
	Environments []*python.Environment // the primary one first, then by prefix
	Debian       []InventoryDeb        // by name and architecture
}

// InventoryDeb is one installed Debian package and who brought it in.
type InventoryDeb struct {
	dpkg.Package
	DiffID string // of the layer; "" when no layer has the package's list of files
	Owner  string // base, user, unknown
}

// Inventory lists what the image has.
func (c *Contents) Inventory() *Inventory {
	inv := &Inventory{Image: c.c.report.Image, Release: dpkg.ReadRelease(c.c.tree), Environments: c.c.envs}
	for _, p := range c.debs {
		one := InventoryDeb{Package: p}
		one.DiffID, one.Owner = c.c.layerOf(p.Layer)
		inv.Debian = append(inv.Debian, one)
	}
	return inv
}
