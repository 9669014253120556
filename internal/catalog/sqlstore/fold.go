// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
)

// foldEvery is how many commits of the writer have the log folded.
const foldEvery = 64

// folder copies what the log (WAL) of a SQLite file has into the file, beside those who read and write, so that hardly any commit
// has to wait until that is done. What it does not manage the writer does, when the log has grown long.
//
// https://www.sqlite.org/wal.html#ckpt
type folder struct {
	db     *sql.DB
	wanted chan struct{}
	quit   chan struct{}
	done   chan struct{}
}

func startFolder(db *sql.DB) *folder {
	f := &folder{db: db, wanted: make(chan struct{}), quit: make(chan struct{}), done: make(chan struct{})}
	go f.loop()
	return f
}

func (f *folder) loop() {
	defer close(f.done)
	for {
		select {
		case <-f.wanted:
			// Nothing depends on it: the log is what is durable, and the writer finds out what is wrong with the file.
			_, _ = f.db.ExecContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)")
		case <-f.quit:
			return
		}
	}
}

// stop waits until nothing is copied any more.
func (f *folder) stop() {
	close(f.quit)
	<-f.done
}
