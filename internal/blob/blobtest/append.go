// SPDX-License-Identifier: Apache-2.0

package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/errs"
)

// add appends and checks the new end.
func add(t T, a blob.Appender, key string, offset int64, data []byte) {
	t.Helper()
	end, err := a.Append(context.Background(), key, offset, bytes.NewReader(data))
	if err != nil || end != offset+int64(len(data)) {
		t.Fatalf("append to %s at %d gave %d, %v", key, offset, end, err)
	}
}

// finish finishes and checks what came of it.
func finish(t T, s blob.Store, key string, data []byte) {
	t.Helper()
	info, err := s.(blob.Appender).Finish(context.Background(), key, int64(len(data)))
	if err != nil {
		t.Fatalf("finish %s: %v", key, err)
	}
	if info.Key != key || info.Size != int64(len(data)) || info.Modified.IsZero() {
		t.Errorf("finish gave %+v", info)
	}
	want(t, s, key, data)
	again, err := s.(blob.Appender).Finish(context.Background(), key, int64(len(data)))
	if err != nil || again.Key != key || again.Size != info.Size {
		t.Errorf("finish again gave %+v, %v", again, err)
	}
	_, err = s.(blob.Appender).Finish(context.Background(), key, int64(len(data))+1)
	wantCode(t, "finish again with another size", err, errs.NotFound)
	want(t, s, key, data)
}

func appendAndFinish(t T, s blob.Store) {
	a, ok := s.(blob.Appender)
	if !ok {
		return
	}
	for _, size := range []int{0, 1, 300 << 10} {
		data := content(3, size)
		key := fmt.Sprintf("u/%d", size)
		for offset, step := 0, size/3+1; offset == 0 || offset < size; offset += step {
			add(t, a, key, int64(offset), data[offset:min(offset+step, size)])
		}
		absent(t, s, key)
		finish(t, s, key, data)
	}
	add(t, a, "u/1", 0, content(4, 20))
	want(t, s, "u/1", content(3, 1)) // the visible blob stays until the new one is finished
	finish(t, s, "u/1", content(4, 20))
}

func appendOverwrites(t T, s blob.Store) {
	a, ok := s.(blob.Appender)
	if !ok {
		return
	}
	data := content(5, 100)
	add(t, a, "k", 0, content(6, 80))
	add(t, a, "k", 0, data[:50])
	add(t, a, "k", 50, content(6, 1000))
	add(t, a, "k", 50, data[50:])
	add(t, a, "k", 100, content(6, 7))
	finish(t, s, "k", data)
}

func appendConflicts(t T, s blob.Store) {
	a, ok := s.(blob.Appender)
	if !ok {
		return
	}
	ctx := context.Background()
	_, err := a.Append(ctx, "k", 1, bytes.NewReader(nil))
	wantCode(t, "append to nothing", err, errs.NotFound)
	_, err = a.Finish(ctx, "k", 0)
	wantCode(t, "finish nothing", err, errs.NotFound)
	add(t, a, "k", 0, content(1, 10))
	_, err = a.Append(ctx, "k", 11, bytes.NewReader(nil))
	wantCode(t, "append beyond the end", err, errs.Conflict)
	_, err = a.Finish(ctx, "k", 11)
	wantCode(t, "finish beyond the end", err, errs.Conflict)
	_, err = a.Append(ctx, "K", 0, bytes.NewReader(nil))
	wantCode(t, "append to a bad key", err, errs.Invalid)
	_, err = a.Finish(ctx, "K", 0)
	wantCode(t, "finish a bad key", err, errs.Invalid)
	wantCode(t, "abort a bad key", a.Abort(ctx, "K"), errs.Invalid)
	finish(t, s, "k", content(1, 10))
}

func appendFailingReader(t T, s blob.Store) {
	a, ok := s.(blob.Appender)
	if !ok {
		return
	}
	add(t, a, "k", 0, content(9, 10))
	end, err := a.Append(context.Background(), "k", 10, broken(300<<10))
	if !errors.Is(err, errBroken) || end != 10+300<<10 {
		t.Errorf("append of a broken reader gave %d, %v", end, err)
	}
	absent(t, s, "k")
	finish(t, s, "k", slices.Concat(content(9, 10), content(9, 300<<10)))
}

func abort(t T, s blob.Store) {
	a, ok := s.(blob.Appender)
	if !ok {
		return
	}
	put(t, s, "k", content(1, 10))
	add(t, a, "k", 0, content(2, 20))
	for range 2 {
		if err := a.Abort(context.Background(), "k"); err != nil {
			t.Errorf("abort: %v", err)
		}
		_, err := a.Finish(context.Background(), "k", 20)
		wantCode(t, "finish after abort", err, errs.NotFound)
	}
	want(t, s, "k", content(1, 10))
}

func concurrentAppends(t T, s blob.Store) {
	a, ok := s.(blob.Appender)
	if !ok {
		return
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			key, data := fmt.Sprintf("k/%d", i), content(byte(i), 150<<10)
			add(t, a, key, 0, data[:100])
			add(t, a, key, 100, data[100:])
			finish(t, s, key, data)
		})
	}
	wg.Wait()
}
