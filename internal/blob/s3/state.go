// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/minio/minio-go/v7"

	"firn.dev/firn/internal/errs"
)

// state is what is remembered of an unfinished blob: one object, a line of JSON and then bytes. A new version replaces the old one
// only if nobody else has replaced it since it was read, so of two replicas that append at once, one fails.
//
// Parts cannot be read back or cut. So that an Append whose end the caller never learned can be done again, the state keeps
// two ends: Now, where the last Append ended, and Before, where it began.
type state struct {
	Upload string   `json:"upload,omitempty"` // id of the multipart upload; "" while no part is full
	Nonce  string   `json:"nonce"`            // of the object
	Write  string   `json:"write"`            // of this version of the state: knows one's own write when the answer was lost
	Parts  []string `json:"parts,omitempty"`  // ETags
	Now    mark     `json:"now"`
	Before mark     `json:"before"`

	etag string // of this version of the state; "" when it was never stored
	key  string
	file *os.File // that has the tails which were loaded, or nil
}

// close forgets the tails.
func (st *state) close() {
	if st.file != nil {
		_ = st.file.Close()
	}
}

// mark is an end of an unfinished blob: so many parts, and then a tail that fills none.
type mark struct {
	Parts int   `json:"parts"`
	Size  int64 `json:"tail"`
	tail  content
}

func (m mark) start() int64 { return int64(m.Parts) * partSize }
func (m mark) end() int64   { return m.start() + m.Size }

// at gives the mark at an offset.
//
// Errors: Conflict when the blob is shorter, or can only be cut elsewhere.
func (st *state) at(offset int64) (mark, error) {
	for _, m := range []mark{st.Now, st.Before} {
		if m.start() <= offset && offset <= m.end() {
			size := offset - m.start()
			return mark{m.Parts, size, m.tail.upTo(size)}, nil
		}
	}
	if parts := offset / partSize; offset%partSize == 0 && parts <= int64(len(st.Parts)) {
		return mark{Parts: int(parts)}, nil
	}
	if offset > st.Now.end() {
		return mark{}, errs.New(errs.Conflict, "unfinished blob %s has %d bytes, fewer than %d", st.key, st.Now.end(), offset)
	}
	return mark{}, errs.New(errs.Conflict, "unfinished blob %s can be cut at %d or %d, not at %d", st.key, st.Before.end(), st.Now.end(), offset)
}

// maxLine bounds the first line of a state, in bytes: ETags of the most parts there may be, and more.
const maxLine = 4 << 20

// load reads the state of an unfinished blob, to be closed.
//
// Errors: NotFound; Corrupt; Exhausted without room for the tails.
func (s *Store) load(ctx context.Context, key string) (*state, error) {
	file, err := s.scratch()
	if err != nil {
		return nil, err
	}
	st, err := s.read(ctx, key, file)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return st, nil
}

// read reads the state of an unfinished blob with its tails into a file, or with nil without them: that needs no room.
//
// Errors: NotFound; Corrupt.
func (s *Store) read(ctx context.Context, key string, file *os.File) (*state, error) {
	var line []byte
	var tails int64
	st := &state{key: key, file: file}
	err := s.retry(ctx, func() error {
		r, o, _, err := s.core.GetObject(ctx, s.o.Bucket, s.partial(key), minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		defer r.Close()
		st.etag = o.ETag
		line, tails, err = split(r, file)
		return err
	})
	if isMissing(err) {
		return nil, errs.Wrap(err, errs.NotFound, "there is no unfinished blob %s", key)
	} else if err != nil {
		return nil, s.failure(err, key)
	}
	if err := json.Unmarshal(line, st); err != nil {
		return nil, errs.Wrap(err, errs.Corrupt, "the state of unfinished blob %s is damaged", key)
	}
	if file == nil {
		return st, nil
	}
	now, before := &st.Now, &st.Before
	if now.Size < 0 || before.Size < 0 || tails != now.Size+before.Size || max(now.Parts, before.Parts) > len(st.Parts) {
		return nil, errs.New(errs.Corrupt, "the state of unfinished blob %s has %d bytes too few or too many", key, tails)
	}
	now.tail, before.tail = inFile(file, 0, now.Size), inFile(file, now.Size, before.Size)
	return st, nil
}

// split reads a line, and what is behind it into a file, unless that is nil.
func split(r io.Reader, file *os.File) (line []byte, behind int64, err error) {
	lines := bufio.NewReader(io.LimitReader(r, maxLine))
	line, err = lines.ReadBytes('\n')
	if err == io.EOF || err == nil && file == nil {
		return line, 0, nil
	} else if err != nil {
		return nil, 0, err
	}
	rest := io.MultiReader(io.LimitReader(lines, int64(lines.Buffered())), r)
	if err := file.Truncate(0); err != nil {
		return nil, 0, scratchFailure(err)
	}
	behind, err = io.Copy(io.NewOffsetWriter(file, 0), rest)
	if _, local := errors.AsType[*fs.PathError](err); local {
		err = scratchFailure(err)
	}
	return line, behind, err
}

// save replaces the version of the state that was loaded.
//
// Errors: Conflict when somebody else has replaced it.
func (s *Store) save(ctx context.Context, st *state) error {
	var err error
	if st.Write, err = s.nonce(); err != nil {
		return err
	}
	line, err := json.Marshal(st)
	if err != nil {
		return errs.Wrap(err, errs.Internal, "the state of unfinished blob %s cannot be written", st.key)
	}
	var options minio.PutObjectOptions
	if st.etag == "" {
		options.SetMatchETagExcept("*")
	} else {
		options.SetMatchETag(st.etag)
	}
	etag, err := s.put(ctx, s.partial(st.key), joined(inMemory(append(line, '\n')), st.Now.tail, st.Before.tail), options)
	if err != nil {
		return s.settle(ctx, st, err)
	}
	st.etag = etag
	return nil
}

// settle finds out what became of a write that failed: it may have been done, or somebody else's has.
func (s *Store) settle(ctx context.Context, st *state, failed error) error {
	now, err := s.read(ctx, st.key, nil)
	switch {
	case err == nil && now.Write == st.Write:
		st.etag = now.etag
		return nil
	case err != nil && !errs.Is(err, errs.NotFound):
		return err // nobody can tell: a write that is refused may be the second copy of one that was done
	case err == nil && now.etag != st.etag, errs.Is(err, errs.NotFound) && st.etag != "", isPrecondition(failed):
		return errs.Wrap(failed, errs.Conflict, "another request writes to unfinished blob %s", st.key)
	default:
		return s.failure(failed, st.key)
	}
}
