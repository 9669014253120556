// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
)

// TestLogIsFoldedBesideWriters: what is committed comes into the file long before the log has its greatest length, and while writers go on.
func TestLogIsFoldedBesideWriters(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "catalog.db")
	s := open(t, "sqlite:"+file)
	size := func(name string) int64 {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	body := make([]byte, 20_000)
	written := int64(0)
	for deadline := time.Now().Add(30 * time.Second); ; written += int64(len(body)) {
		if err := s.Update(t.Context(), func(tx catalog.Tx) error {
			_, err := tx.PutBlob(&catalog.Blob{Digest: fmt.Sprint("sha256:", written), Size: int64(len(body)), Body: body})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if size(file) > 1<<20 {
			break
		}
		if written > 32<<20 || time.Now().After(deadline) {
			t.Fatalf("after %d bytes of content the file has %d, its log %d", written, size(file), size(file+"-wal"))
		}
	}
}
