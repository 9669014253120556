// SPDX-License-Identifier: Apache-2.0

package blobtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"sync"
	"testing"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/blob/blobtest"
	"firn.dev/firn/internal/errs"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	blobtest.TestStore(t, func(*testing.T) blob.Store { return blobtest.NewMemory() })
}

// observer is a blobtest.T that remembers whether a check failed.
type observer struct {
	mu     sync.Mutex
	failed []string
}

func (o *observer) Helper() {}

func (o *observer) Errorf(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed = append(o.failed, fmt.Sprintf(format, args...))
}

func (o *observer) Fatalf(format string, args ...any) {
	o.Errorf(format, args...)
	runtime.Goexit()
}

// observe runs a check in its own goroutine, as Fatalf ends it.
func observe(c blobtest.Check, s blob.Store) []string {
	o := &observer{}
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(o, s) })
	wg.Wait()
	return o.failed
}

// store is the memory store with some methods replaced.
type store struct {
	*blobtest.Memory
	put    func(context.Context, string, io.Reader) (blob.Info, error)
	open   func(context.Context, string, int64, int64) (io.ReadCloser, error)
	list   func(context.Context, string) iter.Seq2[blob.Info, error]
	delete func(context.Context, string) error
	append func(context.Context, string, int64, io.Reader) (int64, error)
	finish func(context.Context, string, int64) (blob.Info, error)
	abort  func(context.Context, string) error
}

func (s *store) Put(ctx context.Context, key string, r io.Reader) (blob.Info, error) {
	return s.put(ctx, key, r)
}
func (s *store) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	return s.open(ctx, key, offset, length)
}
func (s *store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return s.list(ctx, prefix)
}
func (s *store) Delete(ctx context.Context, key string) error { return s.delete(ctx, key) }
func (s *store) Append(ctx context.Context, key string, offset int64, r io.Reader) (int64, error) {
	return s.append(ctx, key, offset, r)
}
func (s *store) Finish(ctx context.Context, key string, size int64) (blob.Info, error) {
	return s.finish(ctx, key, size)
}
func (s *store) Abort(ctx context.Context, key string) error { return s.abort(ctx, key) }

func newStore() *store {
	m := blobtest.NewMemory()
	return &store{m, m.Put, m.Open, m.List, m.Delete, m.Append, m.Finish, m.Abort}
}

// TestWrongStores shows that the suite can see: each store is wrong in one way and must fail the named check.
func TestWrongStores(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		check string
		spoil func(*store)
	}{
		{"put and open", func(s *store) {
			s.put = func(ctx context.Context, key string, r io.Reader) (blob.Info, error) {
				return s.Memory.Put(ctx, key, io.LimitReader(r, 128<<10))
			}
		}},
		{"ranges", func(s *store) {
			s.open = func(ctx context.Context, key string, offset, _ int64) (io.ReadCloser, error) {
				return s.Memory.Open(ctx, key, offset, -1)
			}
		}},
		{"replace", func(s *store) {
			s.put = func(ctx context.Context, key string, r io.Reader) (blob.Info, error) {
				if info, err := s.Stat(ctx, key); err == nil {
					return info, nil
				}
				return s.Memory.Put(ctx, key, r)
			}
		}},
		{"failing reader", func(s *store) {
			s.put = func(ctx context.Context, key string, r io.Reader) (blob.Info, error) {
				data, err := io.ReadAll(r)
				info, putErr := s.Memory.Put(ctx, key, bytes.NewReader(data))
				return info, errors.Join(err, putErr)
			}
		}},
		{"cancelled put", func(s *store) {
			s.put = func(_ context.Context, key string, r io.Reader) (blob.Info, error) {
				return s.Memory.Put(context.Background(), key, r)
			}
		}},
		{"missing", func(s *store) {
			s.open = func(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
				r, err := s.Memory.Open(ctx, key, offset, length)
				if errs.Is(err, errs.NotFound) {
					return nil, errors.New("no such file")
				}
				return r, err
			}
		}},
		{"delete", func(s *store) {
			s.delete = func(ctx context.Context, key string) error {
				if _, err := s.Stat(ctx, key); err != nil {
					return err
				}
				return s.Memory.Delete(ctx, key)
			}
		}},
		{"list", func(s *store) {
			s.list = func(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
				var all []blob.Info
				for info := range s.Memory.List(ctx, prefix) {
					all = append(all, info)
				}
				slices.Reverse(all)
				return func(yield func(blob.Info, error) bool) {
					for _, info := range all {
						if !yield(info, nil) {
							return
						}
					}
				}
			}
		}},
		{"bad keys", func(s *store) {
			s.delete = func(ctx context.Context, key string) error {
				_ = s.Memory.Delete(ctx, key)
				return nil
			}
		}},
		{"append and finish", func(s *store) {
			s.append = func(ctx context.Context, key string, offset int64, r io.Reader) (int64, error) {
				end, err := s.Memory.Append(ctx, key, offset, r)
				_, _ = s.Memory.Put(ctx, key, bytes.NewReader(nil))
				return end, err
			}
		}},
		{"append overwrites", func(s *store) {
			s.finish = func(ctx context.Context, key string, size int64) (blob.Info, error) {
				end, err := s.Memory.Append(ctx, key, size, bytes.NewReader([]byte("x")))
				if err != nil {
					return blob.Info{}, err
				}
				return s.Memory.Finish(ctx, key, end)
			}
		}},
		{"append conflicts", func(s *store) {
			s.append = func(ctx context.Context, key string, offset int64, r io.Reader) (int64, error) {
				end, err := s.Memory.Append(ctx, key, offset, r)
				if errs.Is(err, errs.Conflict) {
					return end, nil
				}
				return end, err
			}
		}},
		{"append failing reader", func(s *store) {
			s.append = func(ctx context.Context, key string, offset int64, r io.Reader) (int64, error) {
				end, err := s.Memory.Append(ctx, key, offset, r)
				if err != nil {
					end = offset
				}
				return end, err
			}
		}},
		{"abort", func(s *store) { s.abort = func(context.Context, string) error { return nil } }},
	} {
		t.Run(c.check, func(t *testing.T) {
			t.Parallel()
			for _, check := range blobtest.Checks() {
				if check.Name != c.check {
					continue
				}
				if failed := observe(check, newStore()); len(failed) != 0 {
					t.Fatalf("the right store fails: %q", failed)
				}
				wrong := newStore()
				c.spoil(wrong)
				if failed := observe(check, wrong); len(failed) == 0 {
					t.Errorf("the wrong store passes")
				}
				return
			}
			t.Fatalf("there is no check %q", c.check)
		})
	}
}
