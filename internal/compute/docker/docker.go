// SPDX-License-Identifier: Apache-2.0

// Package docker runs compute tasks as containers of a Docker Engine, version 20.10 or later. It implements
// compute.Backend and compute.Dialer.
//
// It keeps no state of its own: containers carry deterministic names and labels, so a new process finds everything again
// by asking the engine. It knows no job, no stage and no registry rule; only the server's main program makes a Backend.
package docker

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// The labels of every container and network that a Backend makes, beside those of its Task.
const (
	labelInstall = "dev.firn.install" // which installation it belongs to
	labelTask    = "dev.firn.task"    // its TaskID
	labelTimeout = "dev.firn.timeout" // Task.Timeout, as time.Duration prints it
	labelGroup   = "dev.firn.group"   // Task.Group
	labelNetwork = "dev.firn.network" // of containers: Task.Network
)

// Options says which engine to use, and for whom.
type Options struct {
	// Install names this installation of Firn among all that share the engine: lower-case letters, digits and dashes, at most 20.
	Install string
	// Host is the engine's address as in DOCKER_HOST; "" is the default socket.
	Host string
	// Files is a private directory of this host for the files of tasks. It stays the same when the server starts again. The engine
	// must see it under the same path, as it must the sources of mounts.
	Files string
	Log   *slog.Logger // nil: none
}

// Backend runs tasks on one engine. It is safe for concurrent use.
type Backend struct {
	engine  *client.Client
	install string
	files   string
	log     *slog.Logger

	networks sync.Mutex // held while a network is looked up, made or removed: the engine does not keep names unique

	mu      sync.Mutex
	stopped map[compute.TaskID]bool        // Stop was called by this process
	timers  map[compute.TaskID]*time.Timer // running tasks with a timeout
	closed  bool
}

// New makes a backend. It does not contact the engine, which may be started later.
//
// Errors: Invalid for a bad host, directory or installation name.
func New(o Options) (*Backend, error) {
	if o.Install == "" || len(o.Install) > 20 || strings.Trim(o.Install, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return nil, errs.New(errs.Invalid, "installation name %q: use 1 to 20 lower-case letters, digits and dashes", o.Install)
	}
	if !filepath.IsAbs(o.Files) {
		return nil, errs.New(errs.Invalid, "directory for the files of tasks %q: it must be absolute", o.Files)
	}
	var opts []client.Opt
	if o.Host != "" {
		opts = append(opts, client.WithHost(o.Host))
	}
	engine, err := client.New(opts...)
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "docker host %q is no address of an engine", o.Host)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Backend{
		engine: engine, install: o.Install, files: o.Files, log: o.Log,
		stopped: map[compute.TaskID]bool{}, timers: map[compute.TaskID]*time.Timer{},
	}, nil
}

// Close frees connections and stops watching timeouts; tasks go on.
func (b *Backend) Close() error {
	b.mu.Lock()
	b.closed = true
	for _, t := range b.timers {
		t.Stop()
	}
	b.mu.Unlock()
	return b.engine.Close()
}

// Ping tells whether the engine answers.
//
// Errors: Unavailable.
func (b *Backend) Ping(ctx context.Context) error {
	if _, err := b.engine.Ping(ctx, client.PingOptions{}); err != nil {
		return b.fail(ctx, err, errs.Unavailable, "docker engine at %s", b.socket())
	}
	return nil
}

// name is the name of a task's container.
func (b *Backend) name(id compute.TaskID) string { return "firn-" + b.install + "-" + string(id) }

// socket is the engine's address, for people.
func (b *Backend) socket() string { return strings.TrimPrefix(b.engine.DaemonHost(), "unix://") }

// inspect asks the engine for a task's container.
//
// Errors: NotFound; Unavailable.
func (b *Backend) inspect(ctx context.Context, id compute.TaskID) (container.InspectResponse, error) {
	r, err := b.engine.ContainerInspect(ctx, b.name(id), client.ContainerInspectOptions{})
	if err != nil {
		return container.InspectResponse{}, b.fail(ctx, err, errs.Unavailable, "task %s", id)
	}
	return r.Container, nil
}

// fail gives an error of the engine a code. Those of any call are told apart here; other is the code of the rest.
func (b *Backend) fail(ctx context.Context, err error, other errs.Code, format string, args ...any) error {
	text := strings.ToLower(err.Error())
	switch {
	case ctx.Err() != nil:
		return errs.Wrap(ctx.Err(), errs.Canceled, format+": given up", args...)
	case client.IsErrConnectionFailed(err):
		return errs.Wrap(err, errs.Unavailable,
			"docker engine does not answer at %s: start it (systemctl start docker, or dockerd)", b.socket())
	case strings.Contains(text, "no space left on device"):
		return errs.Wrap(err, errs.Exhausted, format+": the disk of the docker engine is full", args...)
	case strings.Contains(text, "address pool") || strings.Contains(text, "no available ipv4"):
		return errs.Wrap(err, errs.Exhausted, format+": the docker engine has no free network addresses", args...)
	case errdefs.IsNotFound(err):
		return errs.Wrap(err, errs.NotFound, format+" is not known to the docker engine", args...)
	default:
		// The engine's own words are what a person needs here; they hold neither logins nor files.
		return errs.Wrap(err, other, format+": docker engine: %s", append(args, err.Error())...)
	}
}
