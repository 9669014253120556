// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"firn.dev/firn/internal/blob/dir"
	"firn.dev/firn/internal/blob/s3"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry"
)

const (
	dirScheme = "dir:"
	s3Scheme  = "s3://"
	// leftoverAge is how old what a crash left in a bucket must be to be removed: no upload goes on for so long.
	leftoverAge   = 7 * 24 * time.Hour
	leftoverEvery = 6 * time.Hour
)

// blobStore is what the server needs of the bytes, wherever they are.
type blobStore interface {
	registry.Store
	io.Closer
	// Ping asks whether the store answers.
	Ping(ctx context.Context) error
}

// directory is a store in a directory.
type directory struct {
	*dir.Store
	path string
}

func (d directory) Ping(context.Context) error {
	if _, err := os.Stat(d.path); err != nil {
		return errs.Wrap(err, errs.Unavailable, "blob directory %s cannot be reached: mount it again", d.path)
	}
	return nil
}

// checkBlobs refuses settings of blobs that cannot work, whatever the environment.
func (c *config) checkBlobs() error {
	switch {
	case strings.HasPrefix(c.Blobs, s3Scheme):
		if _, err := s3.ParseURL(c.Blobs, func(string) string { return "" }); err != nil {
			return fmt.Errorf("blobs: %s", errs.MessageOf(err))
		}
	case !strings.HasPrefix(c.Blobs, dirScheme):
		shown := c.Blobs
		if at := strings.LastIndex(shown, "@"); at >= 0 {
			shown = "***" + shown[at:] // a password may stand before it
		}
		return fmt.Errorf("blobs '%s' is not available: dir:DIRECTORY or s3://BUCKET[/PREFIX][?endpoint=URL&region=REGION]", shown)
	case c.RedirectPulls:
		return fmt.Errorf("redirect-pulls needs blobs in S3, they are in %s", c.Blobs)
	}
	return nil
}

// openBlobs opens the store of bytes.
func (s *server) openBlobs(ctx context.Context) error {
	if path, ok := strings.CutPrefix(s.config.Blobs, dirScheme); ok {
		store, err := dir.Open(path)
		if err != nil {
			return err
		}
		s.blobs = directory{store, path}
		s.closers = append(s.closers, store)
		return nil
	}
	options, err := s3.ParseURL(s.config.Blobs, os.Getenv)
	if err != nil {
		return err
	}
	options.Rand = rand.Reader
	store, err := s3.Open(ctx, options)
	if err != nil {
		return err
	}
	s.blobs = store
	s.closers = append(s.closers, store)
	if !store.Fenced() {
		s.log.Warn("this S3 server ignores If-Match: send all requests of one image upload to one replica", "endpoint", options.Endpoint)
	}
	s.loops["leftovers of blobs"] = func(ctx context.Context) error { return s.sweepBlobs(ctx, store) }
	return nil
}

// sweepBlobs removes what crashes left in the bucket.
func (s *server) sweepBlobs(ctx context.Context, store *s3.Store) error {
	tick := time.NewTicker(leftoverEvery)
	defer tick.Stop()
	for {
		if n, err := store.Sweep(ctx, time.Now().Add(-leftoverAge)); err != nil && ctx.Err() == nil {
			s.log.Warn("leftovers of blobs stay", "err", err)
		} else if n > 0 {
			s.log.Info("leftovers of blobs are removed", "count", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
