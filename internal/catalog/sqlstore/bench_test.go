// SPDX-License-Identifier: Apache-2.0

package sqlstore_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"firn.dev/firn/internal/catalog"
)

// benchmark runs fn on a catalog of each database that holds 10,000 environments.
func benchmark(b *testing.B, fn func(b *testing.B, s catalog.Store)) {
	for name, source := range sources() {
		b.Run(name, func(b *testing.B) {
			s := open(b, source(b))
			if err := s.Update(b.Context(), func(tx catalog.Tx) error { return fill(tx, 10_000) }); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			fn(b, s)
		})
	}
}

// fill adds environments.
func fill(tx catalog.Tx, environments int) error {
	for i := range environments {
		o := &catalog.Object{
			Kind: catalog.KindRuntimeEnvironment, Name: catalog.Name{Object: fmt.Sprintf("ENV_%05d", i)}, Owner: "SYSADMIN", Comment: "for tests",
			Spec: &catalog.RuntimeEnvironmentSpec{
				Repository: catalog.AccountID, Image: "team/image", Tag: "v1", Digest: "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
				Path: "/db/schema/repo/team/image:v1", BaseType: "CPU", Python: "3.12", Status: catalog.Resolved,
			},
		}
		if err := tx.CreateObject(o); err != nil {
			return err
		}
	}
	return nil
}

// eight runs fn b.N times from eight goroutines.
func eight(b *testing.B, fn func(n int64) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := fn(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

// BenchmarkUpdate is one tiny durable write, from eight goroutines.
func BenchmarkUpdate(b *testing.B) {
	benchmark(b, func(b *testing.B, s catalog.Store) {
		eight(b, func(n int64) error {
			return s.Update(b.Context(), func(tx catalog.Tx) error {
				return tx.PutToken(catalog.Token{Hash: fmt.Sprint(n), Use: catalog.TokenSession, User: "U", Session: n})
			})
		})
	})
}

// BenchmarkStatement is what every statement costs: two durable writes, from eight goroutines.
func BenchmarkStatement(b *testing.B) {
	result := make([]byte, 500)
	benchmark(b, func(b *testing.B, s catalog.Store) {
		eight(b, func(n int64) error {
			q := &catalog.Statement{ID: fmt.Sprint(n), RequestID: fmt.Sprint(n), Session: n % 8, User: "U", Role: "R", Text: "SELECT CURRENT_TIMESTAMP()"}
			if err := s.Update(b.Context(), func(tx catalog.Tx) error { return tx.BeginStatement(q) }); err != nil {
				return err
			}
			q.Status, q.Result = catalog.StatementSuccess, result
			return s.Update(b.Context(), func(tx catalog.Tx) error { return tx.EndStatement(q) })
		})
	})
}

// BenchmarkRequest is what every request looks up, from eight goroutines: token, session, one object, the role graph.
func BenchmarkRequest(b *testing.B) {
	benchmark(b, func(b *testing.B, s catalog.Store) {
		if err := s.Update(b.Context(), func(tx catalog.Tx) error {
			for i := range 20 {
				if err := tx.PutRoleGrant(catalog.RoleGrant{Role: fmt.Sprint("R", i), ToRole: "SYSADMIN"}); err != nil {
					return err
				}
			}
			if err := tx.PutSession(&catalog.Session{ID: 1, User: "U"}); err != nil {
				return err
			}
			return tx.PutToken(catalog.Token{Hash: "h", Session: 1})
		}); err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		eight(b, func(n int64) error {
			return s.View(b.Context(), func(tx catalog.Tx) error {
				k, err := tx.Token("h")
				if err != nil {
					return err
				}
				if _, err := tx.Session(k.Session); err != nil {
					return err
				}
				if _, err := tx.Object(catalog.KindRuntimeEnvironment, catalog.Name{Object: fmt.Sprintf("ENV_%05d", n%10_000)}); err != nil {
					return err
				}
				for _, err := range tx.RoleGrants() {
					if err != nil {
						return err
					}
				}
				return nil
			})
		})
	})
}

// BenchmarkList lists 10,000 environments.
func BenchmarkList(b *testing.B) {
	benchmark(b, func(b *testing.B, s catalog.Store) {
		for b.Loop() {
			found := 0
			err := s.View(b.Context(), func(tx catalog.Tx) error {
				for _, err := range tx.Objects(catalog.KindRuntimeEnvironment, catalog.Name{}) {
					if err != nil {
						return err
					}
					found++
				}
				return nil
			})
			if err != nil || found != 10_000 {
				b.Fatalf("found %d environments, error %v", found, err)
			}
		}
	})
}
