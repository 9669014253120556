// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"firn.dev/firn/internal/errs"
)

// The schema of each dialect, forward only: a file that was released is never changed.
//
//go:embed migrations
var migrations embed.FS

// migrate brings the schema up to date. what names the database in errors, which are folded by the caller.
func migrate(ctx context.Context, db *sql.DB, d *dialect, what string) error {
	files, err := fs.Sub(migrations, "migrations/"+d.name)
	if err != nil {
		return err
	}
	dialect, options := goose.DialectSQLite3, []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if d == postgresDialect {
		// Replicas that start together wait for the one that got the lock: asked every second, for five minutes.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
		if err != nil {
			return err
		}
		dialect, options = goose.DialectPostgres, append(options, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(dialect, db, files, options...)
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return errs.New(errs.Unsupported, "%s has schema version %d and this program knows versions up to %d: start the firnd that wrote it, or a newer one",
			what, current, target)
	}
	if current == target {
		return nil
	}
	_, err = p.Up(ctx)
	return err
}
