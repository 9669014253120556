// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
)

const sessions = 8

// parallel runs fn from several goroutines for a while and gives the calls per second.
func parallel(ctx context.Context, workers int, length time.Duration, fn func(worker int) error) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var calls atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, workers)
	begin := time.Now()
	for w := range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := fn(w); err != nil {
					failed <- err
					return
				}
				calls.Add(1)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
		return float64(calls.Load()) / time.Since(begin).Seconds(), nil
	}
}

// select1 counts SELECT 1 over eight sessions, beside a bare net/http server that answers with the same bytes.
func select1(ctx context.Context) ([]measurement, error) {
	s, err := startServer(ctx, "none")
	if err != nil {
		return nil, err
	}
	defer s.stop()
	clients := make([]interface {
		Close(context.Context) error
	}, 0, sessions)
	run := make([]func() error, sessions)
	for i := range sessions {
		c, err := s.connect(ctx)
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
		run[i] = func() error { _, err := c.Query(ctx, "SELECT 1"); return err }
	}
	ours, err := parallel(ctx, sessions, 5*time.Second, func(w int) error { return run[w]() })
	if err != nil {
		return nil, err
	}
	theirs, err := bareHTTP(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range clients {
		if err := c.Close(ctx); err != nil {
			return nil, err
		}
	}
	return []measurement{compared("select1", "/s", ours, "bare-http-echo", theirs, map[string]any{"sessions": sessions, "aim": 2000})}, nil
}

// bareHTTP counts requests to a server that reads the body and answers with a fixed one: what the protocol alone costs here.
func bareHTTP(ctx context.Context) (float64, error) {
	body := bytes.Repeat([]byte("x"), 1800)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(body)
	})}
	go func() { _ = srv.Serve(l) }()
	defer func() { _ = srv.Close() }() // it has nothing to lose
	hc := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: sessions}}
	question, err := json.Marshal(map[string]any{"sqlText": "SELECT 1", "asyncExec": false, "bindings": map[string]any{}})
	if err != nil {
		return 0, err
	}
	return parallel(ctx, sessions, 3*time.Second, func(int) error {
		resp, err := hc.Post("http://"+l.Addr().String(), "application/json", bytes.NewReader(question))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	})
}

// account makes what jobs need.
var account = []string{
	"CREATE DATABASE bench", "CREATE SCHEMA bench.s", "CREATE STAGE bench.s.payload",
	"CREATE COMPUTE POOL bench_pool MIN_NODES = 1 MAX_NODES = 1 INSTANCE_FAMILY = CPU_X64_XS", "CREATE WAREHOUSE bench_wh",
}

// submitText is CALL SYSTEM$EXECUTE_ML_JOB of a job that runs args in an image.
func submitText(image string, args ...string) (string, error) {
	options, err := json.Marshal(map[string]any{
		"STAGE_PATH": "@bench.s.payload/job", "ARGS": args, "ENV_VARS": map[string]string{}, "ENABLE_METRICS": false,
		"SPEC_OVERRIDES": nil, "RUNTIME": image, "ENABLE_STAGE_MOUNT_V2": true,
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`CALL SYSTEM$EXECUTE_ML_JOB('BENCH.S.job_', 'BENCH_POOL', $$%s$$, `+
		`$${"EXTERNAL_ACCESS_INTEGRATIONS": null, "QUERY_WAREHOUSE": null, "TARGET_INSTANCES": 1, "MIN_INSTANCES": 1, "GENERATE_SUFFIX": true, "ASYNC": true}$$)`,
		options), nil
}

// submit counts accepted submissions per second on a server that runs no containers, beside INSERTs of a row of the same size by
// the same driver: what one durable commit costs here.
func submit(ctx context.Context) ([]measurement, error) {
	dir, err := os.MkdirTemp("", "firn-bench")
	if err != nil {
		return nil, err
	}
	s, err := startServerOn(ctx, dir, "none")
	if err != nil {
		return nil, err
	}
	defer s.stop()
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := script(ctx, c, account...); err != nil {
		return nil, err
	}
	if err := seedImage(ctx, s); err != nil {
		return nil, err
	}
	text, err := submitText("/bench/s/images/empty:v1", "true")
	if err != nil {
		return nil, err
	}
	ours, err := parallel(ctx, sessions, 5*time.Second, func(int) error { _, err := c.Query(ctx, text); return err })
	if err != nil {
		return nil, err
	}
	theirs, err := durableCommits(ctx, filepath.Join(dir, "floor.db"))
	if err != nil {
		return nil, err
	}
	return []measurement{compared("submit", "/s", ours, "durable-commits", theirs, map[string]any{"sessions": sessions, "aim": 100})}, nil
}

// durableCommits counts transactions of one small row from as many goroutines on a catalog of its own.
func durableCommits(ctx context.Context, path string) (float64, error) {
	store, err := sqlstore.Open(ctx, "sqlite:"+path, sqlstore.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { _ = store.Close() }() // every commit was durable
	return parallel(ctx, sessions, 3*time.Second, func(int) error {
		return store.Update(ctx, func(tx catalog.Tx) error {
			return tx.AddEvent(catalog.Event{User: "ADMIN", Action: "create", Object: "BENCH.S.JOB", Allowed: true})
		})
	})
}

// show times SHOW of ten thousand environments, which are put into the catalog before the server starts, beside reading the same
// rows out of the catalog.
func show(ctx context.Context) ([]measurement, error) {
	const count = 10000
	s, err := startServer(ctx, "none")
	if err != nil {
		return nil, err
	}
	defer func() { s.stop() }()
	if err := s.halt(); err != nil {
		return nil, err
	}
	theirs, err := seedEnvironments(ctx, filepath.Join(s.dir, "firn.db"), count)
	if err != nil {
		return nil, err
	}
	if s, err = startServerOn(ctx, s.dir, "none"); err != nil {
		return nil, err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	var times []float64
	for range 7 {
		begin := time.Now()
		r, err := c.Query(ctx, "SHOW CUSTOM RUNTIME ENVIRONMENTS")
		if err != nil {
			return nil, err
		}
		if len(r.Rows) != count {
			return nil, fmt.Errorf("SHOW gave %d rows", len(r.Rows))
		}
		times = append(times, float64(time.Since(begin).Microseconds())/1000)
	}
	return []measurement{compared("show_10000", "ms", median(times), "catalog-list", theirs, map[string]any{"aim_ms": 200})}, nil
}

// seedEnvironments puts environments into a catalog, and gives the milliseconds that listing them takes.
func seedEnvironments(ctx context.Context, path string, count int) (float64, error) {
	store, err := sqlstore.Open(ctx, "sqlite:"+path, sqlstore.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { _ = store.Close() }() // every commit was durable
	err = store.Update(ctx, func(tx catalog.Tx) error {
		for i := range count {
			err := tx.CreateObject(&catalog.Object{
				Kind: catalog.KindRuntimeEnvironment, Name: catalog.Name{Object: fmt.Sprintf("ENV_%05d", i)}, Owner: catalog.RoleAccountAdmin,
				Spec: &catalog.RuntimeEnvironmentSpec{
					Image: "churn", Tag: "v1", Digest: fmt.Sprintf("sha256:%064x", i), Path: "/ml/churn/images/churn:v1", BaseType: "CPU",
					Status: catalog.Resolved,
				},
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	var times []float64
	for range 5 {
		begin := time.Now()
		err := store.View(ctx, func(tx catalog.Tx) error {
			for _, err := range tx.Objects(catalog.KindRuntimeEnvironment, catalog.Name{}) {
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		times = append(times, float64(time.Since(begin).Microseconds())/1000)
	}
	return median(times), nil
}

// idle reads the resident memory of a server that has nothing to do, beside that of the docker engine.
func idle(ctx context.Context) ([]measurement, error) {
	s, err := startServer(ctx, "docker")
	if err != nil {
		return nil, err
	}
	defer s.stop()
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := script(ctx, c, "SELECT 1"); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(3 * time.Second):
	}
	ours, err := residentMB(s.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	theirs, err := residentMB(engineProcess())
	if err != nil {
		return nil, err
	}
	return []measurement{compared("idle_rss", "MB", ours, "dockerd", theirs, map[string]any{"aim_mb": 120})}, nil
}

var resident = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

func residentMB(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m := resident.FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("process %d has no memory of its own", pid)
	}
	kb, err := strconv.ParseFloat(string(m[1]), 64)
	return kb / 1000, err
}

// engineProcess finds the process of the docker engine.
func engineProcess() int {
	names, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is right
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil && string(text) == "dockerd\n" {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name))) // the pattern says it is a number
			return pid
		}
	}
	return 0
}
