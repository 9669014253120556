// SPDX-License-Identifier: Apache-2.0

package sqlstore

import (
	"iter"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
)

const nodeColumns columns = "id, url, started, seen"

func readNode(row scan) (n catalog.Node, err error) {
	return n, row(&n.ID, &n.URL, stamp{&n.Started}, stamp{&n.Seen})
}

// AddNode implements catalog.Nodes.
func (t *tx) AddNode(n *catalog.Node) error {
	if err := t.writable(); err != nil {
		return err
	}
	clock := t.runner.dialect().clock
	added, found, err := one(t, readNode, `INSERT INTO node (`+string(nodeColumns)+`) VALUES ($1, $2,
		coalesce(nullif(CAST($3 AS bigint), 0), `+clock+`), coalesce(nullif(CAST($4 AS bigint), 0), `+clock+`))
		ON CONFLICT DO NOTHING RETURNING `+string(nodeColumns), n.ID, n.URL, micros(n.Started), micros(n.Seen))
	if err != nil {
		return err
	}
	if !found {
		return errs.New(errs.Exists, "node %s already exists", n.ID)
	}
	*n = added
	return nil
}

// BeatNode implements catalog.Nodes.
func (t *tx) BeatNode(id string) error {
	n, err := t.exec("UPDATE node SET seen = "+t.runner.dialect().clock+" WHERE id = $1", id)
	if err == nil && n == 0 {
		return errs.New(errs.NotFound, "node %s does not exist", id)
	}
	return err
}

// RemoveNode implements catalog.Nodes.
func (t *tx) RemoveNode(id string) error {
	_, err := t.exec("DELETE FROM node WHERE id = $1", id)
	return err
}

// ListNodes implements catalog.Nodes.
func (t *tx) ListNodes(within time.Duration) iter.Seq2[catalog.Node, error] {
	var f filter
	if within != 0 {
		f.add("seen > "+t.runner.dialect().clock+" - ?", within.Microseconds())
	}
	return list(t, readNode, "SELECT "+string(nodeColumns)+" FROM node"+f.where()+" ORDER BY id", f.args...)
}
