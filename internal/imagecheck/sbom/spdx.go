// SPDX-License-Identifier: Apache-2.0

package sbom

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// The parts of SPDX 2.3 that are used. https://spdx.github.io/spdx-spec/v2.3/
type (
	spdxDocument struct {
		Version       string             `json:"spdxVersion"`
		DataLicense   string             `json:"dataLicense"`
		ID            string             `json:"SPDXID"`
		Name          string             `json:"name"`
		Namespace     string             `json:"documentNamespace"`
		Creation      spdxCreation       `json:"creationInfo"`
		Packages      []spdxPackage      `json:"packages"`
		Licences      []spdxLicence      `json:"hasExtractedLicensingInfos,omitempty"`
		Relationships []spdxRelationship `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		ID            string           `json:"SPDXID"`
		Name          string           `json:"name"`
		Version       string           `json:"versionInfo,omitempty"`
		Purpose       string           `json:"primaryPackagePurpose"`
		Supplier      string           `json:"supplier"`
		Location      string           `json:"downloadLocation"`
		FilesAnalyzed bool             `json:"filesAnalyzed"`
		SourceInfo    string           `json:"sourceInfo,omitempty"`
		Concluded     string           `json:"licenseConcluded"`
		Declared      string           `json:"licenseDeclared"`
		Copyright     string           `json:"copyrightText"`
		Summary       string           `json:"summary,omitempty"`
		References    []spdxReference  `json:"externalRefs,omitempty"`
		Annotations   []spdxAnnotation `json:"annotations,omitempty"`
	}
	spdxReference struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxAnnotation struct {
		Annotator string `json:"annotator"`
		Date      string `json:"annotationDate"`
		Type      string `json:"annotationType"`
		Comment   string `json:"comment"`
	}
	spdxRelationship struct {
		From string `json:"spdxElementId"`
		Type string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
	spdxLicence struct {
		ID   string `json:"licenseId"`
		Name string `json:"name"`
		Text string `json:"extractedText"`
	}
)

const (
	noAssertion  = "NOASSERTION"
	documentID   = "SPDXRef-DOCUMENT"
	imageID      = "SPDXRef-image"
	systemID     = "SPDXRef-os"
	namespaceURL = "https://firn.dev/spdx/"
)

// spdxWriter builds one document.
type spdxWriter struct {
	doc  spdxDocument
	tool string
	date string
}

// writeSPDX writes SPDX 2.3 as JSON.
func writeSPDX(w io.Writer, b *bill, version string) error {
	s := &spdxWriter{tool: "Tool: firn-" + cmp.Or(version, "unknown"), date: time.Unix(0, 0).UTC().Format(time.RFC3339)}
	if b.image.Created != nil {
		s.date = b.image.Created.UTC().Format(time.RFC3339)
	}
	s.doc = spdxDocument{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: documentID, Name: cmp.Or(b.image.Ref, "image"),
		Creation: spdxCreation{Created: s.date, Creators: []string{s.tool}},
	}
	s.relate(documentID, "DESCRIBES", imageID)
	s.addImage(b)
	for _, p := range b.parts {
		s.addPart(p)
	}
	for _, p := range b.parts {
		for _, ref := range p.dependsOn {
			s.relate(spdxID(p.ref), "DEPENDS_ON", spdxID(ref))
		}
	}
	s.addLicences(b)
	content, err := json.Marshal(s.doc)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	s.doc.Namespace = namespaceURL + hex.EncodeToString(sum[:])
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(s.doc)
}

// spdxID makes an identifier of a ref: readable as far as SPDX allows, and unique by its sum.
func spdxID(ref string) string {
	sum := sha256.Sum256([]byte(ref))
	kind, rest, _ := strings.Cut(ref, ":")
	return "SPDXRef-" + kind + "-" + plain(rest[strings.LastIndexByte(rest, '/')+1:]) + "-" + hex.EncodeToString(sum[:10])
}

func (s *spdxWriter) relate(from, kind, to string) {
	s.doc.Relationships = append(s.doc.Relationships, spdxRelationship{From: from, Type: kind, To: to})
}

// bare is a package of which nothing is known.
func bare(id, name, version, purpose string) spdxPackage {
	return spdxPackage{
		ID: id, Name: name, Version: version, Purpose: purpose, Supplier: noAssertion, Location: noAssertion,
		Concluded: noAssertion, Declared: noAssertion, Copyright: noAssertion,
	}
}

func (s *spdxWriter) addImage(b *bill) {
	digest := ""
	if b.image.ConfigDigest != nil {
		digest = *b.image.ConfigDigest
	}
	image := bare(imageID, cmp.Or(b.image.Ref, "image"), digest, "CONTAINER")
	image.Annotations = s.annotations(b.layerNotes())
	s.doc.Packages = append(s.doc.Packages, image)
	if b.release.ID != "" {
		system := bare(systemID, b.release.ID, b.release.VersionID, "OPERATING-SYSTEM")
		system.Summary = b.release.Name
		s.doc.Packages = append(s.doc.Packages, system)
		s.relate(imageID, "CONTAINS", systemID)
	}
}

func (s *spdxWriter) annotations(notes []note) []spdxAnnotation {
	var list []spdxAnnotation
	for _, n := range notes {
		list = append(list, spdxAnnotation{Annotator: s.tool, Date: s.date, Type: "OTHER", Comment: n.name + "=" + n.value})
	}
	return list
}

func (s *spdxWriter) addPart(p part) {
	one := bare(spdxID(p.ref), p.name, p.version, "LIBRARY")
	one.SourceInfo, one.Summary = "found at "+p.path, p.summary
	one.Declared = cmp.Or(p.licence, noAssertion)
	if name, address := person(p.supplier); name != "" {
		one.Supplier = "Organization: " + name
		if address != "" {
			one.Supplier += " (" + address + ")"
		}
	}
	one.References = []spdxReference{{Category: "PACKAGE-MANAGER", Type: "purl", Locator: p.purl}}
	one.Annotations = s.annotations(p.notes)
	s.doc.Packages = append(s.doc.Packages, one)
	s.relate(imageID, "CONTAINS", one.ID)
}

// addLicences declares the licences that are not on the SPDX list.
func (s *spdxWriter) addLicences(b *bill) {
	names := map[string]bool{}
	for _, p := range b.parts {
		for _, name := range references(p.licence) {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		short := strings.TrimPrefix(name, reference)
		s.doc.Licences = append(s.doc.Licences, spdxLicence{
			ID: name, Name: short, Text: "The package names its licence " + short + " and is the place to read it.",
		})
	}
}
