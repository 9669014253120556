// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// call makes one request to the registry, without any repetition.
func (k *powerCut) call(t *testing.T, method, path, contentType string, body []byte) (status int, answer []byte, err error) {
	resp, answer, err := k.exchange(t, method, path, contentType, body)
	if err != nil {
		return 0, nil, err
	}
	return resp.StatusCode, answer, nil
}

func (k *powerCut) exchange(t *testing.T, method, path, contentType string, body []byte) (*http.Response, []byte, error) {
	if !strings.HasPrefix(path, "http://") {
		path = "http://" + k.host + path
	}
	r, err := http.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+k.shared.token)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp, answer, err
}

// lookAtTags notes the tags that the list of an image has.
func (k *powerCut) lookAtTags(t *testing.T, repository string, seen map[string]string) {
	t.Helper()
	status, body, err := k.call(t, http.MethodGet, "/v2/"+repository+"/tags/list", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Tags []string }
	if status != http.StatusNotFound {
		if err := json.Unmarshal(body, &list); err != nil {
			t.Fatalf("tags of %s: %v: %s", repository, err, body)
		}
	}
	for _, tag := range list.Tags {
		seen["listed "+repository+":"+tag] = "there"
	}
}

func readLayer(t *testing.T, layer v1.Layer) []byte {
	r, err := layer.Compressed()
	if err != nil {
		t.Error(err)
		return nil
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return content
}

// pusher makes the requests of a push one by one, until one fails.
type pusher struct {
	*powerCut
	t          *testing.T
	repository string
	err        error
}

// send makes a request that has to get a status, and gives where the answer leads.
func (c *pusher) send(want int, method, path, contentType string, body []byte) (location string) {
	if c.err != nil {
		return ""
	}
	resp, answer, err := c.exchange(c.t, method, path, contentType, body)
	if err == nil && resp.StatusCode != want {
		err = &refusal{resp.Status, method + " " + path + ": " + string(answer)}
	}
	if c.err = err; err != nil {
		return ""
	}
	if location = resp.Header.Get("Location"); strings.HasPrefix(location, "/") {
		location = "http://" + c.host + location
	}
	return location
}

// change makes a request after which things are in other states.
func (c *pusher) change(want int, method, path, contentType string, body []byte, to map[string]string) {
	if c.err != nil {
		return
	}
	for thing, state := range to {
		c.begin(thing, state)
	}
	c.send(want, method, path, contentType, body)
	for thing, state := range to {
		if c.err == nil {
			c.acknowledged(thing, state)
		}
	}
}

// blob pushes content in one of the three ways that the specification has.
func (c *pusher) blob(content []byte, way int) {
	digest := "sha256:" + digestOf(content)
	uploads, to := "/v2/"+c.repository+"/blobs/uploads/", map[string]string{"blob " + c.repository + " " + digest: digest}
	if way == 0 {
		c.change(http.StatusCreated, http.MethodPost, uploads+"?digest="+digest, "application/octet-stream", content, to)
		return
	}
	at := c.send(http.StatusAccepted, http.MethodPost, uploads, "", nil)
	if way == 1 {
		half := len(content) / 2
		at = c.send(http.StatusAccepted, http.MethodPatch, at, "application/octet-stream", content[:half])
		content = content[half:]
	}
	separator := "?"
	if strings.Contains(at, "?") {
		separator = "&"
	}
	c.change(http.StatusCreated, http.MethodPut, at+separator+"digest="+digest, "application/octet-stream", content, to)
}

// uploaded is an upload that is begun, and goes on after the power was cut.
type uploaded struct {
	content []byte
	at      string // where it goes on
	done    int    // how much of it is acknowledged
	ending  bool   // its last request is sent: it may be over
	cut     bool   // the power was cut since
}

// resumes pushes a blob in many requests. After a cut it asks how far the upload has come: at least as far as it was acknowledged.
func (k *powerCut) resumes(_ context.Context, t *testing.T, _ *wire, id, _ int) error {
	c := &pusher{powerCut: k, t: t, repository: fmt.Sprintf("ml/t/images/p%d", id)}
	k.mu.Lock()
	u := k.halfway[id]
	if u == nil {
		u = &uploaded{content: make([]byte, 1000+rand.IntN(500_000))}
		_, _ = cryptorand.Read(u.content) // never fails
		k.halfway[id] = u
	}
	k.mu.Unlock()
	switch {
	case u.at == "":
		u.at = c.send(http.StatusAccepted, http.MethodPost, "/v2/"+c.repository+"/blobs/uploads/", "", nil)
	case u.cut && u.ending: // whether it has ended, its blob tells
		u.at, u.done, u.ending = c.send(http.StatusAccepted, http.MethodPost, "/v2/"+c.repository+"/blobs/uploads/", "", nil), 0, false
	case u.cut:
		c.goOn(u)
	}
	u.cut = true // unless this ends well
	for c.err == nil && u.done < len(u.content) {
		next := min(u.done+1000+rand.IntN(100_000), len(u.content))
		if at := c.send(http.StatusAccepted, http.MethodPatch, u.at, "application/octet-stream", u.content[u.done:next]); c.err == nil {
			u.at, u.done = at, next
		}
	}
	if c.err == nil {
		u.ending = true
		digest := "sha256:" + digestOf(u.content)
		c.change(http.StatusCreated, http.MethodPut, u.at+"?digest="+digest, "", nil, map[string]string{"blob " + c.repository + " " + digest: digest})
	}
	if c.err == nil {
		k.mu.Lock()
		delete(k.halfway, id)
		k.mu.Unlock()
	}
	return c.err
}

// goOn finds out how far an upload has come.
func (c *pusher) goOn(u *uploaded) {
	resp, answer, err := c.exchange(c.t, http.MethodGet, u.at, "", nil)
	if err != nil {
		c.err = err
		return
	}
	have := 0
	_, err = fmt.Sscanf(resp.Header.Get("Range"), "0-%d", &have)
	switch {
	case resp.StatusCode != http.StatusNoContent || err != nil:
		c.complain("an upload that was acknowledged up to %d does not go on: %s %s", u.done, resp.Status, answer)
	case have > 0 && have+1 < u.done, have == 0 && u.done > 0:
		c.complain("an upload that was acknowledged up to %d goes on behind %d", u.done, have)
	default:
		if have > 0 {
			have++
		}
		u.done = have
		c.resumed.Add(1)
	}
}

// tag puts a manifest under a tag, which may have named another.
func (c *pusher) tag(tag string, manifest []byte) {
	digest := "sha256:" + digestOf(manifest)
	c.change(http.StatusCreated, http.MethodPut, "/v2/"+c.repository+"/manifests/"+tag, string(types.DockerManifestSchema2), manifest, map[string]string{
		"manifest " + c.repository + " " + digest: digest, "image " + c.repository + ":" + tag: digest, "listed " + c.repository + ":" + tag: "there",
	})
}

// attach pushes a manifest about another one.
func (c *pusher) attach(subject, config []byte, n int) {
	about := "sha256:" + digestOf(subject)
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":"application/x-note","config":{"mediaType":"application/x-note","digest":"sha256:%s","size":%d},`+
		`"layers":[],"subject":{"mediaType":%q,"digest":%q,"size":%d},"annotations":{"n":"%d"}}`,
		types.OCIManifestSchema1, digestOf(config), len(config), types.DockerManifestSchema2, about, len(subject), n)
	digest := "sha256:" + digestOf(manifest)
	c.change(http.StatusCreated, http.MethodPut, "/v2/"+c.repository+"/manifests/"+digest, string(types.OCIManifestSchema1), manifest, map[string]string{
		"manifest " + c.repository + " " + digest: digest, "referrer " + c.repository + " " + about + " " + digest: "there",
	})
}

// untag deletes a tag that is there.
func (c *pusher) untag(tag string) {
	if c.present("image " + c.repository + ":" + tag) {
		c.change(http.StatusAccepted, http.MethodDelete, "/v2/"+c.repository+"/manifests/"+tag, "", nil, map[string]string{
			"image " + c.repository + ":" + tag: "", "listed " + c.repository + ":" + tag: "",
		})
	}
}
