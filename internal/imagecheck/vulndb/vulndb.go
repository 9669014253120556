// SPDX-License-Identifier: Apache-2.0

// Package vulndb is a database of security advisories in one file: Import makes it out of OSV records, Open checks it and Match says
// which advisories fit an installed package. It knows two ecosystems, PyPI and Debian, and never goes online.
//
// It knows no image: package imagecheck hands it names and versions, `firn db import` calls Import. Files:
//
//	importer.go  reads OSV zips and directories        osv.go       one OSV record
//	group.go     joins records of one vulnerability    severity.go  CVSS and words
//	format.go    the file                              ranges.go, order.go  is this version affected
package vulndb

import (
	"cmp"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck/pep508"
)

// PyPI is the ecosystem of Python packages. That of a Debian release is "Debian:" and its number, such as "Debian:12".
const PyPI = "PyPI"

const debian = "Debian:"

// Info describes a database.
type Info struct {
	Built   time.Time // when it was imported
	Newest  time.Time // last change of the newest advisory in it
	SHA256  string    // of the whole file, hex
	Records int       // OSV records it was made of
}

// Package is what is installed: for Debian the source package and its version.
type Package struct {
	Ecosystem, Name, Version string
}

// Match is one vulnerability of a package.
type Match struct {
	ID       string   // CVE, else GHSA, else the advisory's own
	Aliases  []string // all other names, sorted
	Severity Severity
	Score    *float64 // CVSS, nil when only a word or nothing is known
	Fixed    []string // versions that repair it, lowest first; empty when there is none
}

// DB is an open database. Its methods may be called concurrently.
type DB struct {
	file  *os.File
	info  Info
	index *index

	mu    sync.Mutex
	block int    // number of the block in raw, -1 for none
	raw   []byte // packages come sorted, so the block of the last one is often that of the next
}

// Open opens a database and verifies its checksum.
//
// Errors: NotFound, Unavailable, Corrupt, Unsupported for a file of another version.
func Open(path string) (*DB, error) {
	f, err := os.Open(path)
	if err != nil {
		code := errs.Unavailable
		if os.IsNotExist(err) {
			code = errs.NotFound
		}
		return nil, errs.Wrap(err, code, "vulnerability database %s cannot be opened: make it with firn db import", path)
	}
	idx, sum, err := readFile(f)
	if err != nil {
		_ = f.Close()
		return nil, errs.Wrap(err, errs.CodeOf(err), "vulnerability database %s", path)
	}
	return &DB{file: f, index: idx, block: -1, info: Info{Built: idx.built, Newest: idx.newest, SHA256: sum, Records: idx.records}}, nil
}

// Close closes the file.
func (db *DB) Close() error { return db.file.Close() }

// Info describes the database.
func (db *DB) Info() Info { return db.info }

// Match gives the vulnerabilities of an installed package, by id. An unknown package or ecosystem has none.
//
// Errors: Corrupt, Unavailable.
func (db *DB) Match(p Package) ([]Match, error) {
	o := orderOf(p.Ecosystem)
	if o == nil {
		return nil, nil
	}
	entries, err := db.entries(keyOf(p.Ecosystem, p.Name))
	if err != nil {
		return nil, err
	}
	version := o.comparable(p.Version)
	var matches []Match
	var bundles []entry
	for _, e := range entries {
		switch {
		case !e.affects(p.Version, version, o):
		case len(e.Covers) > 0:
			bundles = append(bundles, e)
		default:
			matches = append(matches, e.match(version, o))
		}
	}
	matches = unbundle(matches, bundles, version, o)
	slices.SortFunc(matches, func(a, b Match) int { return cmp.Compare(a.ID, b.ID) })
	return matches, nil
}

// unbundle makes an advisory about several vulnerabilities an alias of those of them that were found, and a match of its own only
// when none was.
func unbundle(matches []Match, bundles []entry, version string, o order) []Match {
	single := len(matches)
	for _, b := range bundles {
		known := false
		for i := range matches[:single] {
			if m := &matches[i]; slices.Contains(b.Covers, m.ID) {
				known = true
				m.Aliases = append(m.Aliases, b.ID)
				slices.Sort(m.Aliases)
				m.Aliases = slices.Compact(m.Aliases)
			}
		}
		if !known {
			m := b.match(version, o)
			m.Aliases = append(slices.Clone(m.Aliases), b.Covers...)
			slices.Sort(m.Aliases)
			matches = append(matches, m)
		}
	}
	return matches
}

// keyOf gives the place of a package in the index. The name comes first, so that the releases of one source compress well.
func keyOf(ecosystem, name string) string {
	if ecosystem == PyPI {
		name = pep508.Canonical(name)
	}
	return name + "\x00" + ecosystem
}

// entries reads what is known of one package.
func (db *DB) entries(key string) ([]entry, error) {
	place, ok := db.index.find(key)
	if !ok {
		return nil, nil
	}
	raw, err := db.read(place)
	if err != nil {
		return nil, err
	}
	var list []entry
	if err := json.Unmarshal(raw, &list); err != nil {
		name, _, _ := strings.Cut(key, "\x00")
		return nil, errs.Wrap(err, errs.Corrupt, "vulnerability database %s: advisories of %s", db.file.Name(), name)
	}
	return list, nil
}

// read gives the bytes of one package; they are not changed afterwards.
func (db *DB) read(p place) ([]byte, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.block != p.block {
		raw, err := db.index.readBlock(db.file, p.block)
		if err != nil {
			return nil, errs.Wrap(err, errs.CodeOf(err), "vulnerability database %s", db.file.Name())
		}
		db.block, db.raw = p.block, raw
	}
	if p.offset > len(db.raw) || p.size > len(db.raw)-p.offset {
		return nil, errs.New(errs.Corrupt, "vulnerability database %s: block %d is too short", db.file.Name(), p.block)
	}
	return db.raw[p.offset : p.offset+p.size], nil
}
