// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"encoding/hex"
	"hash"
	"io"
	"slices"
	"strings"
	"sync"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// bufferSize is the piece in which content is hashed.
const bufferSize = 128 << 10

// hashing passes a stream on and hashes it in a goroutine of its own, so that hashing and writing overlap.
type hashing struct {
	source io.Reader
	free   chan *[]byte
	work   chan *[]byte
	done   chan struct{}
	pool   *sync.Pool
	passed int64
}

// newHashing starts hashing what is read of source into h. Close must be called before h is used.
func (g *Registry) newHashing(source io.Reader, h hash.Hash) *hashing {
	s := &hashing{
		source: source, free: make(chan *[]byte, 2), work: make(chan *[]byte, 2), done: make(chan struct{}), pool: &g.buffers,
	}
	for range cap(s.free) {
		s.free <- s.pool.Get().(*[]byte)
	}
	go func() {
		defer close(s.done)
		for b := range s.work {
			h.Write(*b)
			s.free <- b
		}
	}()
	return s
}

// Read implements io.Reader.
func (s *hashing) Read(p []byte) (int, error) {
	n, err := s.source.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		b := <-s.free
		k := copy((*b)[:bufferSize], rest)
		*b = (*b)[:k]
		s.work <- b
		rest = rest[k:]
	}
	s.passed += int64(n)
	return n, err
}

// Close waits until all that was read is hashed, and tells how many bytes that were.
func (s *hashing) Close() int64 {
	close(s.work)
	<-s.done
	for range cap(s.free) {
		b := <-s.free
		*b = (*b)[:bufferSize]
		s.pool.Put(b)
	}
	return s.passed
}

// newHash gives the hash of a digest that checkDigest has passed.
func newHash(digest string) hash.Hash {
	if strings.HasPrefix(digest, "sha512:") {
		return sha512.New()
	}
	return sha256.New()
}

// verify compares what was hashed with the digest that the client gave.
func verify(h hash.Hash, digest string) error {
	algorithm, _, _ := strings.Cut(digest, ":")
	if got := algorithm + ":" + hex.EncodeToString(h.Sum(nil)); got != digest {
		return coded(digestInvalid, errs.New(errs.Invalid, "the content has digest %s, not %s", got, digest))
	}
	return nil
}

// restore gives the running SHA-256 of an upload.
func restore(state []byte) (hash.Hash, error) {
	h := sha256.New()
	if len(state) == 0 {
		return h, nil
	}
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		return nil, errs.Wrap(err, errs.Corrupt, "the hash state of an upload is damaged")
	}
	return h, nil
}

// readHead reads what r has, up to most bytes. A length that is announced, not -1, spares memory.
func readHead(r io.Reader, length, most int64) ([]byte, error) {
	head := bytes.NewBuffer(make([]byte, 0, min(max(length, 0), most)+bytes.MinRead))
	_, err := head.ReadFrom(io.LimitReader(r, most))
	return head.Bytes(), err
}

// receive adds content to an upload; its length is -1 when it is not announced. While the upload is small its content stays in Body; then it moves to the blob store. The
// upload describes all that was received also when an error of r comes with it, and is unchanged after other errors.
func (g *Registry) receive(ctx context.Context, u *upload, r io.Reader, length int64) error {
	h, err := restore(u.Hash)
	if err != nil {
		return err
	}
	offset := u.Offset
	if offset == int64(len(u.Body)) {
		more, err := readHead(r, length, smallBlob+1-offset)
		all := more
		if offset > 0 {
			all = append(slices.Clip(u.Body), more...)
		}
		if len(all) <= smallBlob {
			h.Write(more)
			u.Body = all
			return advance(u.Upload, h, int64(len(all)), err)
		}
		// Its content moves to the store, from the start, and is hashed again on the way.
		r, h, offset = io.MultiReader(bytes.NewReader(all), r), sha256.New(), 0
	}
	if err := g.register(ctx, u); err != nil {
		return err
	}
	stream := g.newHashing(r, h)
	end, err := g.Blobs.Append(ctx, u.Key, offset, stream)
	passed := stream.Close()
	if passed == 0 && (errs.Is(err, errs.NotFound) || errs.Is(err, errs.Conflict)) { // the store has lost it: the client must begin a new one
		return g.end(ctx, u, coded(blobUploadUnknown, err))
	}
	if err != nil && (passed == 0 || end != offset+passed) {
		return err // the store failed: it has nothing of this request, or the hash has seen more than the store has
	}
	u.Body = nil
	return advance(u.Upload, h, end, err)
}

// advance notes how far an upload has come and passes on the error that ended it.
func advance(u *catalog.Upload, h hash.Hash, offset int64, cause error) error {
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return errs.Wrap(err, errs.Internal, "the hash of an upload has no state")
	}
	u.Offset, u.Hash = offset, state
	return cause
}

// hashStored hashes what the store has under a key, for digests that the running hash of an upload is not of.
func hashStored(ctx context.Context, s blob.Store, key string, h hash.Hash) error {
	content, err := s.Open(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(h, content)
	return err
}
