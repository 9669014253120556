// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// The door network goes when nobody needs it, stays as long as a task is left, and comes again.
func TestLeave(t *testing.T) {
	t.Parallel()
	r := setup(t)
	engine := raw(t)
	is := func(want bool) {
		t.Helper()
		_, err := engine.NetworkInspect(t.Context(), "firn-"+r.install, client.NetworkInspectOptions{})
		if err != nil && !errdefs.IsNotFound(err) || (err == nil) != want {
			t.Errorf("the network is there: %v, want %v", err, want)
		}
	}
	leave := func() {
		t.Helper()
		if err := r.Leave(t.Context()); err != nil {
			t.Error(err)
		}
	}
	leave()
	for range 2 {
		if _, err := r.Gateway(t.Context()); err != nil {
			t.Fatal(err)
		}
		is(true)
		leave()
		is(false)
	}
	task := r.shell("t", "true")
	task.Network = "job"
	r.run(task) // it has ended, and is not removed
	leave()
	is(true)
	if err := r.Remove(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	leave()
	is(false)
}
