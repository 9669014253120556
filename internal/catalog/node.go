// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"iter"
	"time"
)

// Node is one firnd process that runs on the catalog.
type Node struct {
	ID      string // as in Statement.Node
	URL     string // where clients reach it
	Started time.Time
	Seen    time.Time // its last sign of life
}

// Nodes keeps which processes run. All its times are those of the database, as the clocks of processes differ.
type Nodes interface {
	// AddNode adds a node. Started and Seen are filled when zero.
	//
	// Errors: Exists.
	AddNode(n *Node) error
	// BeatNode is a sign of life of a node.
	//
	// Errors: NotFound when the node has been removed.
	BeatNode(id string) error
	// RemoveNode removes a node; nothing happens when it is missing.
	RemoveNode(id string) error
	// ListNodes lists the nodes that were seen less than a time ago, ordered by id; 0 means all.
	ListNodes(within time.Duration) iter.Seq2[Node, error]
}
