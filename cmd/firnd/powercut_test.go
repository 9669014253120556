// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"
)

// cutsEnv says for how long TestPowerCut goes on: "10m". Without it, a few cuts.
const cutsEnv = "FIRN_TEST_POWER_CUTS"

// powerCut is the torture on a disk whose power is cut, with clients that count each blob, manifest, tag and referrer on its own.
type powerCut struct {
	*torture
	disk     *disk
	cluster  *cluster          // nil with SQLite
	off      atomic.Bool       // the power is being cut: requests may fail
	refused  atomic.Int64      // requests that failed then
	halfway  map[int]*uploaded // by the client whose upload it is
	resumed  atomic.Int64      // uploads that went on after a cut
	again    int               // how often the server went down while it recovered
	rechecks int               // how many states were looked at
}

// powerCase is what a server's power is cut with.
type powerCase struct {
	database string // sqlite or postgres
	medium
}

func (c powerCase) String() string {
	return fmt.Sprintf("%s on %s, %d of 100 cached writes survive", c.database, c.filesystem, c.keep)
}

// TestPowerCut cuts the power of the disk that has the database and the blobs, again and again, in the middle of changes, and
// sometimes while the server recovers: all that the server had acknowledged is there after the next start, byte for byte.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	length := 5 * time.Second
	if text := os.Getenv(cutsEnv); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", cutsEnv, err)
		}
	}
	for _, c := range powerCases() {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			k := newPowerCut(t, c)
			cuts := 0
			for end := time.Now().Add(length); cuts < 2 || time.Now().Before(end); cuts++ {
				k.round(t, cuts, 10)
				k.start()
				k.repeat(t, cuts)
				for _, line := range append(k.compare(k.look(t)), k.wrong...) {
					t.Errorf("cut %d: %s", cuts, line)
				}
				if code, out := k.run(t, "check"); code != 0 {
					t.Errorf("cut %d: firnd check: %s", cuts, out)
				}
				if t.Failed() {
					t.Fatalf("the disk had the seed %d", k.disk.seed-1)
				}
				k.last.kill()
			}
			t.Logf("%d cuts and %d more while the server recovered: %d changes acknowledged, 0 lost, %d states looked at, %d uploads went on; "+
				"%d requests failed with the disk; of %d sectors in its cache %d survived",
				cuts, k.again, k.acks, k.rechecks, k.resumed.Load(), k.refused.Load(), k.disk.cached, k.disk.kept)
			if k.acks < 10*cuts || k.rechecks < k.acks/2 || cuts > 10 && (k.disk.cached == 0 || c.keep > 0 && k.disk.kept == 0) {
				t.Error("that is too little to tell anything")
			}
		})
	}
}

// TestPowerCutUnsynced: when nothing is flushed, the same clients and the same look find losses of every kind.
func TestPowerCutUnsynced(t *testing.T) {
	t.Parallel()
	for _, c := range powerCases() {
		if c.filesystem != "ext4" {
			continue // that the look can see, one file system shows
		}
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			k := newPowerCut(t, c)
			kinds := []string{"blob", "manifest", "referrer", "listed", "image", "file", "stage"}
			switch {
			case c.database == "postgres":
				kinds = []string{"file"} // its own flushes are not the server's: contents are lost, rows are not
			case c.keep > 0:
				kinds = []string{"anything"} // the database is a ruin as a rule
			}
			lost, counts := 0, map[string]int{}
			for round := 0; (len(counts) < len(kinds) || lost == 0) && round < 10; round++ { // what else runs may have all disks flushed just before a cut
				k.launcher = []string{"unsynced"}
				k.round(t, round, 100)
				k.launcher, k.sent, k.wrong = nil, nil, nil
				clear(k.halfway)
				if c.database == "sqlite" && c.keep > 0 {
					lost = k.ruins(t)
					counts["anything"] = lost
					continue
				}
				k.start()
				for _, line := range k.compare(k.look(t)) {
					lost++
					if kind, _, _ := strings.Cut(line, " "); slices.Contains(kinds, kind) {
						counts[kind]++
					}
				}
				if code, out := k.run(t, "check"); c.database == "postgres" && code != 1 && lost > 0 {
					t.Errorf("firnd check, exit code %d, does not see that content is lost: %s", code, out)
				}
				k.last.kill()
			}
			t.Logf("%d of %d acknowledged changes are lost or damaged: %v", lost, k.acks, counts)
			if len(counts) != len(kinds) || lost == 0 {
				t.Errorf("losses are noticed of %v only", counts)
			}
		})
	}
}

// ruins counts the blobs and manifests that are not there as they were, all when the catalog cannot be read any more.
func (k *powerCut) ruins(t *testing.T) (lost int) {
	t.Helper()
	code, _ := k.run(t, "check")
	if code == 0 {
		k.start()
		defer k.last.kill()
	}
	for thing, states := range k.states {
		kind, _, _ := strings.Cut(thing, " ")
		if (kind == "blob" || kind == "manifest") && k.present(thing) && (code != 0 || k.fetch(t, strings.Fields(thing)) != states[0]) {
			lost++
		}
	}
	return lost
}

// powerCases gives what there is on this machine: PostgreSQL where tests have it, xfs where the kernel and its tools are.
func powerCases() []powerCase {
	all := []powerCase{{"sqlite", medium{"ext4", 0, 512}}, {"sqlite", medium{"ext4", 50, 512}}}
	systems, _ := os.ReadFile("/proc/filesystems") // without it there is no xfs
	if _, err := exec.LookPath("mkfs.xfs"); err == nil && strings.Contains(string(systems), "\txfs\n") {
		all = append(all, powerCase{"sqlite", medium{"xfs", 50, 4096}})
	}
	if os.Getenv("FIRN_TEST_POSTGRES") != "" {
		all = append(all, powerCase{"postgres", medium{"ext4", 50, 512}})
	}
	return all
}

// newPowerCut makes what the clients work on, and puts all of it on the disk.
func newPowerCut(t *testing.T, c powerCase) *powerCut {
	t.Helper()
	k := &powerCut{torture: &torture{installation: newInstallation(t), ledger: newLedger()}, disk: newDisk(t, c.medium), halfway: map[int]*uploaded{}}
	k.dir = filepath.Join(k.disk.at, "data")
	if c.database == "postgres" {
		k.cluster = newCluster(t, k.disk)
		k.place.args = []string{"--database", k.cluster.url()}
		k.cluster.start()
	}
	k.start()
	w := k.session(t)
	for _, text := range []string{"CREATE DATABASE ml", "CREATE SCHEMA ml.t", "CREATE IMAGE REPOSITORY ml.t.images", "CREATE STAGE ml.t.files"} {
		k.must(t, w, text)
	}
	for i := range roles {
		k.must(t, w, fmt.Sprintf("CREATE ROLE r_%d", i))
	}
	k.shared = w
	k.last.kill()
	k.powerCycle()
	return k
}

// powerCycle ends everything that uses the disk and mounts it anew. After a cut, what the disk had not got by then is gone.
func (k *powerCut) powerCycle() {
	if k.cluster != nil {
		k.cluster.kill()
	}
	k.disk.unmount()
	k.disk.mount()
	if k.cluster != nil {
		k.cluster.start()
	}
}

// round lets the clients change things, cuts the power in the midst of it when some are acknowledged, and leaves the disk mounted
// anew.
func (k *powerCut) round(t *testing.T, round, atLeast int) {
	t.Helper()
	p := k.start()
	k.off.Store(false)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients sync.WaitGroup
	for id, change := range []func(context.Context, *testing.T, *wire, int, int) error{
		k.pieces, k.pieces, k.pieces, k.pieces, k.pushes, k.stages, k.grants, k.uploads, k.uploads, k.resumes, k.resumes,
	} {
		w := k.session(t)
		clients.Go(func() {
			for n := round * 1000; ctx.Err() == nil; n++ {
				err := change(ctx, t, w, id, n)
				if err != nil && !k.off.Load() {
					k.complain("client %d: %v", id, err)
				}
				if err != nil {
					k.refused.Add(1)
					return
				}
			}
		})
	}
	clients.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			k.disk.stir()
		}
	})
	// Any moment: between the first changes and some hundred later.
	for end, enough := time.Now().Add(patience), k.acknowledgements()+atLeast+rand.IntN(60); k.acknowledgements() < enough && time.Now().Before(end); {
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
	}
	k.off.Store(true)
	k.disk.cut(func() {
		stop()
		_ = p.cmd.Process.Kill() // it may have ended by itself
		if k.cluster != nil {
			k.cluster.signal()
		}
	})
	p.kill()
	clients.Wait()
	k.powerCycle()
	for rand.IntN(2) == 0 {
		k.again++
		k.fall(rand.IntN(2) == 0)
	}
}

// fall starts the server and takes it down at any moment of its start, with the power or without.
func (k *powerCut) fall(power bool) {
	k.t.Helper()
	cmd := k.command()
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
	kill := func() { _ = cmd.Process.Kill() } // it may have ended by itself
	if !power {
		kill()
		_ = cmd.Wait() // it was killed
		return
	}
	k.disk.cut(func() {
		kill()
		if k.cluster != nil {
			k.cluster.signal()
		}
	})
	_ = cmd.Wait() // it was killed
	k.powerCycle()
}

// pieces pushes an image piece by piece, attaches a referrer to it, and sometimes deletes a tag.
func (k *powerCut) pieces(_ context.Context, t *testing.T, _ *wire, id, n int) error {
	image, err := random.Image(int64(1+rand.IntN(200_000)), 1) // layers on both sides of what the catalog keeps itself
	if err != nil {
		return &refusal{"", err.Error()}
	}
	layers, err := image.Layers()
	if err != nil {
		return &refusal{"", err.Error()}
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return &refusal{"", err.Error()}
	}
	manifest, err := image.RawManifest()
	if err != nil {
		return &refusal{"", err.Error()}
	}
	c := &pusher{powerCut: k, t: t, repository: fmt.Sprintf("ml/t/images/p%d", id)}
	layer := readLayer(t, layers[0])
	c.blob(config, n%3)
	c.blob(layer, (n+1)%3)
	c.tag(fmt.Sprintf("t%d", n%6), manifest)
	c.attach(manifest, config, n)
	if n%3 == 0 {
		c.untag(fmt.Sprintf("t%d", (n+2)%6))
	}
	return c.err
}

// look gives everything that the clients change as the server has it now.
func (k *powerCut) look(t *testing.T) map[string]string {
	t.Helper()
	seen := k.torture.look(t)
	var mu sync.Mutex
	var readers sync.WaitGroup
	things := make(chan string)
	for range 4 {
		readers.Go(func() {
			for thing := range things {
				got := k.fetch(t, strings.Fields(thing))
				mu.Lock()
				seen[thing] = got
				mu.Unlock()
			}
		})
	}
	for thing := range k.states {
		if kind, _, _ := strings.Cut(thing, " "); kind == "blob" || kind == "manifest" || kind == "referrer" {
			things <- thing
		}
	}
	close(things)
	readers.Wait()
	for id := range 4 {
		k.lookAtTags(t, fmt.Sprintf("ml/t/images/p%d", id), seen)
	}
	k.rechecks += len(seen)
	return seen
}

// fetch reads what a thing names and gives its state: "blob REPOSITORY DIGEST", "manifest REPOSITORY DIGEST", "referrer REPOSITORY
// SUBJECT DIGEST".
func (k *powerCut) fetch(t *testing.T, thing []string) string {
	path := "/v2/" + thing[1] + "/" + thing[0] + "s/" + thing[2]
	status, body, err := k.call(t, http.MethodGet, path, "", nil)
	switch {
	case err != nil:
		return "damaged: " + err.Error()
	case status == http.StatusNotFound:
		return ""
	case status != http.StatusOK:
		return fmt.Sprintf("damaged: status %d", status)
	case thing[0] != "referrer":
		return "sha256:" + digestOf(body)
	case strings.Contains(string(body), thing[3]):
		return "there"
	}
	return ""
}
