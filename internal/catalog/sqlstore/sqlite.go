// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite"

	"firn.dev/firn/internal/errs"
)

// sqliteEngine is one SQLite file: one connection that writes, several that read snapshots beside it (WAL).
type sqliteEngine struct {
	file      string
	write     *sql.DB
	read      *sql.DB
	fold      *sql.DB // what copies the log into the file
	writer    *writer
	folder    *folder
	readers   chan *link // nil where no connection was needed yet
	watcher   watcher
	temporary string // folder to remove at the end, or ""
}

// openSQLite opens a catalog file whose commits are on the disk when they return.
func openSQLite(ctx context.Context, path string) (*sqliteEngine, error) {
	file, err := filepath.Abs(path)
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "catalog file %s", path)
	}
	// SQLite's own files beside it inherit the mode: the catalog holds secrets.
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.Wrap(err, errs.Unavailable, "catalog file %s: its folder does not exist; create it", file)
	}
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "catalog file %s cannot be opened for writing", file)
	}
	if err := f.Close(); err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "catalog file %s", file)
	}
	return connectSQLite(ctx, file, "FULL")
}

// openPrivateSQLite opens a catalog that nobody else can reach and that Close removes. It is a file without fsync, because
// SQLite's databases in memory have no snapshots.
func openPrivateSQLite(ctx context.Context) (*sqliteEngine, error) {
	folder, err := os.MkdirTemp("", "firn-catalog-")
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "no folder for a temporary catalog")
	}
	e, err := connectSQLite(ctx, filepath.Join(folder, "catalog"), "OFF")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	e.temporary = folder
	return e, nil
}

func connectSQLite(ctx context.Context, file, synchronous string) (_ *sqliteEngine, err error) {
	e := &sqliteEngine{file: file, readers: make(chan *link, max(4, 2*runtime.GOMAXPROCS(0)))}
	common := []string{"busy_timeout(5000)", "foreign_keys(1)", "temp_store(MEMORY)", "cache_size(-8000)"}
	writing := append(common, "journal_mode(WAL)", "journal_size_limit(67108864)", "wal_autocheckpoint(16000)", "synchronous("+synchronous+")")
	e.write, err = openPool(file, url.Values{"_txlock": {"immediate"}, "_pragma": writing}, 1)
	if err == nil {
		e.fold, err = openPool(file, url.Values{"_pragma": writing}, 1)
	}
	if err == nil {
		e.read, err = openPool(file, url.Values{"mode": {"ro"}, "_pragma": common}, cap(e.readers)+1)
	}
	if err == nil {
		err = migrateSQLite(ctx, e.write, "catalog file "+file)
	}
	if err != nil {
		return nil, foldSQLite(errors.Join(err, closePools(e.read, e.fold, e.write)), file)
	}
	for range cap(e.readers) {
		e.readers <- nil
	}
	e.folder = startFolder(e.fold)
	e.writer = startWriter(e.write, file, e.folder.wanted)
	return e, nil
}

// migrateSQLite migrates, and looks again when another process was faster.
func migrateSQLite(ctx context.Context, db *sql.DB, what string) error {
	err := migrate(ctx, db, sqliteDialect, what)
	for range 3 {
		if err == nil || errs.Is(err, errs.Unsupported) {
			break
		}
		err = migrate(ctx, db, sqliteDialect, what)
	}
	return err
}

func openPool(file string, options url.Values, connections int) (*sql.DB, error) {
	source := url.URL{Scheme: "file", Path: file, RawQuery: options.Encode()}
	db, err := sql.Open("sqlite", source.String())
	if err != nil {
		return nil, foldSQLite(err, file)
	}
	db.SetMaxOpenConns(connections)
	return db, nil
}

// closePools closes those that are open.
func closePools(pools ...*sql.DB) (err error) {
	for _, db := range pools {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	return err
}

func (e *sqliteEngine) update(ctx context.Context, fn body) error { return e.writer.update(ctx, fn) }

func (e *sqliteEngine) view(ctx context.Context, fn body) error {
	var l *link
	select {
	case l = <-e.readers:
	case <-ctx.Done():
		return foldSQLite(ctx.Err(), e.file)
	}
	defer func() { e.readers <- l }()
	var err error
	if l == nil {
		if l, err = newLink(e.read, e.file); err != nil {
			return err
		}
	}
	if err := l.run("BEGIN"); err != nil {
		l = l.drop()
		return err
	}
	defer func() {
		if l.run("ROLLBACK") != nil {
			l = l.drop()
		}
	}()
	said, failed := fn(l)
	if said != nil {
		return said
	}
	return failed
}

// close gives every connection back to its pool first, or the pool would not close it. The writing one goes last: with it
// SQLite folds its log into the file.
func (e *sqliteEngine) close() error {
	e.writer.stop()
	e.folder.stop()
	var err error
	for range cap(e.readers) {
		err = errors.Join(err, (<-e.readers).close())
	}
	err = errors.Join(err, e.watcher.close(), closePools(e.read, e.fold), e.writer.link.close(), e.write.Close())
	if e.temporary != "" {
		err = errors.Join(err, os.RemoveAll(e.temporary))
	}
	return foldSQLite(err, e.file)
}

// link is one connection with its prepared statements. It is the runner of SQLite.
//
// The context of a call never reaches SQLite: to interrupt a statement that writes would roll back the transactions of
// everybody in the same group commit. Statements are short, and tx looks at the context between them.
type link struct {
	conn     *sql.Conn
	file     string
	prepared map[string]*sql.Stmt
	wrote    bool // set when the transaction has changed, or may have
}

// The number of statement texts one connection keeps prepared. Only filters make texts of many shapes.
const maxPrepared = 200

func newLink(db *sql.DB, file string) (*link, error) {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, foldSQLite(err, file)
	}
	return &link{conn: conn, file: file, prepared: map[string]*sql.Stmt{}}, nil
}

// close gives the connection back. A missing link is closed.
func (l *link) close() error {
	if l == nil {
		return nil
	}
	var err error
	for _, s := range l.prepared {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, l.conn.Close())
}

// drop closes a connection that is in an unknown state, and gives nil in its place.
func (l *link) drop() *link {
	// ErrBadConn tells database/sql not to use the connection again. It comes back as the result, which says nothing new.
	_ = l.conn.Raw(func(any) error { return driver.ErrBadConn })
	return nil
}

func (l *link) statement(text string) (*sql.Stmt, error) {
	if s := l.prepared[text]; s != nil || len(l.prepared) >= maxPrepared {
		return s, nil
	}
	s, err := l.conn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, err
	}
	l.prepared[text] = s
	return s, nil
}

// run runs a statement without arguments.
func (l *link) run(text string) error {
	_, err := l.ExecContext(context.Background(), text)
	return l.fold(err)
}

// ExecContext implements runner.
func (l *link) ExecContext(_ context.Context, text string, args ...any) (sql.Result, error) {
	s, err := l.statement(text)
	if err != nil {
		return nil, err
	}
	var result sql.Result
	if s == nil {
		result, err = l.conn.ExecContext(context.Background(), text, args...)
	} else {
		result, err = s.ExecContext(context.Background(), args...)
	}
	if err != nil {
		l.wrote = true
		return nil, err
	}
	n, err := result.RowsAffected()
	l.wrote = l.wrote || n != 0 || err != nil
	return result, nil
}

// QueryContext implements runner.
func (l *link) QueryContext(_ context.Context, text string, args ...any) (*sql.Rows, error) {
	l.wrote = l.wrote || !strings.HasPrefix(text, "SELECT")
	s, err := l.statement(text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return l.conn.QueryContext(context.Background(), text, args...)
	}
	return s.QueryContext(context.Background(), args...)
}

func (l *link) dialect() *dialect { return sqliteDialect }

func (l *link) fold(err error) error { return foldSQLite(err, l.file) }
