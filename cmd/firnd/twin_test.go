// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// twins are two servers over one PostgreSQL and one bucket, and clients that go to the other one when theirs gives no answer.
type twins struct {
	*torture // of the first
	both     [2]*installation

	moved   atomic.Int64 // requests that went on at the other one
	resumed atomic.Int64 // uploads that went on at the other one with what they had
	waited  atomic.Int64 // requests that were told that another server writes to the upload, which was dead
}

// TestTwinsKilled kills one of two servers in the middle of pushes, again and again, one or the other: clients go on at the other one
// with the uploads that they have begun, and nothing that either has acknowledged is lost at either.
func TestTwinsKilled(t *testing.T) {
	t.Parallel()
	p, ok := shared(t)
	if !ok {
		t.Skip("not tested with two servers: FIRN_TEST_POSTGRES and FIRN_TEST_S3 name none; make test starts them")
	}
	k := &twins{both: [2]*installation{newInstallation(t), newInstallation(t)}}
	for _, i := range k.both {
		i.place = p
		i.start()
	}
	k.torture = &torture{installation: k.both[0], ledger: newLedger()}
	w := k.session(t)
	for _, text := range []string{"CREATE DATABASE ml", "CREATE SCHEMA ml.t", "CREATE IMAGE REPOSITORY ml.t.images"} {
		k.must(t, w, text)
	}
	k.shared = w
	const rounds = 6
	for round := range rounds {
		k.round(t, round, round == rounds-1)
	}
	t.Logf("%d changes acknowledged, %d requests went on at the other server, %d uploads with what they had, %d requests waited for a dead server",
		k.acks, k.moved.Load(), k.resumed.Load(), k.waited.Load())
	for _, line := range append(k.wrong, k.lookAtBoth(t)...) {
		t.Error(line)
	}
	for _, i := range k.both {
		if code, out := i.run(t, "check"); code != 0 {
			t.Errorf("firnd check: %s", out)
		}
	}
	if k.acks < 50*rounds || k.resumed.Load() < rounds/2 || k.moved.Load() < 2*rounds {
		t.Error("that is too little to tell anything")
	}
}

// round lets clients push, half of them to each server, and kills one in the midst of it. It comes back soon, or only when the other
// one has done all that was begun.
func (k *twins) round(t *testing.T, round int, alone bool) {
	t.Helper()
	before, victim := k.acknowledgements(), k.both[round%2]
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients sync.WaitGroup
	for id := range 8 {
		c := &twinClient{twins: k, t: t, at: id % 2, repository: fmt.Sprintf("ml/t/images/i%d", id)}
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := c.push(t.Context(), round*1000+n); err != nil {
					k.complain("client %d: %v", id, err)
					return
				}
			}
		})
	}
	wait := func(acks int) {
		for end := time.Now().Add(patience); k.acknowledgements() < before+acks && time.Now().Before(end); {
			time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
		}
	}
	wait(30 + rand.IntN(30))
	victim.last.kill()
	if !alone {
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
		victim.start()
	}
	wait(80)
	stop()
	clients.Wait() // each ends the push that it is at
	if alone {
		victim.start()
	}
}

// lookAtBoth reads all that was acknowledged at both servers.
func (k *twins) lookAtBoth(t *testing.T) (wrong []string) {
	t.Helper()
	for at := range k.both {
		c := &twinClient{twins: k, t: t, at: at}
		seen := map[string]string{}
		for thing := range k.states {
			kind, rest, _ := strings.Cut(thing, " ")
			repository, reference, _ := strings.Cut(rest, " ")
			resp, body, err := c.once(t.Context(), http.MethodGet, "/v2/"+repository+"/"+kind+"s/"+reference, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode == http.StatusOK {
				seen[thing] = "sha256:" + digestOf(body)
			}
		}
		wrong = append(wrong, k.compare(seen)...)
	}
	return wrong
}

// twinClient pushes to one server until it is gone, and then to the other.
type twinClient struct {
	*twins
	t          *testing.T
	at         int
	repository string
}

// once makes a request at the server where the client is.
func (c *twinClient) once(ctx context.Context, method, path string, body []byte) (*http.Response, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.both[c.at].host+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.shared.token)
	r.Header.Set("Content-Type", "application/octet-stream")
	if method == http.MethodPut && strings.Contains(path, "/manifests/") {
		r.Header.Set("Content-Type", string(types.OCIManifestSchema1))
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp, answer, err
}

// send makes a request, and makes it again at the other server as long as there is no answer. moved tells whether that was so.
func (c *twinClient) send(ctx context.Context, method, path string, body []byte) (resp *http.Response, answer []byte, moved bool, err error) {
	for end := time.Now().Add(patience); ; {
		resp, answer, err = c.once(ctx, method, path, body)
		switch {
		case err == nil && resp.StatusCode == http.StatusConflict && strings.Contains(string(answer), "another request writes"):
			c.waited.Add(1) // until the server that died in the middle of it is given up
			time.Sleep(100 * time.Millisecond)
		case err == nil:
			return resp, answer, moved, nil
		default:
			moved = true
			c.moved.Add(1)
			c.at = 1 - c.at
		}
		if time.Now().After(end) {
			return nil, nil, moved, fmt.Errorf("%s %s: for a minute %w %s", method, path, err, answer)
		}
	}
}

// want makes a request that has to get a status, and may be made twice.
func (c *twinClient) want(ctx context.Context, status int, method, path string, body []byte) (*http.Response, error) {
	resp, answer, _, err := c.send(ctx, method, path, body)
	if err == nil && resp.StatusCode != status {
		err = &refusal{resp.Status, method + " " + path + ": " + string(answer)}
	}
	return resp, err
}

// push pushes an image of two blobs and moves a tag to it.
func (c *twinClient) push(ctx context.Context, n int) error {
	config, layer := fmt.Appendf(nil, `{"n": %d, "in": %q}`, n, c.repository), make([]byte, 200_000+rand.IntN(300_000))
	_, _ = cryptorand.Read(layer) // never fails
	for _, content := range [][]byte{config, layer} {
		if err := c.blob(ctx, content); err != nil {
			return err
		}
	}
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%d}]}`,
		types.OCIManifestSchema1, digestOf(config), len(config), digestOf(layer), len(layer))
	tag, digest := fmt.Sprintf("t%d", n%4), "sha256:"+digestOf(manifest)
	things := []string{"manifest " + c.repository + " " + tag, "manifest " + c.repository + " " + digest}
	for _, thing := range things {
		c.begin(thing, digest)
	}
	if _, err := c.want(ctx, http.StatusCreated, http.MethodPut, "/v2/"+c.repository+"/manifests/"+tag, manifest); err != nil {
		return err
	}
	for _, thing := range things {
		c.acknowledged(thing, digest)
	}
	return nil
}

// blob pushes content in chunks. When its server dies it asks the other one how far the upload has come, and goes on there.
func (c *twinClient) blob(ctx context.Context, content []byte) error {
	digest := "sha256:" + digestOf(content)
	thing, path := "blob "+c.repository+" "+digest, "/v2/"+c.repository+"/blobs/"
	c.begin(thing, digest)
	resp, err := c.want(ctx, http.StatusAccepted, http.MethodPost, path+"uploads/", nil)
	if err != nil {
		return err
	}
	at, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		return err
	}
	for done := 0; done < len(content); {
		chunk := content[done:min(done+1+rand.IntN(150_000), len(content))]
		resp, answer, err := c.once(ctx, http.MethodPatch, at.Path, chunk)
		switch {
		case err != nil:
			if done, err = c.goOn(ctx, at.Path, done, len(chunk)); err != nil {
				return err
			}
		case resp.StatusCode == http.StatusAccepted:
			done += len(chunk)
		case resp.StatusCode == http.StatusConflict:
			c.waited.Add(1)
			time.Sleep(100 * time.Millisecond)
		default:
			return &refusal{resp.Status, "PATCH " + at.Path + ": " + string(answer)}
		}
	}
	resp, answer, moved, err := c.send(ctx, http.MethodPut, at.Path+"?digest="+digest, nil)
	if err == nil && moved && resp.StatusCode != http.StatusCreated { // the server that died had ended the upload
		_, err = c.want(ctx, http.StatusOK, http.MethodHead, path+digest, nil)
	} else if err == nil && resp.StatusCode != http.StatusCreated {
		err = &refusal{resp.Status, "PUT " + at.Path + ": " + string(answer)}
	}
	if err != nil {
		return err
	}
	c.acknowledged(thing, digest)
	return nil
}

// goOn asks the other server how far an upload has come, of which an amount was acknowledged and a chunk is without an answer.
func (c *twinClient) goOn(ctx context.Context, path string, done, chunk int) (int, error) {
	c.at = 1 - c.at
	c.moved.Add(1)
	resp, answer, _, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return 0, err
	}
	last := 0
	if _, err := fmt.Sscanf(resp.Header.Get("Range"), "0-%d", &last); err != nil || resp.StatusCode != http.StatusNoContent {
		return 0, &refusal{resp.Status, "GET " + path + ": " + string(answer)}
	}
	have := last + 1
	if last == 0 && done == 0 {
		have = 0
	}
	if have != done && have != done+chunk {
		return 0, fmt.Errorf("upload %s was acknowledged up to %d, a chunk of %d was under way, and it goes on behind %d", path, done, chunk, have)
	}
	if have > 0 {
		c.resumed.Add(1)
	}
	return have, nil
}
