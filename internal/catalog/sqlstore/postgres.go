// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"firn.dev/firn/internal/errs"
)

// postgresEngine is one PostgreSQL database. Updates are SERIALIZABLE, so every check that a room makes inside its
// transaction still holds at the commit, whatever other replicas do; the price is that a transaction may have to run again.
type postgresEngine struct {
	pool   *pgxpool.Pool
	db     *sql.DB // over the pool
	server string  // for errors: host, port and database, no password
	random *source
}

// How long a transaction that keeps meeting other writers is tried, and the pauses between.
const (
	maxAttempts = 60
	firstPause  = time.Millisecond
	maxPause    = 50 * time.Millisecond
)

func openPostgres(ctx context.Context, dsn string, random *source) (*postgresEngine, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		// The error of the parser repeats the data source, password and all.
		return nil, errs.New(errs.Invalid, "the catalog's data source postgres://... is malformed")
	}
	if u, err := url.Parse(dsn); err == nil && !u.Query().Has("pool_max_conns") {
		config.MaxConns = 32
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	e := &postgresEngine{random: random, server: fmt.Sprintf("%s at %s:%d", config.ConnConfig.Database, config.ConnConfig.Host, config.ConnConfig.Port)}
	if e.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, foldPostgres(err, e.server)
	}
	e.db = stdlib.OpenDBFromPool(e.pool)
	if err := migrate(ctx, e.db, postgresDialect, "catalog database "+e.server); err != nil {
		return nil, foldPostgres(errors.Join(err, e.close()), e.server)
	}
	return e, nil
}

func (e *postgresEngine) close() error {
	err := e.db.Close()
	e.pool.Close()
	return foldPostgres(err, e.server)
}

func (e *postgresEngine) view(ctx context.Context, fn body) error {
	t, err := e.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return foldPostgres(err, e.server)
	}
	// A snapshot leaves nothing behind, so it does not matter how it ends.
	defer func() { _ = t.Rollback() }()
	said, failed := fn(&postgresRunner{Tx: t, server: e.server})
	if said != nil {
		return said
	}
	return failed
}

func (e *postgresEngine) update(ctx context.Context, fn body) error {
	for attempt := 1; ; attempt++ {
		said, failed := e.attempt(ctx, fn)
		if failed == nil || !conflictsPostgres(failed) {
			if said != nil {
				return said
			}
			return failed
		}
		if attempt == maxAttempts {
			return failed
		}
		pause := min(firstPause<<min(attempt, 10), maxPause)
		select {
		case <-time.After(time.Duration(e.random.below(int64(pause)))):
		case <-ctx.Done():
			return foldPostgres(ctx.Err(), e.server)
		}
	}
}

// attempt runs fn once. What the database said decides whether there is another one.
func (e *postgresEngine) attempt(ctx context.Context, fn body) (said, failed error) {
	t, err := e.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		return nil, foldPostgres(err, e.server)
	}
	// After the commit this does nothing; before it, fn has failed or panicked.
	defer func() { _ = t.Rollback() }()
	said, failed = fn(&postgresRunner{Tx: t, server: e.server})
	if said != nil || failed != nil {
		return said, failed
	}
	return nil, foldPostgres(t.Commit(), e.server)
}

// postgresRunner is the runner of PostgreSQL; the connection keeps the statements prepared.
type postgresRunner struct {
	*sql.Tx
	server string
}

func (r *postgresRunner) dialect() *dialect { return postgresDialect }

func (r *postgresRunner) fold(err error) error { return foldPostgres(err, r.server) }
