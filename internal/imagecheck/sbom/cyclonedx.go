// SPDX-License-Identifier: Apache-2.0

package sbom

import (
	"bytes"
	"cmp"
	"io"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

const imageRef = "image"

// writeCycloneDX writes CycloneDX 1.6 as JSON. https://cyclonedx.org/docs/1.6/json/
func writeCycloneDX(w io.Writer, b *bill, version string) error {
	doc := cdx.NewBOM()
	image := b.cycloneImage()
	doc.Metadata = &cdx.Metadata{Component: &image, Tools: &cdx.ToolsChoice{Components: &[]cdx.Component{
		{Type: cdx.ComponentTypeApplication, Name: "firn", Version: version},
	}}}
	if b.image.Created != nil {
		doc.Metadata.Timestamp = b.image.Created.UTC().Format(time.RFC3339)
	}
	components, dependencies := []cdx.Component{}, []cdx.Dependency{}
	all := []string{}
	if b.release.ID != "" {
		components = append(components, cdx.Component{
			BOMRef: "os", Type: cdx.ComponentTypeOS, Name: b.release.ID, Version: b.release.VersionID, Description: b.release.Name,
		})
		all = append(all, "os")
		dependencies = append(dependencies, cdx.Dependency{Ref: "os"})
	}
	for _, p := range b.parts {
		components = append(components, p.cyclone())
		all = append(all, p.ref)
		one := cdx.Dependency{Ref: p.ref}
		if len(p.dependsOn) > 0 {
			one.Dependencies = &p.dependsOn
		}
		dependencies = append(dependencies, one)
	}
	dependencies = append([]cdx.Dependency{{Ref: imageRef, Dependencies: &all}}, dependencies...)
	doc.Components, doc.Dependencies = &components, &dependencies
	var content bytes.Buffer
	if err := encode(&content, doc); err != nil {
		return err
	}
	doc.SerialNumber = uuid.NewSHA1(uuid.NameSpaceURL, content.Bytes()).URN()
	return encode(w, doc)
}

func encode(w io.Writer, doc *cdx.BOM) error {
	return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(doc, cdx.SpecVersion1_6)
}

func (b *bill) cycloneImage() cdx.Component {
	c := cdx.Component{BOMRef: imageRef, Type: cdx.ComponentTypeContainer, Name: cmp.Or(b.image.Ref, "image")}
	if b.image.ConfigDigest != nil {
		c.Version = *b.image.ConfigDigest
	}
	c.Properties = properties(b.layerNotes())
	return c
}

func (p part) cyclone() cdx.Component {
	c := cdx.Component{
		BOMRef: p.ref, Type: cdx.ComponentTypeLibrary, Name: p.name, Version: p.version, Description: p.summary, PackageURL: p.purl,
		Evidence: &cdx.Evidence{Occurrences: &[]cdx.EvidenceOccurrence{{Location: p.path}}},
	}
	if name, address := person(p.supplier); name != "" {
		c.Supplier = &cdx.OrganizationalEntity{Name: name}
		if address != "" {
			c.Supplier.Contact = &[]cdx.OrganizationalContact{{Name: name, Email: address}}
		}
	}
	if p.licence != "" {
		c.Licenses = &cdx.Licenses{{Expression: p.licence}}
	}
	c.Properties = properties(p.notes)
	return c
}

func properties(notes []note) *[]cdx.Property {
	list := []cdx.Property{}
	for _, n := range notes {
		list = append(list, cdx.Property{Name: n.name, Value: n.value})
	}
	return &list
}
