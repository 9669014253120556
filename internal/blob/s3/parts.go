// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"errors"
	"io"
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

// fill uploads head and what r gives as parts, and gives the rest that fills none, to be closed. reading may end before sending does: it
// bounds r. readErr is what ended r early; then all that r gave is in parts and rest. After another error it is lost.
func (m *multipart) fill(reading, sending context.Context, head content, r io.Reader) (rest *part, read int64, readErr, err error) {
	buffer := m.store.buffers.Get().(*[bufferSize]byte)
	defer m.store.buffers.Put(buffer)
	r = io.MultiReader(head.open(), r)
	var group sends
	var etags []*string
	for {
		var p *part
		if p, err = m.store.newPart(); err != nil {
			break
		}
		if readErr == nil { // else it came with the end of the last part
			var k int64
			k, readErr, err = p.fill(reading, r, buffer[:])
			read += k
		}
		if err == nil && p.size < partSize {
			rest = p
			break
		}
		if err == nil {
			err = m.begin(sending)
		}
		number := len(m.etags) + len(etags) + 1
		if err == nil && number > maxParts {
			err = errs.New(errs.Exhausted, "blob %s is larger than the %d GiB that a bucket keeps as one", m.key, partSize*maxParts>>30)
		}
		if err != nil {
			p.close()
			break
		}
		etag := new(string)
		etags = append(etags, etag)
		if err = group.run(m.store.extra, func() (err error) {
			defer p.close()
			*etag, err = m.send(sending, number, p.content())
			return err
		}); err != nil {
			break
		}
	}
	if err = errors.Join(err, group.wait()); err != nil {
		if rest != nil {
			rest.close()
		}
		return nil, 0, readErr, m.store.failure(err, m.key)
	}
	for _, etag := range etags {
		m.etags = append(m.etags, *etag)
	}
	if readErr == io.EOF {
		readErr = nil
	}
	return rest, read - head.size, readErr, nil
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
func (m *multipart) send(ctx context.Context, number int, c content) (etag string, err error) {
	sum, err := c.digest()
	if err != nil {
		return "", err
	}
	options := minio.PutObjectPartOptions{Sha256Hex: sum, DisableContentSha256: true} // as in put
	err = m.store.retry(ctx, func() error {
		p, err := m.store.core.PutObjectPart(ctx, m.store.o.Bucket, m.store.name(m.key), m.id, number, c.body(), c.size, options)
		etag = p.ETag
		return err
	})
	return etag, err
}

// complete makes the object of all parts and a last, smaller one.
func (m *multipart) complete(ctx context.Context, last content) error {
	parts := make([]minio.CompletePart, len(m.etags), len(m.etags)+1)
	for i, etag := range m.etags {
		parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: etag}
	}
	if last.size > 0 {
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
