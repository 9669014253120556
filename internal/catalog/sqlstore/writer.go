// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"context"
	"database/sql"
)

// writer gives the one writing connection of a SQLite file to one call after the other, and commits them in groups: calls
// that wait while another runs go into its transaction, and one commit (one fsync) answers them all. Nobody is answered
// before the commit, also not the calls that failed, because what they saw of the others was not certain until then.
//
// Each call runs on its own goroutine; the writer only passes the turn. So a panic ends up where it belongs, and takes
// nothing with it but what its own call has written.
type writer struct {
	db    *sql.DB
	file  string
	link  *link           // nil after it broke
	queue chan *call      // unbuffered: a call is in line until the writer receives it
	fold  chan<- struct{} // told from time to time that there is a log to fold
	since int             // commits since then
	quit  chan struct{}
	done  chan struct{}
}

// call is one Update.
type call struct {
	turn   chan *link  // the call may run now
	ran    chan effect // it has run
	answer chan error  // it is over: the error of the commit or nil; what fn said is known to the caller
}

// effect is what one attempt of a call leaves behind.
type effect int

const (
	keep   effect = iota // its writes are to be committed
	revert               // its writes are to be rolled back
	gone                 // so are these, and nobody waits for an answer: fn panicked
)

// maxGroup bounds how long the first call of a group waits for the last one.
const maxGroup = 256

func startWriter(db *sql.DB, file string, fold chan<- struct{}) *writer {
	w := &writer{db: db, file: file, fold: fold, queue: make(chan *call), quit: make(chan struct{}), done: make(chan struct{})}
	go w.loop()
	return w
}

// stop ends the writer. No call is in line any more.
func (w *writer) stop() {
	close(w.quit)
	<-w.done
}

// update runs one call from the caller's side.
func (w *writer) update(ctx context.Context, fn body) error {
	c := &call{turn: make(chan *link), ran: make(chan effect), answer: make(chan error, 1)}
	select {
	case w.queue <- c:
	case <-ctx.Done():
		return foldSQLite(ctx.Err(), w.file)
	}
	var result error
	for {
		select {
		case l := <-c.turn:
			result = c.attempt(l, fn)
		case err := <-c.answer:
			if err != nil {
				return err
			}
			return result
		}
	}
}

// attempt runs fn and hands the turn back however fn is left.
func (c *call) attempt(l *link, fn body) error {
	e := gone
	defer func() { c.ran <- e }()
	said, failed := fn(l)
	l.wrote = l.wrote || failed != nil // some errors of SQLite end the transaction
	switch {
	case said != nil:
		e = revert
		return said
	case failed != nil:
		e = revert
		return failed
	}
	e = keep
	return nil
}

func (w *writer) loop() {
	defer close(w.done)
	for {
		select {
		case c := <-w.queue:
			w.group(c)
			w.committed()
		case <-w.quit:
			return
		}
	}
}

// committed has the log folded after many commits.
func (w *writer) committed() {
	if w.since++; w.since < foldEvery {
		return
	}
	select {
	case w.fold <- struct{}{}:
		w.since = 0
	default: // it is being folded
	}
}

// group runs a call and those in line behind it in one transaction. A call that fails after it has written takes with it what the others have
// written: then all go again, each inside a savepoint. When the transaction fails as a whole (the disk is full, say), each call gets
// another attempt in a transaction of its own, so that only those fail which have a reason to.
func (w *writer) group(first *call) {
	calls, undone, err := w.transaction(first, maxGroup)
	if undone {
		calls, err = w.careful(calls)
	}
	for _, c := range calls {
		again := err
		if err != nil && len(calls) > 1 {
			_, _, again = w.transaction(c, 1)
		}
		c.answer <- again
	}
}

// transaction runs first, and while that is going on lets in whoever stands in line, up to limit calls. It gives the calls
// that wait for an answer, whether what they have written is undone because one of them failed, and the error that hit all of them.
func (w *writer) transaction(first *call, limit int) (calls []*call, undone bool, err error) {
	if err := w.begin(); err != nil {
		return []*call{first}, false, err
	}
	for next := first; next != nil; {
		e, wrote := w.pass(next)
		others := len(calls)
		if e != gone {
			calls = append(calls, next)
		}
		if e != keep && wrote {
			w.rollback()
			return calls, others > 0, nil
		}
		next = nil
		if len(calls) < limit {
			select {
			case next = <-w.queue:
			default:
			}
		}
	}
	if err = w.link.run("COMMIT"); err != nil {
		w.rollback()
	}
	return calls, false, err
}

// careful runs calls in one transaction, each inside a savepoint.
func (w *writer) careful(line []*call) (calls []*call, err error) {
	if err := w.begin(); err != nil {
		return line, err
	}
	defer func() {
		if err != nil {
			w.rollback()
		}
	}()
	for i, c := range line {
		e, err := w.within(c)
		if e != gone {
			calls = append(calls, c)
		}
		if err != nil {
			return append(calls, line[i+1:]...), err
		}
	}
	return calls, w.link.run("COMMIT")
}

// pass gives the turn to a call and takes it back. It tells whether the call has changed the transaction, or may have.
func (w *writer) pass(c *call) (e effect, wrote bool) {
	w.link.wrote = false
	c.turn <- w.link
	e = <-c.ran
	return e, w.link.wrote || e == gone
}

// within runs a call inside a savepoint. An error means that the transaction around it is broken.
func (w *writer) within(c *call) (effect, error) {
	if err := w.link.run("SAVEPOINT inner"); err != nil {
		return revert, err
	}
	e, wrote := w.pass(c)
	if e != keep && wrote {
		if err := w.link.run("ROLLBACK TO inner"); err != nil {
			return e, err
		}
	}
	return e, w.link.run("RELEASE inner")
}

func (w *writer) begin() error {
	if w.link == nil {
		l, err := newLink(w.db, w.file)
		if err != nil {
			return err
		}
		w.link = l
	}
	if err := w.link.run("BEGIN IMMEDIATE"); err != nil {
		w.link = w.link.drop()
		return err
	}
	return nil
}

// rollback ends a transaction without a trace. Some errors have ended it before; then the connection is not trusted again.
func (w *writer) rollback() {
	if w.link.run("ROLLBACK") != nil {
		w.link = w.link.drop()
	}
}
