// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/compute/docker"
	"firn.dev/firn/internal/compute/none"
	"firn.dev/firn/internal/environment"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/node"
	"firn.dev/firn/internal/registry"
	"firn.dev/firn/internal/registry/upstream"
	"firn.dev/firn/internal/scheduler"
	"firn.dev/firn/internal/session"
	"firn.dev/firn/internal/sfwire"
	"firn.dev/firn/internal/sql/executor"
	"firn.dev/firn/internal/stage"
	"firn.dev/firn/internal/version"
)

// server is everything that firnd runs.
type server struct {
	config    config
	log       *slog.Logger
	url       string // where clients reach it
	listeners []listener
	tls       *tls.Config // nil: plain HTTP
	loops     map[string]func(context.Context) error
	closers   []io.Closer // closed last first
	worker    string      // id of this replica

	store    catalog.Store
	blobs    blobStore
	auth     *auth.Service
	sessions *session.Manager
	stages   *stage.Stage
	registry *registry.Registry
	engine   *docker.Backend // nil with --compute none
	inside   *containerDoor  // nil with --compute none
	metrics  *metrics
	jobs     *scheduler.Scheduler
	node     *node.Node
	executor *executor.Executor
}

// newServer opens the stores, makes the rooms and listens. Nothing is served before Run.
func newServer(ctx context.Context, c config, log *slog.Logger) (_ *server, err error) {
	s := &server{config: c, log: log, loops: map[string]func(context.Context) error{}}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	for _, step := range []func(context.Context) error{s.openStores, s.listen, s.makeRooms, s.makeDoors} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close ends what newServer opened. Jobs go on.
func (s *server) Close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i].Close(); err != nil && !strings.Contains(err.Error(), "use of closed network connection") {
			s.log.Error("close", "err", err)
		}
	}
}

func (s *server) openStores(ctx context.Context) error {
	lock, err := lockData(s.config.DataDir)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, lock)
	if s.worker, err = workerID(s.config.DataDir); err != nil {
		return err
	}
	store, err := sqlstore.Open(ctx, s.config.Database, sqlstore.Options{})
	if err != nil {
		return err
	}
	s.store = store
	s.closers = append(s.closers, store)
	if err := s.openBlobs(ctx); err != nil {
		return err
	}
	s.metrics = newMetrics(s.store, s.log)
	return bootstrap(ctx, s.config, s.store, s.log)
}

// listen takes the address first, as a taken one is the commonest reason not to start.
func (s *server) listen(context.Context) error {
	if s.config.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(s.config.TLSCert, s.config.TLSKey)
		if err != nil {
			return errs.Wrap(err, errs.Invalid, "tls-cert %s and tls-key %s are no pair of certificate and key", s.config.TLSCert, s.config.TLSKey)
		}
		s.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	main, err := s.open(s.config.Listen)
	if err != nil {
		return err
	}
	address := main.Addr().(*net.TCPAddr)
	if !address.IP.IsLoopback() && !address.IP.IsUnspecified() && s.config.Compute == "docker" {
		// Engines trust registries of their own machine without further settings, and only those.
		if _, err := s.open(s.engineHost()); err != nil {
			return err
		}
	}
	s.url = s.config.PublicURL
	if s.url == "" {
		host := address.String()
		if address.IP.IsUnspecified() {
			host = s.engineHost()
			s.log.Warn("clients of other machines need to know where this server is: set public-url", "listen", s.config.Listen)
		}
		scheme := "http"
		if s.tls != nil {
			scheme = "https"
		}
		s.url = scheme + "://" + host
	}
	return nil
}

// open listens on one more address for everybody.
func (s *server) open(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "cannot listen on %s: choose another --listen, or stop what uses it", address)
	}
	s.closers = append(s.closers, l)
	s.listeners = append(s.listeners, listener{net: l})
	return l, nil
}

func (s *server) makeRooms(ctx context.Context) error {
	s.auth = auth.New(s.store, s.config.Account, time.Now, rand.Reader)
	s.sessions = session.New(s.store, s.auth, time.Now)
	s.stages = stage.New(s.store, s.blobs)
	var err error
	s.node, err = node.Join(ctx, node.Options{Catalog: s.store, Worker: s.worker, URL: s.url, Log: s.log})
	if err != nil {
		return err
	}
	fetched := upstream.New(upstream.Options{Approved: s.config.Upstreams, Observe: newUpstreamMetrics(s.metrics.registry)})
	s.registry = registry.New(registry.Options{
		Catalog: s.store, Blobs: s.blobs, Authenticator: identities{s.auth}, Authorizer: rights{}, Log: s.log, Now: time.Now,
		Rand: rand.Reader, URL: s.config.PublicURL, Redirect: s.config.RedirectPulls, Grace: s.config.GCGrace,
		Writer: s.node.ID(), Alive: s.node.Alive, Upstream: fetched,
	})
	s.loops["registry"] = s.registry.Run
	s.collectGarbage()
	if err := s.makeScheduler(ctx); err != nil {
		return err
	}
	cache, err := imagecheck.OpenCache(filepath.Join(s.config.DataDir, "cache", "layers"), time.Now)
	if err != nil {
		return err
	}
	check := environment.Options{
		Catalog: s.store, Images: images{s.registry}, Logs: s.jobs, Cache: cache, Wake: s.jobs.Wake, Version: version.Version,
		Now: time.Now, Log: s.log,
	}
	if file := s.config.VulnerabilityDB; file != "" {
		if check.Advisories, err = environment.OpenAdvisories(file, s.log); err != nil {
			return errs.Wrap(err, errs.CodeOf(err), "vulnerability-db")
		}
		s.closers = append(s.closers, check.Advisories)
	}
	s.executor = executor.New(executor.Options{
		Catalog: s.store, Images: environment.New(check), Stages: s.stages, Logs: s.jobs, Hosts: s.jobs, Node: s.node.ID(),
		Account: s.config.Account, Version: version.Version, Registry: s.registryHost, Upstream: fetched.Check, Wake: s.jobs.Wake,
		Now: time.Now, Log: s.log,
	})
	s.loops["node"] = s.node.Run
	s.loops["upkeep"] = s.upkeep
	s.loops["cancelled statements"] = s.executor.Serve
	return nil
}

// makeScheduler makes what runs containers, and the door where they reach the server.
func (s *server) makeScheduler(ctx context.Context) error {
	o := scheduler.Options{
		Catalog: s.store, Blobs: s.blobs, Stage: s.stages, Backend: none.Backend{}, Tokens: s.auth, Account: s.config.Account,
		Pull:   scheduler.PullInfo{Registry: s.engineHost, Login: (&pulls{auth: s.auth, now: time.Now}).get},
		Worker: s.worker, WorkDir: filepath.Join(s.config.DataDir, "jobs"), Now: time.Now, Log: s.log,
	}
	if s.config.Compute == "none" {
		s.jobs = scheduler.New(o) // reads logs, runs nothing
		return nil
	}
	var err error
	s.engine, err = docker.New(docker.Options{
		Install: s.worker, Host: os.Getenv("DOCKER_HOST"), Files: filepath.Join(s.config.DataDir, "files"), Log: s.log,
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.engine)
	s.inside = newContainerDoor(s.engine.Gateway, s.port())
	s.closers = append(s.closers, s.inside)
	s.listeners = append(s.listeners, listener{net: s.inside, inside: true})
	s.loops["door for containers"] = func(ctx context.Context) error { return s.inside.Open(ctx, s.log) }
	o.Backend, o.Door = s.engine, s.inside.Find
	s.jobs = scheduler.New(o)
	s.loops["jobs"] = func(ctx context.Context) error { s.jobs.Run(ctx); return nil }
	return nil
}

// port is where everybody reaches the server.
func (s *server) port() int { return s.listeners[0].net.Addr().(*net.TCPAddr).Port }

// engineHost is HOST:PORT under which the engine of this machine reaches the registry.
func (s *server) engineHost() string {
	host := "127.0.0.1"
	if ip := s.listeners[0].net.Addr().(*net.TCPAddr).IP; ip.IsLoopback() {
		host = ip.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(s.port()))
}

// registryHost is HOST[:PORT] under which docker reaches the registry.
func (s *server) registryHost() string {
	_, host, _ := strings.Cut(s.url, "://")
	return host
}

// upkeep forgets what nobody can ask for any more: every ten minutes, one replica or many.
func (s *server) upkeep(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	for {
		now := time.Now()
		for name, step := range map[string]func() error{
			"sessions": func() error { _, err := s.sessions.Sweep(ctx); return err },
			"statements": func() error {
				return s.store.Update(ctx, func(tx catalog.Tx) error {
					return tx.PurgeStatements(now.Add(-24*time.Hour), now.Add(-14*24*time.Hour))
				})
			},
			"stage files": func() error { _, err := s.stages.CollectOrphans(ctx, now.Add(-time.Hour)); return err },
		} {
			if err := step(); err != nil && ctx.Err() == nil {
				s.log.Error("upkeep", "of", name, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *server) makeDoors(context.Context) error {
	door := func(jobsOnly bool) *sfwire.Door {
		return sfwire.New(sfwire.Options{
			Auth: s.auth, Sessions: s.sessions, Executor: s.executor, Files: s.stages, Version: version.Version, JobsOnly: jobsOnly,
			Now: time.Now, Log: s.log,
		})
	}
	front := patiently(silence, behindProxies(s.config.TrustedProxies, s.front(door(false))))
	inside := patiently(silence, s.metrics.observe("containers", door(true)))
	for i := range s.listeners {
		s.listeners[i].handler = front
		if s.listeners[i].inside {
			s.listeners[i].handler = inside
		}
	}
	return nil
}

// front sends each request to its door.
func (s *server) front(sql http.Handler) http.Handler {
	other := http.NewServeMux()
	other.Handle("GET /metrics", s.metrics.page())
	other.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	other.HandleFunc("GET /readyz", s.ready)
	other.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "Firn %s. SQL clients: host and port of this address, protocol http or https. Images: docker login %s\n",
			version.Version, s.registryHost())
	})
	sql, images, rest := s.metrics.observe("sql", sql), s.metrics.observe("registry", s.registry), s.metrics.observe("other", other)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case sfwire.Serves(path):
			sql.ServeHTTP(w, r)
		case path == "/v2" || strings.HasPrefix(path, "/v2/") || path == "/token" || path == "/login":
			images.ServeHTTP(w, r)
		default:
			rest.ServeHTTP(w, r)
		}
	})
}

// ready tells whether database, blobs and engine answer, and which does not.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	status := http.StatusOK
	var text strings.Builder
	for _, part := range []struct {
		name string
		ask  func() error
	}{
		{"database", func() error { return s.store.View(ctx, func(catalog.Tx) error { return nil }) }},
		{"blobs", func() error { return s.blobs.Ping(ctx) }},
		{"compute", func() error {
			if s.engine == nil {
				return nil
			}
			if err := s.engine.Ping(ctx); err != nil {
				return err
			}
			_, err := s.inside.Find(ctx)
			return err
		}},
	} {
		if err := part.ask(); err != nil {
			status = http.StatusServiceUnavailable
			fmt.Fprintf(&text, "%s: %s\n", part.name, errs.MessageOf(err))
		} else {
			fmt.Fprintf(&text, "%s: ok\n", part.name)
		}
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text.String())
}
