// SPDX-License-Identifier: Apache-2.0

package vulndb

import (
	"archive/zip"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"firn.dev/firn/internal/errs"
	"golang.org/x/sync/errgroup"
)

// recordMax bounds one OSV record, bytes.
const recordMax = 64 << 20

// Stats says what an import made of its sources.
type Stats struct {
	Info
	Size            int64 // of the file, bytes
	Vulnerabilities int   // after records of the same one were joined
	Packages        int   // with a release of Debian each counted for itself
	Withdrawn       int   // records that were taken back
	Malicious       int   // MAL- records: lists of malicious packages, which are no vulnerabilities
	Elsewhere       int   // records about other ecosystems only
}

// Import makes the database file out of OSV records: zips as osv.dev publishes them, directories of *.json files at any depth,
// or single *.json files. The same sources at the same time give the same bytes; out is replaced only when all is well.
//
// Errors: NotFound, Invalid naming the file that is no OSV record, Unavailable, Canceled.
func Import(ctx context.Context, sources []string, out string, now time.Time) (Stats, error) {
	var stats Stats
	records, err := readSources(ctx, sources)
	if err != nil {
		return stats, err
	}
	records = current(records, &stats)
	for _, r := range records {
		if len(r.affected) > 0 && r.modified.After(stats.Newest) {
			stats.Newest = r.modified
		}
	}
	if stats.Records == 0 {
		return stats, errs.New(errs.Invalid, "%s: no record about PyPI or Debian", strings.Join(sources, ", "))
	}
	stats.Built, stats.Newest = now.UTC().Truncate(time.Second), stats.Newest.UTC().Truncate(time.Second)
	of := families(records)
	byKey := packages(records, of)
	data, err := encodePackages(ctx, byKey)
	if err != nil {
		return stats, err
	}
	distinct := map[*vulnerability]bool{}
	for _, list := range byKey {
		for _, s := range list {
			distinct[s.of] = true
		}
	}
	stats.Vulnerabilities, stats.Packages = len(distinct), len(byKey)
	return stats, writeFile(out, data, &stats)
}

// encodePackages gives the stored form of every package.
func encodePackages(ctx context.Context, byKey map[string][]source) (map[string][]byte, error) {
	keys := slices.Sorted(maps.Keys(byKey))
	data := make(map[string][]byte, len(keys))
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	const share = 256
	group.SetLimit(runtime.NumCPU())
	for chunk := range slices.Chunk(keys, share) {
		group.Go(func() error {
			if ctx.Err() != nil {
				return errs.Wrap(ctx.Err(), errs.Canceled, "import of advisories")
			}
			for _, key := range chunk {
				_, ecosystem, _ := strings.Cut(key, "\x00")
				text, err := json.Marshal(entriesOf(byKey[key], orderOf(ecosystem)))
				if err != nil {
					return errs.Wrap(err, errs.Internal, "advisories of %q", key)
				}
				mu.Lock()
				data[key] = text
				mu.Unlock()
			}
			return nil
		})
	}
	return data, group.Wait()
}

// writeFile writes aside and renames, so that no reader ever sees half a file.
func writeFile(out string, data map[string][]byte, stats *Stats) error {
	f, err := os.CreateTemp(filepath.Dir(out), "."+filepath.Base(out)+".*")
	if err != nil {
		return errs.Wrap(err, errs.Unavailable, "vulnerability database %s cannot be written", out)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err = writeAll(f, data, stats); err == nil {
		err = os.Rename(f.Name(), out)
	}
	if err != nil {
		return errs.Wrap(err, errs.Unavailable, "vulnerability database %s cannot be written", out)
	}
	return nil
}

func writeAll(f *os.File, data map[string][]byte, stats *Stats) error {
	w, err := newWriter(f)
	if err != nil {
		return err
	}
	w.index.built, w.index.newest, w.index.records = stats.Built, stats.Newest, stats.Records
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if err := w.add(key, data[key]); err != nil {
			return err
		}
	}
	if stats.SHA256, stats.Size, err = w.finish(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// document is one file that holds a record.
type document struct {
	name string
	open func() (io.ReadCloser, error)
}

// readSources reads all records, several at once.
func readSources(ctx context.Context, sources []string) ([]*record, error) {
	var documents []document
	for _, src := range sources {
		list, closer, err := list(src)
		if err != nil {
			return nil, err
		}
		defer closer.Close()
		documents = append(documents, list...)
	}
	if len(documents) == 0 {
		return nil, errs.New(errs.Invalid, "%s: no *.json file in it", strings.Join(sources, ", "))
	}
	records := make([]*record, len(documents))
	group, ctx := errgroup.WithContext(ctx)
	const share = 512
	group.SetLimit(runtime.NumCPU())
	for start := 0; start < len(documents); start += share {
		group.Go(func() error {
			for i := start; i < min(start+share, len(documents)); i++ {
				if ctx.Err() != nil {
					return errs.Wrap(ctx.Err(), errs.Canceled, "import of advisories")
				}
				var err error
				if records[i], err = documents[i].read(); err != nil {
					return errs.Wrap(err, errs.CodeOf(err), "%s", documents[i].name)
				}
			}
			return nil
		})
	}
	return records, group.Wait()
}

func (d document) read() (*record, error) {
	r, err := d.open()
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "cannot be read")
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, recordMax+1))
	switch {
	case err != nil:
		return nil, errs.New(errs.Invalid, "cannot be read: %v", err)
	case len(data) > recordMax:
		return nil, errs.New(errs.Invalid, "is larger than %d bytes", recordMax)
	}
	return parseRecord(data)
}

// list finds the records of one source.
func list(src string) ([]document, io.Closer, error) {
	info, err := os.Stat(src)
	switch {
	case os.IsNotExist(err):
		return nil, nil, errs.New(errs.NotFound, "%s does not exist", src)
	case err != nil:
		return nil, nil, errs.Wrap(err, errs.Unavailable, "%s cannot be read", src)
	case info.IsDir():
		documents, err := listDirectory(src)
		return documents, io.NopCloser(nil), err
	case strings.HasSuffix(src, ".json"):
		return []document{fileDocument(src)}, io.NopCloser(nil), nil
	}
	z, err := zip.OpenReader(src)
	if err != nil {
		return nil, nil, errs.New(errs.Invalid, "%s is neither a directory nor a zip of OSV records: %v", src, err)
	}
	var documents []document
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, ".json") {
			documents = append(documents, document{name: src + ": " + f.Name, open: f.Open})
		}
	}
	return documents, z, nil
}

func fileDocument(name string) document {
	return document{name: name, open: func() (io.ReadCloser, error) { return os.Open(name) }}
}

func listDirectory(dir string) ([]document, error) {
	var documents []document
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasSuffix(name, ".json") {
			documents = append(documents, fileDocument(name))
		}
		return err
	})
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "%s cannot be read", dir)
	}
	return documents, nil
}
