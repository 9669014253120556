// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
)

// victim is the variable that makes this test program a writer to the catalog that it names.
const victim = "FIRN_TEST_VICTIM"

func TestMain(m *testing.M) {
	if source := os.Getenv(victim); source != "" {
		fmt.Fprintln(os.Stderr, writeForEver(source))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver writes from eight goroutines and prints the hash of each token that the catalog acknowledged.
func writeForEver(source string) error {
	s, err := sqlstore.Open(context.Background(), source, sqlstore.Options{})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for g := range 8 {
		go func() {
			for n := 0; ; n++ {
				hash := fmt.Sprintf("%d-%d-%d", os.Getpid(), g, n)
				err := s.Update(context.Background(), func(tx catalog.Tx) error { return tx.PutToken(catalog.Token{Hash: hash}) })
				if err != nil {
					failed <- err
				}
				fmt.Println(hash) // one write each, so that no line is torn
			}
		}()
	}
	return <-failed
}

func TestAcknowledgedUpdatesSurviveAKill(t *testing.T) {
	t.Parallel()
	source := "sqlite:" + filepath.Join(t.TempDir(), "catalog.db")
	var acknowledged []string
	for range 8 {
		writer := exec.Command(os.Args[0])
		writer.Env = append(os.Environ(), victim+"="+source)
		writer.Stderr = os.Stderr
		out, err := writer.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		until := len(acknowledged) + 1 + rand.IntN(400)
		for lines.Scan() {
			acknowledged = append(acknowledged, lines.Text())
			if len(acknowledged) == until {
				if err := writer.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := writer.Wait(); err == nil || len(acknowledged) < until {
			t.Fatalf("the writer ended by itself (error %v) after %d updates, want to kill it after %d", err, len(acknowledged), until)
		}
		s, err := sqlstore.Open(t.Context(), source, sqlstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.View(t.Context(), func(tx catalog.Tx) error {
			for _, hash := range acknowledged {
				if _, err := tx.Token(hash); err != nil {
					t.Errorf("token %s was acknowledged: %v", hash, err)
				}
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d acknowledged updates survived", len(acknowledged))
}
