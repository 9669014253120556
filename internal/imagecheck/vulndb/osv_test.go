// SPDX-License-Identifier: Apache-2.0

package vulndb

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// FuzzOSV feeds the reader of records and everything behind it: no input may do harm, and what is kept can be evaluated.
func FuzzOSV(f *testing.F) {
	seeds, err := filepath.Glob("testdata/osv/*/*.json")
	if err != nil || len(seeds) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range seeds {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "1.0")
	}
	f.Add([]byte(`{"id":"a","aliases":["a",""],"affected":[{"package":{"ecosystem":"Debian:","name":"\u0000"},"ranges":[{"type":"ECOSYSTEM","events":[{"limit":"*"},{}]}]}]}`), "~")
	f.Fuzz(func(t *testing.T, data []byte, version string) {
		r, err := parseRecord(data)
		if err != nil {
			return
		}
		var stats Stats
		records := current([]*record{r}, &stats)
		if len(records)+stats.Malicious+stats.Withdrawn != 1 {
			t.Fatalf("a record got lost: %+v", stats)
		}
		of := families(records)
		for key, sources := range packages(records, of) {
			o := orderOf(sources[0].affected.ecosystem)
			for _, e := range entriesOf(sources, o) {
				text, err := json.Marshal(e)
				if err != nil {
					t.Fatalf("%q: %v", key, err)
				}
				var again entry
				if err := json.Unmarshal(text, &again); err != nil {
					t.Fatalf("%q: %v", key, err)
				}
				for _, listed := range sources[0].affected.versions {
					if !e.affects(listed, o.comparable(listed), o) {
						t.Fatalf("%q: version %q is listed and does not match", key, listed)
					}
				}
				again.affects(version, o.comparable(version), o)
				again.match(version, o)
			}
		}
	})
}

// FuzzIndex feeds the reader of indexes: it may refuse, nothing else.
func FuzzIndex(f *testing.F) {
	x := index{records: 3, blocks: []span{{8, 10}}, keys: []string{"a\x00PyPI", "b\x00PyPI"}, places: []place{{0, 0, 3}, {0, 3, 2}}}
	x.built, x.newest = day, day
	f.Add(x.encode(), int64(100))
	f.Add([]byte{}, int64(0))
	f.Fuzz(func(t *testing.T, raw []byte, end int64) {
		got, err := decodeIndex(raw, end)
		if err != nil {
			return
		}
		for i, key := range got.keys {
			if p, ok := got.find(key); !ok || p.block >= len(got.blocks) {
				t.Fatalf("key %d of %d cannot be found", i, len(got.keys))
			}
		}
	})
}
