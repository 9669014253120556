// SPDX-License-Identifier: Apache-2.0

package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/catalogtest"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry"
	"firn.dev/firn/internal/sweep"
)

// race is clients that push, mount, tag, untag, delete and pull while garbage is collected all the time. Each client knows what
// was acknowledged to it, and looks whether it is there.
type race struct {
	*world
	grace     time.Duration
	strangers bool // what is attached is about nothing that exists: the control of referrers

	mu     sync.Mutex
	damage []string
	done   map[string]int // what the clients did
}

func (r *race) did(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done[what]++
}

func (r *race) complain(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.damage = append(r.damage, what+": "+err.Error())
}

// racer is one client. Nobody else moves or deletes its tags.
type racer struct {
	*race
	name   string
	random *rand.Rand
	tags   map[string]picture // by image and tag
}

// picture is an image that was pushed.
type picture struct {
	image, digest string
	blobs         [][]byte
}

// pick gives the content of a blob out of few, so that all clients push the same ones again and again.
func (c *racer) pick() []byte {
	n := c.random.IntN(12)
	size := large
	if n%3 == 0 {
		size = 100
	}
	return content(fmt.Sprintf("blob %d", n), size)
}

func (c *racer) image() string { return []string{"a", "b", "c/d"}[c.random.IntN(3)] }

// complainInTime complains, unless what began then took so long that a lease may have ended in between.
func (c *racer) complainInTime(began time.Time, what string, err error) {
	if time.Since(began) < c.grace/2 {
		c.complain(what, err)
	}
}

// draw pushes an image; the tag may be "". It gives up, without complaint, when it took longer than a lease.
func (c *racer) draw(tag, subject string) (picture, []byte, bool) {
	p := picture{image: c.image(), blobs: [][]byte{c.pick(), c.pick(), content(c.name+fmt.Sprint(c.random.Uint32()), 50)}}
	began := time.Now()
	failed := func(err error) (picture, []byte, bool) {
		c.complainInTime(began, "push", err)
		return p, nil, false
	}
	for _, b := range p.blobs {
		if err := c.pushBlob(p.image, b, c.random.IntN(2), []string{"", c.image()}[c.random.IntN(2)]); err != nil {
			return failed(err)
		}
	}
	m := document(subject, p.blobs[0], p.blobs[1:]...)
	p.digest = digestOf(m)
	if err := c.pushManifest(p.image, tag, m); err != nil {
		return failed(err)
	}
	c.did("push")
	return p, m, true
}

// look pulls a picture, which must be there.
func (c *racer) look(what string, p picture) {
	if err := c.pull(p.image, p.digest, p.blobs...); err != nil {
		c.complain(what, err)
	}
	c.did(what)
}

// step does one thing at random.
func (c *racer) step(ctx context.Context) {
	switch c.random.IntN(24) {
	default:
		tag := fmt.Sprintf("%s-%d", c.name, c.random.IntN(3))
		if p, _, ok := c.draw(tag, ""); ok {
			c.tags[p.image+":"+tag] = p
			c.look("pull after push", p)
		}
	case 2, 3, 4, 5:
		for _, p := range c.tags {
			c.look("pull of a tag", p)
			break
		}
	case 6, 7, 8, 9:
		for at, p := range c.tags {
			_, tag, _ := strings.Cut(at, ":")
			if a := c.do("DELETE", v2+p.image+"/manifests/"+tag, nil); a.status != 202 {
				c.complain("untag", fmt.Errorf("%d %s", a.status, a.body))
			}
			delete(c.tags, at)
			c.did("untag")
			break
		}
	case 0:
		c.attach(ctx)
	case 1:
		c.hold(ctx)
	}
}

// attach pushes an index under a tag, a child that only it names, and something about the child; after some time all are there.
func (c *racer) attach(ctx context.Context) {
	began := time.Now()
	child, body, ok := c.draw("", "")
	if !ok {
		return
	}
	tag := c.name + "-index"
	if err := c.pushManifest(child.image, tag, index(body)); err != nil {
		c.complainInTime(began, "push of an index", err)
		return
	}
	subject := child.digest
	if c.strangers {
		subject = digestOf([]byte("nothing"))
	}
	began = time.Now()
	blobs := [][]byte{content("sbom "+c.name, 60), content("about "+child.digest, 80)}
	for i, b := range blobs {
		if err := c.pushBlob(child.image, b, i, ""); err != nil {
			c.complainInTime(began, "push of an attachment", err)
			return
		}
	}
	m := document(subject, blobs[0], blobs[1:]...)
	if err := c.pushManifest(child.image, "", m); err != nil {
		c.complainInTime(began, "push of an attachment", err)
		return
	}
	c.rest(ctx)
	c.look("pull of a child", child)
	c.look("pull of an attachment", picture{child.image, digestOf(m), blobs})
	if a := c.do("DELETE", v2+child.image+"/manifests/"+tag, nil); a.status != 202 {
		c.complain("untag an index", fmt.Errorf("%d %s", a.status, a.body))
	}
}

// hold gives an image to an environment and takes its tag; after some time the image is there.
func (c *racer) hold(ctx context.Context) {
	tag := c.name + "-held"
	p, _, ok := c.draw(tag, "")
	if !ok {
		return
	}
	o := &catalog.Object{Kind: catalog.KindRuntimeEnvironment, Name: catalog.Name{Object: c.name}, Spec: &catalog.RuntimeEnvironmentSpec{
		Repository: c.repo, Image: p.image, Digest: p.digest, TagDigest: p.digest,
	}}
	if err := c.store.Update(ctx, func(tx catalog.Tx) error { return tx.CreateObject(o) }); err != nil {
		c.complain("create an environment", err)
		return
	}
	if a := c.do("DELETE", v2+p.image+"/manifests/"+tag, nil); a.status != 202 {
		c.complain("untag a held image", fmt.Errorf("%d %s", a.status, a.body))
	}
	c.rest(ctx)
	c.look("pull of a held image", p)
	if err := c.store.Update(ctx, func(tx catalog.Tx) error { return tx.DropObject(o.ID) }); err != nil {
		c.complain("drop an environment", err)
	}
}

// rest waits longer than a lease lasts.
func (c *racer) rest(ctx context.Context) {
	select {
	case <-time.After(c.grace + c.grace/2):
	case <-ctx.Done():
	}
}

// run lets the clients race a sweeper until enough has happened, and gives the damage. Then it removes all tags.
func (r *race) run(t *testing.T, s *sweep.Sweeper, enough func() bool) []string {
	t.Helper()
	r.done = map[string]int{}
	ctx, stop := context.WithTimeout(context.WithoutCancel(t.Context()), 90*time.Second)
	defer stop()
	var clients, collector sync.WaitGroup
	racers := make([]*racer, 6)
	for i := range racers {
		racers[i] = &racer{race: r, name: fmt.Sprintf("C%d", i), random: rand.New(rand.NewPCG(uint64(i), 1)), tags: map[string]picture{}}
		clients.Go(func() {
			for ctx.Err() == nil {
				racers[i].step(context.WithoutCancel(ctx))
			}
		})
	}
	over := make(chan struct{})
	collector.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			result, err := s.Collect(context.WithoutCancel(ctx))
			if err != nil && !errs.Is(err, errs.Conflict) {
				r.complain("collect", errors.Join(err, context.Cause(ctx)))
			}
			r.mu.Lock()
			r.done["collected"] += result.Manifests + result.Links + result.Blobs
			if enough() {
				stop()
			}
			r.mu.Unlock()
		}
	})
	clients.Wait()
	close(over)
	collector.Wait()
	for _, c := range racers {
		for at, p := range c.tags {
			c.look("pull at the end", p)
			_, tag, _ := strings.Cut(at, ":")
			r.do("DELETE", v2+p.image+"/manifests/"+tag, nil)
		}
	}
	t.Logf("%v", r.done)
	return r.damage
}

// TestRace: while garbage is collected without a pause, everything that was acknowledged is there; and at the end all garbage goes.
func TestRace(t *testing.T) {
	t.Parallel()
	const grace = 400 * time.Millisecond
	for name, source := range catalogtest.Databases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &race{world: newWorld(t, source(t), grace), grace: grace}
			missing := func() (what string) {
				for what, times := range map[string]int{"push": 60, "pull of a tag": 10, "untag": 10, "pull of an attachment": 5, "pull of a held image": 5, "collected": 60} {
					if r.done[what] < times {
						return what
					}
				}
				return ""
			}
			for i, d := range r.run(t, r.sweeper(grace), func() bool { return missing() == "" || len(r.damage) > 0 }) {
				if i < 10 {
					t.Error(d)
				}
			}
			if what := missing(); what != "" {
				t.Errorf("clients came too seldom to: %s", what)
			}
			r.ahead.Add(int64(day))
			must[sweep.Result](t)(r.sweeper(grace).Collect(t.Context()))
			if n := r.objects(t, registry.KeyPrefix); n != 0 {
				t.Errorf("%d objects are left", n)
			}
			err := r.store.View(t.Context(), func(tx catalog.Tx) error {
				for b, err := range tx.BlobsAfter("", 10) {
					t.Errorf("blob %v is left: %v", b, err)
				}
				for m, err := range tx.ManifestsAfter(catalog.Unused{}, 10) {
					t.Errorf("manifest %v is left: %v", m.Digest, err)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// forgets is a catalog in which nobody holds an image.
type forgets struct{ catalog.Store }

type forgetsHolders struct{ catalog.Tx }

func (forgetsHolders) RenewHeld(time.Time) error { return nil }

func (f forgets) Update(ctx context.Context, fn func(catalog.Tx) error) error {
	return f.Store.Update(ctx, func(tx catalog.Tx) error { return fn(forgetsHolders{tx}) })
}

// TestRaceSeesDamage takes one protection away at a time, which TestRace must notice.
func TestRaceSeesDamage(t *testing.T) {
	t.Parallel()
	const grace = 400 * time.Millisecond
	for name, tt := range map[string]struct {
		change func(r *race, o *sweep.Options)
		want   string // begins what was damaged
	}{
		"no lease":     {func(r *race, o *sweep.Options) { o.Grace, r.grace = -time.Hour, 3*time.Second }, "push"},
		"no holders":   {func(_ *race, o *sweep.Options) { o.Catalog = forgets{o.Catalog} }, "pull of a held image"},
		"no referrers": {func(r *race, _ *sweep.Options) { r.strangers = true }, "pull of an attachment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &race{world: newWorld(t, catalogtest.SQLite(t), grace), grace: grace}
			o := r.options(grace)
			tt.change(r, &o)
			seen := func() bool {
				return slices.ContainsFunc(r.damage, func(d string) bool { return strings.HasPrefix(d, tt.want) })
			}
			damage := r.run(t, sweep.New(o), seen)
			if seen() {
				return
			}
			t.Errorf("no damage of the kind %q was seen, but %.2000q", tt.want, damage)
		})
	}
}
