// SPDX-License-Identifier: Apache-2.0

// Package node keeps a firnd process among those that run on the catalog, and ends what lost ones left running. A process gives
// a sign of life every few seconds. One that gave none for a while is given up by the others: its row goes and its statements
// are ended as failed. A process that was given up, because it stood still or could not reach the database, finds its row
// missing and must stop.
//
// Jobs are none of its business: those have leases, see scheduler. cmd/firnd calls it.
package node

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

// abandoned is the message of statements whose process ended before they did.
const abandoned = "The server stopped while the statement ran: it has taken effect as a whole or not at all. Look with SHOW or DESCRIBE before you run it again."

// atOnce bounds how many lost statements one look finds; the next finds more.
const atOnce = 10000

// Options is what a Node needs.
type Options struct {
	Catalog catalog.Store
	// Worker is the same for all processes on one data directory, of which one runs at a time: those before this one have ended.
	Worker string
	URL    string // where clients reach the process
	Log    *slog.Logger
	Beat   time.Duration // between signs of life; 0: 5 s
	Limit  time.Duration // without a sign of life until others give a process up, by the clock of the database; 0: 30 s
}

// Node is this process among those that run. Its methods are safe for concurrent use.
type Node struct {
	o  Options
	id string
}

// Join adds this process, and ends what its predecessors and other lost processes left running.
//
// Errors: those of the catalog.
func Join(ctx context.Context, o Options) (*Node, error) {
	if o.Beat == 0 {
		o.Beat = 5 * time.Second
	}
	if o.Limit == 0 {
		o.Limit = 30 * time.Second
	}
	n := &Node{o: o, id: o.Worker + "." + uuid.NewString()}
	err := o.Catalog.Update(ctx, func(tx catalog.Tx) error {
		for before, err := range tx.ListNodes(0) {
			if err != nil {
				return err
			}
			if strings.HasPrefix(before.ID, o.Worker+".") {
				if err := tx.RemoveNode(before.ID); err != nil {
					return err
				}
			}
		}
		return tx.AddNode(&catalog.Node{ID: n.id, URL: o.URL})
	})
	if err != nil {
		return nil, err
	}
	return n, n.sweep(ctx)
}

// ID names the process in rows.
func (n *Node) ID() string { return n.id }

// Alive tells whether a process still runs, as far as this one may assume.
//
// Errors: those of the catalog.
func (n *Node) Alive(tx catalog.Tx, id string) (bool, error) {
	for other, err := range tx.ListNodes(n.o.Limit) {
		if err != nil {
			return false, err
		}
		if other.ID == id {
			return true, nil
		}
	}
	return false, nil
}

// Run gives signs of life until ctx ends. What the database refuses is tried again.
//
// Errors: Conflict when other processes have given this one up: whatever it runs must stop.
func (n *Node) Run(ctx context.Context) error {
	tick := time.NewTicker(n.o.Beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := n.o.Catalog.Update(ctx, func(tx catalog.Tx) error { return tx.BeatNode(n.id) })
		if errs.Is(err, errs.NotFound) {
			return errs.New(errs.Conflict, "another server of this database has given this one up, which gave no sign of life for %s: "+
				"it stops; look whether this machine stood still or the database was out of reach, and start it again", n.o.Limit)
		}
		if err == nil {
			err = n.sweep(ctx)
		}
		if err != nil && ctx.Err() == nil {
			n.o.Log.Warn("no sign of life given", "error", err)
		}
	}
}

// Leave removes this process, which runs nothing any more.
//
// Errors: those of the catalog.
func (n *Node) Leave(ctx context.Context) error {
	return n.o.Catalog.Update(ctx, func(tx catalog.Tx) error { return tx.RemoveNode(n.id) })
}

// sweep gives up the processes that are silent, and ends the statements of those that are gone. It writes only when there is
// something to end.
func (n *Node) sweep(ctx context.Context) error {
	var l losses
	look := func(tx catalog.Tx) (err error) {
		l, err = n.losses(tx)
		return err
	}
	if err := n.o.Catalog.View(ctx, look); err != nil || l.none() {
		return err
	}
	ended := 0
	err := n.o.Catalog.Update(ctx, func(tx catalog.Tx) error {
		ended = 0
		if err := look(tx); err != nil {
			return err
		}
		for _, id := range l.silent {
			if err := tx.RemoveNode(id); err != nil {
				return err
			}
		}
		for id := range l.owners {
			count, err := tx.FailAbandoned(id, abandoned)
			if err != nil {
				return err
			}
			ended += count
		}
		return nil
	})
	if err != nil || l.none() {
		return err
	}
	n.o.Log.Warn("lost servers are given up, what they ran is ended as failed", "servers", l.silent, "statements", ended)
	return nil
}

// losses is what lost processes have left.
type losses struct {
	silent []string            // processes whose last sign of life is too old
	owners map[string]struct{} // processes that are lost or unknown and have running statements
}

func (l losses) none() bool { return len(l.silent) == 0 && len(l.owners) == 0 }

func (n *Node) losses(tx catalog.Tx) (losses, error) {
	l := losses{owners: map[string]struct{}{}}
	alive := map[string]bool{n.id: true}
	for other, err := range tx.ListNodes(n.o.Limit) {
		if err != nil {
			return l, err
		}
		alive[other.ID] = true
	}
	for other, err := range tx.ListNodes(0) {
		if err != nil {
			return l, err
		}
		if !alive[other.ID] {
			l.silent = append(l.silent, other.ID)
		}
	}
	for st, err := range tx.History(catalog.StatementFilter{Status: catalog.StatementRunning, Limit: atOnce}) {
		if err != nil {
			return l, err
		}
		if !alive[st.Node] {
			l.owners[st.Node] = struct{}{}
		}
	}
	return l, nil
}
