// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/uuid"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
)

// The torture: many clients change things at once, the server is killed at any moment, starts again, and everything that it had
// acknowledged must be there, everything else whole or absent, and no request may run twice.
const (
	tortureRounds = 10
	environments  = 2
	roles         = 6
)

type torture struct {
	*installation
	*ledger
	mu    sync.Mutex
	sent  []sent   // requests to repeat
	wrong []string // what clients saw that must not be

	shared *wire // the session of everybody, where many logins would take too long
}

// sent is a request that may be repeated.
type sent struct {
	session *wire
	request string
	text    string
	queryID string // of the answer; "" when it was lost
}

func TestKills(t *testing.T) {
	t.Parallel()
	k := &torture{installation: newInstallation(t), ledger: newLedger()}
	k.found(t)
	lostAnswers, repeated := 0, 0
	for round := range tortureRounds {
		p := k.start()
		lostAnswers += k.work(t, p, round)
		k.start()
		repeated += k.repeat(t, round)
		for _, line := range append(k.compare(k.look(t)), k.wrong...) {
			t.Errorf("round %d: %s", round, line)
		}
		if t.Failed() {
			t.FailNow()
		}
		k.last.kill()
	}
	blobs := k.rehash(t)
	t.Logf("%d changes acknowledged, %d answers lost, %d requests repeated, %d blobs read", k.acks, lostAnswers, repeated, blobs)
	if k.acks < 20*tortureRounds || lostAnswers < tortureRounds || repeated < tortureRounds || blobs < tortureRounds {
		t.Errorf("that is too little to tell anything")
	}
	k.tamper(t)
}

// found makes what the clients work on.
func (k *torture) found(t *testing.T) {
	t.Helper()
	p := k.start()
	w := k.session(t)
	for _, text := range []string{
		"CREATE DATABASE ml", "CREATE SCHEMA ml.t", "CREATE IMAGE REPOSITORY ml.t.images", "CREATE STAGE ml.t.files",
		"CREATE COMPUTE POOL pool MIN_NODES = 1 MAX_NODES = 1 INSTANCE_FAMILY = CPU_X64_S",
	} {
		k.must(t, w, text)
	}
	for i := range roles {
		k.must(t, w, fmt.Sprintf("CREATE ROLE r_%d", i))
	}
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(k.tag(t, "job", "v1"), image, k.auth(), remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	if code := p.stop(); code != 0 {
		t.Fatalf("exit code %d: %s", code, p.log)
	}
	// What CREATE makes after a check by a container, of which there is none here.
	store, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(k.dir, "firn.db"), sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = store.Update(t.Context(), func(tx catalog.Tx) error {
		for i := range environments {
			name := fmt.Sprintf("E_%d", i)
			err := tx.CreateObject(&catalog.Object{Kind: catalog.KindRuntimeEnvironment, Name: catalog.Name{Object: name}, Owner: catalog.RoleAccountAdmin,
				Spec: &catalog.RuntimeEnvironmentSpec{Status: catalog.Resolved, Path: "/ml/t/images/job:v1", BaseType: "CPU"}})
			if err != nil {
				return err
			}
			k.acknowledged("environment "+name, string(catalog.Resolved))
		}
		return nil
	})
	if err = errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
}

func (k *torture) session(t *testing.T) *wire {
	t.Helper()
	if k.shared != nil {
		return k.shared
	}
	w, err := login(t.Context(), "http://"+k.host, adminUser, k.password().Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (k *torture) must(t *testing.T, w *wire, text string) *reply {
	t.Helper()
	r, err := w.query(t.Context(), uuid.NewString(), text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

func (k *torture) tag(t *testing.T, image, tag string) name.Tag {
	t.Helper()
	ref, err := name.NewTag(k.host+"/ml/t/images/"+image+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func (k *torture) auth() remote.Option {
	if k.shared != nil {
		return remote.WithAuth(&authn.Bearer{Token: k.shared.token})
	}
	return remote.WithAuth(&authn.Basic{Username: adminUser, Password: k.password().Reveal()})
}

// work lets the clients change things until the server is killed, and gives how many answers were lost.
func (k *torture) work(t *testing.T, p *process, round int) int {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients sync.WaitGroup
	lostAnswers := make(chan bool, 32)
	for id, change := range []func(context.Context, *testing.T, *wire, int, int) error{
		k.stages, k.stages, k.grants, k.alterations, k.pushes, k.pushes, k.uploads, k.uploads, k.submissions,
	} {
		w := k.session(t)
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				err := change(ctx, t, w, id, round*1000+n)
				if lost(err) {
					lostAnswers <- true
					return
				}
				if err != nil {
					k.complain("client %d: %v", id, err)
					return
				}
			}
		})
	}
	// Any moment: between the first changes and some hundred later.
	time.Sleep(time.Duration(100+mathrand.IntN(700)) * time.Millisecond)
	p.kill()
	stop()
	clients.Wait()
	return len(lostAnswers)
}

func (k *torture) complain(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wrong = append(k.wrong, fmt.Sprintf(format, args...))
}

// change runs a statement that puts a thing into a state.
func (k *torture) change(ctx context.Context, w *wire, thing, to, text string) error {
	request := uuid.NewString()
	k.begin(thing, to)
	r, err := w.query(context.WithoutCancel(ctx), request, text)
	s := sent{session: w, request: request, text: text}
	if err == nil {
		s.queryID = r.QueryID
		k.acknowledged(thing, to)
	}
	k.mu.Lock()
	k.sent = append(k.sent, s)
	k.mu.Unlock()
	return err
}

func (k *torture) stages(ctx context.Context, _ *testing.T, w *wire, id, n int) error {
	name := fmt.Sprintf("ST_%d_%d", id, n%20)
	if k.present("stage " + name) {
		return k.change(ctx, w, "stage "+name, "", "DROP STAGE ml.t."+name)
	}
	return k.change(ctx, w, "stage "+name, "there", "CREATE STAGE ml.t."+name)
}

func (k *torture) grants(ctx context.Context, _ *testing.T, w *wire, _, n int) error {
	role := fmt.Sprintf("R_%d", n%roles)
	if k.present("grant " + role) {
		return k.change(ctx, w, "grant "+role, "", "REVOKE USAGE ON DATABASE ml FROM ROLE "+role)
	}
	return k.change(ctx, w, "grant "+role, "USAGE", "GRANT USAGE ON DATABASE ml TO ROLE "+role)
}

func (k *torture) alterations(ctx context.Context, _ *testing.T, w *wire, _, n int) error {
	name, status := fmt.Sprintf("E_%d", n%environments), []string{"RESOLVED", "DEPRECATED"}[n/environments%2]
	return k.change(ctx, w, "environment "+name, status, "ALTER CUSTOM RUNTIME ENVIRONMENT "+name+" SET CRE_STATUS = "+status)
}

func (k *torture) submissions(ctx context.Context, _ *testing.T, w *wire, _, n int) error {
	name := fmt.Sprintf("J_%d", n)
	return k.change(ctx, w, "job "+name, "PENDING", "EXECUTE JOB SERVICE IN COMPUTE POOL pool NAME = ml.t."+name+" ASYNC = TRUE FROM SPECIFICATION "+
		"$$ {\"spec\": {\"containers\": [{\"name\": \"c\", \"image\": \"/ml/t/images/job:v1\"}]}} $$")
}

func (k *torture) pushes(_ context.Context, t *testing.T, _ *wire, id, n int) error {
	image, err := random.Image(int64(1+mathrand.IntN(200_000)), int64(1+mathrand.IntN(4)))
	if err != nil {
		return &refusal{"", err.Error()}
	}
	digest, err := image.Digest()
	if err != nil {
		return &refusal{"", err.Error()}
	}
	tag := k.tag(t, fmt.Sprintf("i%d", id), fmt.Sprintf("t%d", n%8)) // tags move, too
	thing := "image " + tag.RepositoryStr() + ":" + tag.TagStr()
	k.begin(thing, digest.String())
	// One try: what a client repeats by itself would hide what one request does.
	err = remote.Write(tag, image, k.auth(), remote.WithContext(t.Context()), remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
	if refused, ok := errors.AsType[*transport.Error](err); ok {
		return &refusal{fmt.Sprint(refused.StatusCode), refused.Error()}
	}
	if err == nil {
		k.acknowledged(thing, digest.String())
	}
	return err
}

func (k *torture) uploads(ctx context.Context, _ *testing.T, w *wire, id, n int) error {
	content := make([]byte, mathrand.IntN(300_000))
	_, _ = rand.Read(content) // never fails
	name := fmt.Sprintf("f%d", n%10)
	thing, to := fmt.Sprintf("file files/u%d/%s", id, name), digestOf(content)
	k.begin(thing, to)
	err := w.put(context.WithoutCancel(ctx), uuid.NewString(), fmt.Sprintf("@ml.t.files/u%d", id), name, bytes.NewReader(content), int64(len(content)))
	if err == nil {
		k.acknowledged(thing, to)
	}
	return err
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// repeat sends requests again, as clients do whose answer was lost: all whose answer was lost in the last round, and some others.
// An acknowledged one gives the answer from before. One that was cut off may have happened or not, and then the answer says so; it
// never runs a second time. It gives how many it sent.
func (k *torture) repeat(t *testing.T, round int) int {
	t.Helper()
	n := 0
	for i, s := range k.sent {
		if s.queryID != "" && i < len(k.sent)-20 && i%7 != 0 {
			continue
		}
		n++
		var r *reply
		err := retry(t.Context(), func() (err error) {
			r, err = s.session.query(t.Context(), s.request, s.text)
			return err
		})
		refused, isRefused := errors.AsType[*refusal](err)
		switch {
		case s.queryID != "" && (err != nil || r.QueryID != s.queryID):
			t.Errorf("round %d: repeated %q gives query %v and %v, gave %s", round, s.text, r, err, s.queryID)
		case isRefused && (refused.code == "002002" || refused.code == "002003" || strings.Contains(refused.text, "already exists")):
			t.Errorf("round %d: %q ran twice: %v", round, s.text, err)
		case err != nil && !isRefused:
			t.Errorf("round %d: repeated %q: %v", round, s.text, err)
		}
	}
	k.sent = nil
	return n
}
