// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"firn.dev/firn/internal/auth"
	"firn.dev/firn/internal/blob/dir"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/executor"
)

const (
	adminUser    = "ADMIN"
	passwordFile = "admin-password"
	// drain is how long statements in flight may take after a stop was asked for.
	drain = 30 * time.Second
)

func newServeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "serve", Short: "run the server", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd.Flags(), os.Environ)
			if err != nil {
				return err
			}
			log, err := newLog(c, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			s, err := newServer(cmd.Context(), c, log)
			if err != nil {
				return err
			}
			defer s.Close()
			return s.Run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	addFlags(cmd.Flags())
	return cmd
}

func newMigrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "migrate", Short: "bring the database to this version's schema", Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(cmd.Flags(), os.Environ)
			if err != nil {
				return err
			}
			if err := dir.Make(c.DataDir); err != nil {
				return err
			}
			store, err := sqlstore.Open(cmd.Context(), c.Database, sqlstore.Options{})
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "the database has this version's schema")
			return store.Close()
		},
	}
	addFlags(cmd.Flags())
	return cmd
}

func newLog(c config, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, &usageError{fmt.Errorf("log-level '%s' is not available: debug, info, warn or error", c.LogLevel)}
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}

// Run serves until the context ends: then it accepts nothing more, lets statements in flight finish, and leaves jobs running.
func (s *server) Run(ctx context.Context, out io.Writer) error {
	group, ctx := errgroup.WithContext(ctx)
	// Statements in flight may wait for jobs, so the loops go on until no statement runs.
	working, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	for _, l := range s.listeners {
		group.Go(func() error { return s.serve(ctx, l) })
	}
	for name, loop := range s.loops {
		group.Go(func() error {
			if err := loop(working); err != nil && working.Err() == nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	group.Go(func() error {
		defer done()
		return s.finish(ctx)
	})
	if _, err := fmt.Fprintf(out, "ready listen=%s url=%s\n", s.listeners[0].net.Addr(), s.url); err != nil {
		return err
	}
	err := group.Wait()
	s.leave()
	return err
}

// leave gives back what only a running server needs.
func (s *server) leave() {
	limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.node.Leave(limit); err != nil {
		s.log.Warn("this server counts as running for a while", "err", err)
	}
	if s.engine == nil {
		return
	}
	if err := s.engine.Leave(limit); err != nil {
		s.log.Warn("the network of containers stays", "err", err) // the next stop tries again
	}
}

// finish lets statements that run come to their end when ctx has ended, and cancels those that take too long: all of them, when
// other servers have given this one up.
func (s *server) finish(ctx context.Context) error {
	<-ctx.Done()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if errs.Is(context.Cause(ctx), errs.Conflict) {
		cancel()
	}
	return s.executor.Close(limit)
}

// listener is one address with what it serves.
type listener struct {
	net     net.Listener
	handler http.Handler
	inside  bool // the private address of the containers, never TLS
}

func (s *server) serve(ctx context.Context, l listener) error {
	srv := &http.Server{
		Handler: l.handler, ReadHeaderTimeout: 20 * time.Second, IdleTimeout: 5 * time.Minute,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if err := srv.Shutdown(limit); err != nil { // a transfer that takes longer is the client's to repeat
			s.log.Warn("requests in flight are broken off", "listen", l.net.Addr(), "err", errors.Join(err, srv.Close()))
		}
	}()
	var err error
	if s.tls != nil && !l.inside {
		srv.TLSConfig = s.tls
		err = srv.ServeTLS(l.net, "", "")
	} else {
		err = srv.Serve(l.net)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

// lockData makes sure that one server uses a data directory.
//
// Errors: Conflict when another one does; Unavailable when the directory cannot be used.
func lockData(directory string) (*os.File, error) {
	if err := dir.Make(directory); err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "data directory %s cannot be made", directory)
	}
	f, err := os.OpenFile(filepath.Join(directory, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "data directory %s cannot be used", directory)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, errs.New(errs.Conflict, "another firnd uses the data directory %s: stop it, or choose another --data-dir", directory)
	}
	return f, nil
}

// bootstrap makes the account with its first objects when the catalog is empty. The password of ADMIN is written to a file of
// the data directory before it counts, so a crash in between loses nothing.
func bootstrap(ctx context.Context, c config, store catalog.Store, log *slog.Logger) error {
	err := store.View(ctx, func(tx catalog.Tx) error {
		_, err := tx.ObjectByID(catalog.AccountID)
		return err
	})
	hash := ""
	if errs.Is(err, errs.NotFound) {
		if hash, err = firstPassword(ctx, c); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if err := executor.Bootstrap(ctx, store, hash, time.Now()); err != nil || hash == "" || c.AdminPassword != "" {
		return err
	}
	return keepPassword(ctx, c, store, hash, log)
}

// keepPassword tells where the first password is, or removes it when another server that started at the same time was faster.
func keepPassword(ctx context.Context, c config, store catalog.Store, hash string, log *slog.Logger) error {
	var used string
	err := store.View(ctx, func(tx catalog.Tx) error {
		_, admin, err := catalog.Get[*catalog.UserSpec](tx, catalog.Name{Object: adminUser})
		if err == nil {
			used = admin.PasswordHash
		}
		return err
	})
	if err != nil {
		return err
	}
	path := filepath.Join(c.DataDir, passwordFile)
	if used != hash {
		log.Info("first start: another server has made "+adminUser, "password", "see the log of that server")
		return os.Remove(path)
	}
	log.Info("first start: the password of "+adminUser+" is in a file", "file", path)
	return nil
}

func firstPassword(ctx context.Context, c config) (string, error) {
	password := c.AdminPassword
	if password == "" {
		password = errs.Secret(rand.Text())
		path := filepath.Join(c.DataDir, passwordFile)
		if err := writeOnce(path, password.Reveal()+"\n"); err != nil {
			return "", errs.Wrap(err, errs.Unavailable, "the first password of %s cannot be written", adminUser)
		}
	}
	return auth.HashPassword(ctx, password)
}
