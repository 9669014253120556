// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"io"
	"slices"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/errs"
)

// Append implements blob.Appender. Full parts go to the server while r is read; what is left at the end is kept with the state.
func (s *Store) Append(ctx context.Context, key string, offset int64, r io.Reader) (int64, error) {
	if err := blob.CheckKey(key); err != nil {
		return offset, err
	}
	st, base, err := s.resume(ctx, key, offset)
	if err != nil {
		return offset, err
	}
	defer st.close()
	// A client that goes away ends the reading, not the keeping of what it sent.
	keep := context.WithoutCancel(ctx)
	m := &multipart{store: s, key: key, nonce: st.Nonce, id: st.Upload, etags: slices.Clone(st.Parts[:base.Parts])}
	m.began = func() error {
		st.Upload = m.id
		if err := s.save(keep, st); err != nil {
			_ = m.abort(keep) // Sweep takes what stays
			return err
		}
		return nil
	}
	rest, read, readErr, err := m.fill(ctx, keep, base.tail, r)
	if err != nil {
		return offset, err
	}
	defer rest.close()
	st.Parts, st.Before, st.Now = m.etags, base, mark{len(m.etags), rest.size, rest.content()}
	if err := s.save(keep, st); err != nil {
		return offset, err
	}
	return offset + read, readErr
}

// resume loads the state of an unfinished blob, or makes one, and gives the mark to go on from.
func (s *Store) resume(ctx context.Context, key string, offset int64) (*state, mark, error) {
	if offset < 0 {
		return nil, mark{}, errs.New(errs.Invalid, "blob %s has no offset %d", key, offset)
	}
	st, err := s.load(ctx, key)
	if offset == 0 && errs.Is(err, errs.NotFound) {
		nonce, err := s.nonce()
		return &state{Nonce: nonce, key: key}, mark{}, err
	}
	if err != nil {
		return nil, mark{}, err
	}
	base, err := st.at(offset)
	if err != nil {
		st.close()
	}
	return st, base, err
}

// Finish implements blob.Appender.
func (s *Store) Finish(ctx context.Context, key string, size int64) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	if size < 0 {
		return blob.Info{}, errs.New(errs.Invalid, "blob %s cannot have %d bytes", key, size)
	}
	st, err := s.load(ctx, key)
	if errs.Is(err, errs.NotFound) {
		if info, failed := s.Stat(ctx, key); failed == nil && info.Size == size {
			return info, nil // finished before
		}
	}
	if err != nil {
		return blob.Info{}, err
	}
	defer st.close()
	end, err := st.at(size)
	if err != nil {
		return blob.Info{}, err
	}
	m := &multipart{store: s, key: key, nonce: st.Nonce, id: st.Upload, etags: st.Parts[:end.Parts]}
	if err := s.publish(ctx, m, end.tail); err != nil {
		return blob.Info{}, err
	}
	info, err := s.confirm(ctx, key, size)
	if err != nil {
		return blob.Info{}, err
	}
	if end.Parts == 0 {
		_ = m.abort(ctx)
	}
	// The blob is whole and durable. A state that stays is finished again with the same result, or swept.
	_ = s.remove(ctx, s.partial(key))
	return info, nil
}

// Abort implements blob.Appender.
func (s *Store) Abort(ctx context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	st, err := s.read(ctx, key, nil)
	if errs.Is(err, errs.NotFound) {
		return nil
	} else if err != nil {
		return err
	}
	m := &multipart{store: s, key: key, id: st.Upload}
	if err := m.abort(ctx); err != nil {
		return s.failure(err, key)
	}
	return s.failure(s.remove(ctx, s.partial(key)), key)
}
