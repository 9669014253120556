// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// soakEnv says for how long TestSoak goes on: "10m". Without it, a few seconds.
const soakEnv = "FIRN_TEST_SOAK"

// soak is clients that push, pull, tag and delete images of a real server at random, while it collects garbage all the time and is
// killed at any moment.
type soak struct {
	*torture
	layers []v1.Layer   // that many images share
	phase  atomic.Int64 // odd while the server is down

	counts sync.Mutex
	did    map[string]int
}

func (s *soak) note(what string) {
	s.counts.Lock()
	defer s.counts.Unlock()
	s.did[what]++
}

// TestSoak: after some time of everything at once, with servers that are killed and collections beside them, each tag leads to the
// image that was acknowledged, whole, and `firnd check` finds nothing.
func TestSoak(t *testing.T) {
	t.Parallel()
	length := 8 * time.Second
	if text := os.Getenv(soakEnv); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", soakEnv, err)
		}
	}
	places := map[string]place{"directory and SQLite": {}}
	if p, ok := shared(t); ok {
		places["S3 and PostgreSQL"] = p
	}
	for name, p := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSoak(t, p)
			collected := s.work(t, length)
			for stopped, what := range []string{"a running server", "a stopped server"} {
				if stopped == 1 && s.last.stop() != 0 {
					t.Errorf("the server stops badly: %s", s.last.log)
				}
				if code, out := s.run(t, "check"); code != 0 || !strings.Contains(out, "nothing is lost or damaged") {
					t.Errorf("check of %s: exit code %d\n%s", what, code, out)
				}
			}
			t.Logf("%v; %d changes acknowledged, %d tags at the end", s.did, s.acks, len(s.states))
			for _, line := range s.wrong {
				t.Error(line)
			}
			if !collected {
				t.Error("no server shows a collection that removed a manifest")
			}
			for _, what := range []string{"push", "pull", "gc command", "kill"} {
				if s.did[what] == 0 {
					t.Errorf("nobody came to: %s", what)
				}
			}
		})
	}
}

func newSoak(t *testing.T, p place) *soak {
	t.Helper()
	i := newInstallation(t, "--gc-interval", "200ms", "--gc-grace", "3s")
	i.place = p
	s := &soak{torture: &torture{installation: i, ledger: newLedger()}, did: map[string]int{}}
	for i := range 8 {
		layer, err := random.Layer(int64(1000<<(i%4*3)), "application/vnd.oci.image.layer.v1.tar+gzip")
		if err != nil {
			t.Fatal(err)
		}
		s.layers = append(s.layers, layer)
	}
	s.start()
	w := s.session(t)
	for _, text := range []string{"CREATE DATABASE ml", "CREATE SCHEMA ml.t", "CREATE IMAGE REPOSITORY ml.t.images"} {
		s.must(t, w, text)
	}
	s.shared = w
	return s
}

// work lets all clients work for some time, until something is collected and then with a server that is killed again and again, and looks
// at every tag at the end. It tells whether anything was collected.
func (s *soak) work(t *testing.T, length time.Duration) (collected bool) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	for id := range 5 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				s.client(t, id, n)
			}
		})
	}
	all.Go(func() {
		for ctx.Err() == nil {
			s.collect(t)
		}
	})
	end := time.Now().Add(length)
	for late := time.Now().Add(patience); !collected && time.Now().Before(late); time.Sleep(100 * time.Millisecond) {
		_, page := get(t, "http://"+s.host+"/metrics")
		collected = strings.Contains(page, `firn_gc_runs_total{outcome="success"}`) && strings.Contains(page, `firn_gc_removed_total{what="manifest"}`)
	}
	for first := true; first || time.Now().Before(end); first = false {
		time.Sleep(min(time.Until(end), time.Duration(500+rand.IntN(15_000))*time.Millisecond))
		s.phase.Add(1)
		s.last.kill()
		s.start()
		s.phase.Add(1)
		s.note("kill")
	}
	time.Sleep(time.Second) // with the last server, too
	stop()
	all.Wait()
	seen := map[string]string{}
	s.lookAtImages(t, s.shared, seen)
	s.wrong = append(s.wrong, s.compare(seen)...)
	return collected
}

// collect runs firnd gc. After a kill nobody else may collect for a minute: the killed server may have been at it.
func (s *soak) collect(t *testing.T) {
	code, out := s.run(t, "gc", "--gc-grace", "3s")
	switch {
	case strings.Contains(out, "is done by"):
		s.note("gc command that had to wait")
		time.Sleep(100 * time.Millisecond)
	case code != 0:
		s.complain("gc command: %s", out)
	default:
		s.note("gc command")
	}
}

// try makes a change of a tag, or a pull, and tells whether it was acknowledged. It may fail when the server was down meanwhile.
func (s *soak) try(what string, do func() error) (done, disturbed bool) {
	before := s.phase.Load()
	err := do()
	disturbed = before%2 == 1 || s.phase.Load() != before
	switch {
	case err == nil:
		s.note(what)
	case disturbed:
		s.note(what + " that was cut off")
	default:
		s.complain("%s: %v", what, err)
	}
	return err == nil, disturbed
}

// client pushes an image under a tag of its own, pulls it whole, and sometimes takes it away.
func (s *soak) client(t *testing.T, id, n int) {
	for s.phase.Load()%2 == 1 {
		time.Sleep(time.Millisecond)
	}
	options := []remote.Option{s.auth(), remote.WithContext(t.Context()), remote.WithRetryBackoff(remote.Backoff{Steps: 1}), remote.WithRetryStatusCodes()}
	ref := s.tag(t, fmt.Sprintf("i%d", rand.IntN(3)), fmt.Sprintf("c%d-%d", id, n%4))
	image, err := random.Image(500, 1)
	if err == nil {
		image, err = mutate.AppendLayers(image, s.layers[rand.IntN(len(s.layers))], s.layers[rand.IntN(len(s.layers))])
	}
	digest, hashErr := image.Digest()
	if err = errors.Join(err, hashErr); err != nil {
		t.Error(err)
		return
	}
	thing := "image " + ref.RepositoryStr() + ":" + ref.TagStr()
	s.begin(thing, digest.String())
	began := time.Now()
	pushed, _ := s.try("push", func() error {
		err := remote.Write(ref, image, options...)
		if err != nil && time.Since(began) > 2*time.Second {
			s.note("push that took longer than the grace")
			return nil
		}
		if err == nil {
			s.acknowledged(thing, digest.String())
		}
		return err
	})
	if !pushed || !s.present(thing) {
		return
	}
	pull := func() error {
		pulled, err := remote.Image(ref, options...)
		if err == nil {
			err = validate.Image(pulled)
		}
		return err
	}
	for done, disturbed := s.try("pull", pull); !done && disturbed; done, disturbed = s.try("pull", pull) {
		time.Sleep(10 * time.Millisecond)
	}
	change := func(what string, ref name.Reference) {
		s.begin(thing, "")
		s.try(what, func() error {
			err := remote.Delete(ref, options...)
			if err == nil {
				s.acknowledged(thing, "")
			}
			return err
		})
	}
	switch rand.IntN(5) {
	case 1, 2:
		change("untag", ref)
	case 3:
		change("delete", ref.Digest(digest.String()))
	}
}

// TestDamage damages a layer of a server: check tells and fails, repair moves it aside, and pushing again heals it.
func TestDamage(t *testing.T) {
	t.Parallel()
	s := newInstallation(t)
	s.start()
	for _, text := range []string{"CREATE DATABASE ml", "CREATE SCHEMA ml.t", "CREATE IMAGE REPOSITORY ml.t.images"} {
		mustQuery(t.Context(), t, s.connect(), text)
	}
	ref, err := name.NewTag(s.host+"/ml/t/images/app:v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(100<<10, 2)
	if err != nil {
		t.Fatal(err)
	}
	options := []remote.Option{remote.WithAuth(&authn.Basic{Username: adminUser, Password: s.password().Reveal()}), remote.WithContext(t.Context())}
	if err := remote.Write(ref, image, options...); err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	k := &torture{installation: s}
	path := ""
	s.last.kill()
	k.eachBlob(t, func(_ *sql.DB, d, key string, _ []byte) {
		if d == digest.String() {
			path = k.file(key)
		}
	})
	s.start()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[1000] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	want := func(code int, parts []string, args ...string) {
		t.Helper()
		got, out := s.run(t, args...)
		for _, part := range parts {
			if got != code || !strings.Contains(out, part) {
				t.Errorf("%v: exit code %d, want %d with %q:\n%s", args, got, code, part, out)
			}
		}
	}
	want(1, []string{"damaged: blob " + digest.String(), "needed by /ml/t/images/app:v1", "firnd check --repair"}, "check")
	want(1, []string{"moved to quarantine/registry/"}, "check", "--repair")
	want(1, []string{"lost: blob " + digest.String(), "1 in quarantine"}, "check")
	if err := remote.Write(ref, image, options...); err != nil {
		t.Fatal(err)
	}
	want(0, []string{"nothing is lost or damaged"}, "check")
	if pulled, err := remote.Image(ref, options...); err != nil || validate.Image(pulled) != nil {
		t.Errorf("the healed image: %v", err)
	}
	want(0, []string{"would remove 0 manifests, 0 layers and configs"}, "gc", "--dry-run")
	want(1, []string{"there is no database"}, "check", "--database", "sqlite:"+path+"/missing")
	want(2, []string{"gc-grace 'soon' is no time"}, "gc", "--gc-grace", "soon")
}
