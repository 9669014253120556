// SPDX-License-Identifier: Apache-2.0

package blobtest

import (
	"bytes"
	"context"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/errs"
)

// Memory is a store in memory, with Appender. It is for tests of other rooms; it passes TestStore.
type Memory struct {
	mu      sync.Mutex
	blobs   map[string]stored
	partial map[string][]byte
}

type stored struct {
	data     []byte
	modified time.Time
}

// NewMemory gives an empty store.
func NewMemory() *Memory {
	return &Memory{blobs: map[string]stored{}, partial: map[string][]byte{}}
}

// Put implements blob.Store.
func (m *Memory) Put(ctx context.Context, key string, r io.Reader) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	data, err := read(ctx, r)
	if err != nil {
		return blob.Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keep(key, data), nil
}

// keep makes data visible. The lock is held.
func (m *Memory) keep(key string, data []byte) blob.Info {
	s := stored{data, time.Now()}
	m.blobs[key] = s
	return blob.Info{Key: key, Size: int64(len(data)), Modified: s.modified}
}

// Open implements blob.Store.
func (m *Memory) Open(_ context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.blobs[key]
	if !ok {
		return nil, errs.New(errs.NotFound, "blob %s does not exist", key)
	}
	if offset < 0 || offset > int64(len(s.data)) {
		return nil, errs.New(errs.Invalid, "offset %d is beyond the end of blob %s", offset, key)
	}
	rest := s.data[offset:]
	if length >= 0 && length < int64(len(rest)) {
		rest = rest[:length]
	}
	return io.NopCloser(bytes.NewReader(rest)), nil
}

// Stat implements blob.Store.
func (m *Memory) Stat(_ context.Context, key string) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.blobs[key]
	if !ok {
		return blob.Info{}, errs.New(errs.NotFound, "blob %s does not exist", key)
	}
	return blob.Info{Key: key, Size: int64(len(s.data)), Modified: s.modified}, nil
}

// List implements blob.Store.
func (m *Memory) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		m.mu.Lock()
		keys := slices.Sorted(maps.Keys(m.blobs))
		m.mu.Unlock()
		for _, key := range keys {
			if !strings.HasPrefix(key, prefix) {
				continue
			}
			info, err := m.Stat(ctx, key)
			if errs.Is(err, errs.NotFound) {
				continue
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// Delete implements blob.Store.
func (m *Memory) Delete(_ context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.blobs, key)
	return nil
}

// Append implements blob.Appender.
func (m *Memory) Append(ctx context.Context, key string, offset int64, r io.Reader) (int64, error) {
	if err := blob.CheckKey(key); err != nil {
		return offset, err
	}
	m.mu.Lock()
	head, err := m.unfinished(key, offset)
	m.mu.Unlock()
	if err != nil && (offset != 0 || errs.Is(err, errs.Invalid)) {
		return offset, err
	}
	data, err := read(ctx, r)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.partial[key] = slices.Concat(head, data)
	return offset + int64(len(data)), err
}

// Finish implements blob.Appender.
func (m *Memory) Finish(_ context.Context, key string, size int64) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data, err := m.unfinished(key, size)
	if b, ok := m.blobs[key]; ok && errs.Is(err, errs.NotFound) && int64(len(b.data)) == size {
		return blob.Info{Key: key, Size: size, Modified: b.modified}, nil
	}
	if err != nil {
		return blob.Info{}, err
	}
	delete(m.partial, key)
	return m.keep(key, data), nil
}

// Abort implements blob.Appender.
func (m *Memory) Abort(_ context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.partial, key)
	return nil
}

// unfinished gives the first size bytes of an unfinished blob. The lock is held.
func (m *Memory) unfinished(key string, size int64) ([]byte, error) {
	data, ok := m.partial[key]
	switch {
	case size < 0:
		return nil, errs.New(errs.Invalid, "blob %s cannot have %d bytes", key, size)
	case !ok:
		return nil, errs.New(errs.NotFound, "there is no unfinished blob %s", key)
	case size > int64(len(data)):
		return nil, errs.New(errs.Conflict, "unfinished blob %s has %d bytes, fewer than %d", key, len(data), size)
	}
	return data[:size], nil
}

// read reads all of r until the context ends.
func read(ctx context.Context, r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	for {
		if ctx.Err() != nil {
			return b.Bytes(), errs.Wrap(context.Cause(ctx), errs.Canceled, "reading was stopped")
		}
		switch _, err := io.CopyN(&b, r, 32<<10); err {
		case nil:
		case io.EOF:
			return b.Bytes(), nil
		default:
			return b.Bytes(), err
		}
	}
}
