// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/minio/minio-go/v7"

	"firn.dev/firn/internal/errs"
)

// multipart is a blob that is uploaded in parts.
type multipart struct {
	store *Store
	key   string
	nonce string   // marks the object
	id    string   // of the upload; "" until the first part is full
	etags []string // of the parts, all of partSize
	// began is told that the upload has an id, before any part is sent. It may be nil.
	began func() error
}

// fill uploads head and what r gives as parts, and gives the rest that fills none. reading may end before sending does: it bounds r.
// readErr is what ended r early; then all that r gave is in parts and rest. After another error it is lost.
func (m *multipart) fill(reading, sending context.Context, head []byte, r io.Reader) (rest []byte, read int64, readErr, err error) {
	var group sends
	var etags []*string
	buffer := m.store.buffers.Get().(*[partSize]byte)
	n := copy(buffer[:], head)
	for {
		var k int
		k, readErr = readFull(reading, r, buffer[n:])
		n, read = n+k, read+int64(k)
		if n < partSize {
			break
		}
		if err = m.begin(sending); err != nil {
			break
		}
		number := len(m.etags) + len(etags) + 1
		if number > maxParts {
			err = errs.New(errs.Exhausted, "blob %s is larger than the %d GiB that a bucket keeps as one", m.key, partSize*maxParts>>30)
			break
		}
		etag, content := new(string), buffer
		etags = append(etags, etag)
		send := func() (err error) {
			if *etag, err = m.send(sending, number, content[:]); err == nil {
				m.store.buffers.Put(content) // after an error an attempt that was given up may still read it
			}
			return err
		}
		if err = group.run(m.store.extra, send); err != nil {
			break
		}
		buffer, n = m.store.buffers.Get().(*[partSize]byte), 0
		if readErr != nil {
			break
		}
	}
	if err = errors.Join(err, group.wait()); err == nil {
		for _, etag := range etags {
			m.etags = append(m.etags, *etag)
		}
		rest = slices.Clone(buffer[:n])
		m.store.buffers.Put(buffer)
	}
	if readErr == io.EOF {
		readErr = nil
	}
	return rest, read, readErr, m.store.failure(err, m.key)
}

// readFull fills p from r until r or the context ends.
func readFull(ctx context.Context, r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if ctx.Err() != nil {
			return n, errs.Wrap(context.Cause(ctx), errs.Canceled, "writing a blob was stopped")
		}
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	return n, err
}

// begin makes the upload on the server, once.
func (m *multipart) begin(ctx context.Context) error {
	if m.id != "" {
		return nil
	}
	options := minio.PutObjectOptions{UserMetadata: map[string]string{nonceHeader: m.nonce}}
	err := m.store.retry(ctx, func() (err error) {
		m.id, err = m.store.core.NewMultipartUpload(ctx, m.store.o.Bucket, m.store.name(m.key), options)
		return err
	})
	if err != nil || m.began == nil {
		return err
	}
	return m.began()
}

// send uploads one part.
func (m *multipart) send(ctx context.Context, number int, content []byte) (etag string, err error) {
	sum := sha256.Sum256(content)
	options := minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum[:]), DisableContentSha256: true} // as in put
	err = m.store.retry(ctx, func() error {
		p, err := m.store.core.PutObjectPart(ctx, m.store.o.Bucket, m.store.name(m.key), m.id, number, body(content), int64(len(content)), options)
		etag = p.ETag
		return err
	})
	return etag, err
}

// complete makes the object of all parts and a last, smaller one.
func (m *multipart) complete(ctx context.Context, last []byte) error {
	parts := make([]minio.CompletePart, len(m.etags), len(m.etags)+1)
	for i, etag := range m.etags {
		parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: etag}
	}
	if len(last) > 0 {
		etag, err := m.send(ctx, len(parts)+1, last)
		if err != nil {
			return m.completed(ctx, err)
		}
		parts = append(parts, minio.CompletePart{PartNumber: len(parts) + 1, ETag: etag})
	}
	err := m.store.retry(ctx, func() error {
		_, err := m.store.core.CompleteMultipartUpload(ctx, m.store.o.Bucket, m.store.name(m.key), m.id, parts, minio.PutObjectOptions{})
		return err
	})
	return m.completed(ctx, err)
}

// completed forgives a failure when the object is there: an earlier attempt made it, and its answer was lost.
func (m *multipart) completed(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	o, statErr := m.store.stat(ctx, m.store.name(m.key))
	if statErr == nil && o.UserMetadata[nonceHeader] == m.nonce {
		return nil
	}
	return err
}

// abort drops the upload and its parts.
func (m *multipart) abort(ctx context.Context) error {
	if m.id == "" {
		return nil
	}
	err := m.store.retry(ctx, func() error {
		return m.store.core.AbortMultipartUpload(ctx, m.store.o.Bucket, m.store.name(m.key), m.id)
	})
	if isMissing(err) {
		return nil
	}
	return err
}

// sends runs the uploads of one stream: in the background as long as there are places, else one after the other. The zero value is
// ready.
type sends struct {
	wg  sync.WaitGroup
	mu  sync.Mutex
	err error
}

// run starts or does one upload, and gives the first error that is known by now.
func (g *sends) run(places chan struct{}, upload func() error) error {
	keep := func(err error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.err == nil {
			g.err = err
		}
	}
	select {
	case places <- struct{}{}:
		g.wg.Go(func() {
			defer func() { <-places }()
			keep(upload())
		})
	default:
		keep(upload())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// wait waits for all uploads and gives the first error.
func (g *sends) wait() error {
	g.wg.Wait()
	return g.err
}
