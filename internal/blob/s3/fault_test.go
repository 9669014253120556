// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firn.dev/firn/internal/blob/s3"
	"firn.dev/firn/internal/blob/s3test"
	"firn.dev/firn/internal/errs"
)

// fault is one way in which a request goes wrong.
type fault int

const (
	none         fault = iota
	fail500            // not done
	slowDown           // not done: 503
	gateway            // not done: 502 without XML
	cutBefore          // not done, connection reset
	cutRequest         // the server gets half the body
	changed            // the server gets a body with one other byte
	silent             // not done, no answer
	lostAnswer         // done, connection reset
	failedAnswer       // done, 500
	halfAnswer         // done, half the body of the answer
	lateAnswer         // done, answered late
	faults
)

func (f fault) String() string {
	return []string{"none", "500", "503 SlowDown", "502", "reset", "half request", "changed request", "silence", "lost answer", "500 after it was done", "half answer", "late answer", ""}[f]
}

// How long the stores of these tests bear silence: where all must succeed in the end, the machine may be busy too.
const (
	patient   = 5 * time.Second
	impatient = 500 * time.Millisecond
)

// proxy stands before the S3 server and makes requests go wrong as plan says.
type proxy struct {
	plan     atomic.Pointer[func(*http.Request) fault]
	injected atomic.Int64
	forward  *httputil.ReverseProxy
	idle     time.Duration
}

// newProxy gives a proxy and options of a place behind it, whose stores bear silence for idle.
func newProxy(t *testing.T, idle time.Duration) (*proxy, s3.Options) {
	t.Helper()
	o := s3test.Options(t)
	target, err := url.Parse(o.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{idle: idle, forward: &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }, // the host is signed
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     slog.NewLogLogger(slog.DiscardHandler, 0),
	}}
	p.inject(func(*http.Request) fault { return none })
	server := httptest.NewUnstartedServer(p)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	o.Endpoint, o.Idle = server.URL, idle
	return p, o
}

// inject sets what goes wrong from now on.
func (p *proxy) inject(plan func(*http.Request) fault) { p.plan.Store(&plan) }

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := (*p.plan.Load())(r)
	if f != none {
		p.injected.Add(1)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	switch f {
	case fail500:
		fault500(w)
		return
	case slowDown:
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
		return
	case gateway:
		http.Error(w, "bad gateway", http.StatusBadGateway)
		return
	case cutBefore:
		panic(http.ErrAbortHandler)
	case silent:
		<-r.Context().Done()
		return
	case cutRequest:
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:len(body)/2]), errorReader{}))
	case changed:
		if len(body) > 0 {
			body[len(body)/2] ^= 1
		}
	}
	answer := httptest.NewRecorder()
	p.forward.ServeHTTP(final{answer}, r)
	switch f {
	case lostAnswer:
		panic(http.ErrAbortHandler)
	case failedAnswer:
		fault500(w)
		return
	case lateAnswer:
		select {
		case <-time.After(p.idle / 3):
		case <-r.Context().Done():
		}
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	content := answer.Body.Bytes()
	if f == halfAnswer && len(content) > 0 {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		content = content[:len(content)/2]
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(content) // a short body makes net/http reset the connection
}

// final passes on answers that are no "100 Continue": net/http sent that already.
type final struct{ http.ResponseWriter }

func (f final) WriteHeader(status int) {
	if status >= http.StatusOK {
		f.ResponseWriter.WriteHeader(status)
	}
}

func fault500(w http.ResponseWriter) {
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>`)
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errors.New("cut") }

// work does everything that a store can, on keys of its own.
type work struct {
	store    *s3.Store
	key      string
	small    []byte
	large    []byte
	finished bool // the large blob was acknowledged
	put      bool // the small one was
}

// do gives the first error.
func (w *work) do(ctx context.Context) error {
	if _, err := w.store.Put(ctx, w.key+"/small", bytes.NewReader(w.small)); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	w.put = true
	for at, step := 0, len(w.large)/2+1; at < len(w.large); {
		end, err := w.store.Append(ctx, w.key+"/large", int64(at), bytes.NewReader(w.large[at:min(at+step, len(w.large))]))
		if err != nil {
			return fmt.Errorf("append: %w", err)
		}
		at = int(end)
	}
	if _, err := w.store.Finish(ctx, w.key+"/large", int64(len(w.large))); err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	w.finished = true
	r, err := w.store.Open(ctx, w.key+"/large", 5, int64(len(w.large)-10))
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	got, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if !bytes.Equal(got, w.large[5:len(w.large)-5]) {
		return errors.New("other bytes are read than were written")
	}
	n := 0
	for _, err := range w.store.List(ctx, w.key) {
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		n++
	}
	if n != 2 {
		return fmt.Errorf("list gave %d blobs", n)
	}
	return nil
}

// check looks, past the proxy, that what was acknowledged is there, and that what is there is right.
func (w *work) check(t *testing.T, direct *s3.Store) {
	t.Helper()
	for _, b := range []struct {
		key     string
		content []byte
		must    bool
	}{{w.key + "/small", w.small, w.put}, {w.key + "/large", w.large, w.finished}} {
		_, err := direct.Stat(t.Context(), b.key)
		if err == nil {
			want(t, direct, b.key, 0, -1, b.content)
		} else if b.must || !errs.Is(err, errs.NotFound) {
			t.Errorf("%s was acknowledged: %v", b.key, err)
		}
	}
}

// TestEachFault makes the first requests of each kind go wrong once: everything succeeds all the same.
func TestEachFault(t *testing.T) {
	t.Parallel()
	for f := none; f < faults; f++ {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			p, o := newProxy(t, patient)
			s := s3test.Open(t, o)
			var mu sync.Mutex
			seen := map[string]bool{}
			p.inject(func(r *http.Request) fault {
				q := r.URL.Query()
				kind := fmt.Sprint(r.Method, q.Has("uploads"), q.Get("partNumber"), q.Has("uploadId"), q.Has("list-type"), strings.Contains(r.URL.Path, "/partial/"), r.Header.Get("If-None-Match"))
				mu.Lock()
				defer mu.Unlock()
				if seen[kind] {
					return none
				}
				seen[kind] = true
				return f
			})
			w := &work{store: s, key: "k", small: random(1000), large: random(9 * mib)}
			if err := w.do(t.Context()); err != nil {
				t.Error(err)
			}
			o.Endpoint = s3test.Options(t).Endpoint
			w.check(t, s3test.Open(t, o))
			if f != none && p.injected.Load() < 8 {
				t.Errorf("only %d requests went wrong", p.injected.Load())
			}
			if left := leftovers(t, o); len(left) != 0 && f < lostAnswer { // an upload whose answer was lost is for Sweep
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// TestManyFaults makes a part of all requests go wrong at random. What succeeds is right, what fails says so.
func TestManyFaults(t *testing.T) {
	t.Parallel()
	for _, percent := range []int{35, 85} {
		t.Run(fmt.Sprint(percent), func(t *testing.T) {
			t.Parallel()
			manyFaults(t, percent)
		})
	}
}

func manyFaults(t *testing.T, percent int) {
	p, o := newProxy(t, impatient)
	s := s3test.Open(t, o)
	p.inject(func(*http.Request) fault {
		if rand.N(100) < percent {
			return 1 + rand.N(faults-1)
		}
		return none
	})
	direct := o
	direct.Endpoint = s3test.Options(t).Endpoint
	behind := s3test.Open(t, direct)
	var failed, done atomic.Int64
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 2 {
				w := &work{store: s, key: fmt.Sprintf("k%d/%d", i, j), small: random(1000), large: random(9*mib + i)}
				if err := w.do(t.Context()); err != nil {
					failed.Add(1)
					wantUnavailable(t, err, o)
				} else {
					done.Add(1)
				}
				w.check(t, behind)
			}
		})
	}
	wg.Wait()
	t.Logf("%d requests went wrong; of 8 pieces of work %d were done, %d failed", p.injected.Load(), done.Load(), failed.Load())
	if p.injected.Load() < 50 {
		t.Errorf("only %d requests went wrong", p.injected.Load())
	}
	// With the server well again, what broke off can be swept, and nothing of it stays.
	if _, err := behind.Sweep(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if left := leftovers(t, direct); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

// wantUnavailable looks for what an operator needs in an error, and for what nobody may see.
func wantUnavailable(t *testing.T, err error, o s3.Options) {
	t.Helper()
	if code := errs.CodeOf(err); code != errs.Unavailable && code != errs.Timeout {
		t.Errorf("code %q: %v", code, err)
	}
	if text := errs.MessageOf(err); !strings.Contains(text, o.Endpoint) || !strings.Contains(text, o.Bucket) {
		t.Errorf("the message lacks endpoint or bucket: %s", text)
	}
	wantNoCredentials(t, err, o)
}

// TestFaultsThatStay makes every request go wrong: each operation gives up in bounded time and says why.
func TestFaultsThatStay(t *testing.T) {
	t.Parallel()
	for _, f := range []fault{fail500, slowDown, gateway, cutBefore, cutRequest, changed, silent} {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			p, o := newProxy(t, impatient)
			s := s3test.Open(t, o)
			if _, err := s.Put(t.Context(), "have", strings.NewReader("have")); err != nil {
				t.Fatal(err)
			}
			add(t, s, "half", 0, []byte("half"))
			p.inject(func(*http.Request) fault { return f })
			ctx := t.Context()
			for name, do := range map[string]func() error{
				"put":    func() error { _, err := s.Put(ctx, "k", bytes.NewReader(random(1000))); return err },
				"large":  func() error { _, err := s.Put(ctx, "k", bytes.NewReader(random(9*mib))); return err },
				"open":   func() error { _, err := s.Open(ctx, "have", 0, -1); return err },
				"stat":   func() error { _, err := s.Stat(ctx, "have"); return err },
				"delete": func() error { return s.Delete(ctx, "have") },
				"append": func() error { _, err := s.Append(ctx, "half", 4, strings.NewReader("x")); return err },
				"finish": func() error { _, err := s.Finish(ctx, "half", 4); return err },
				"abort":  func() error { return s.Abort(ctx, "half") },
				"list": func() error {
					for _, err := range s.List(ctx, "") {
						return err
					}
					return nil
				},
				"ping": func() error { return s.Ping(ctx) },
			} {
				if (f == cutRequest || f == changed) && !strings.Contains("put large append finish", name) {
					continue // their requests have no body
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					began := time.Now()
					err := do()
					if err == nil {
						t.Fatal("it succeeds")
					}
					wantUnavailable(t, err, o)
					if took := time.Since(began); took > time.Minute {
						t.Errorf("it took %v", took)
					}
				})
			}
		})
	}
}

// TestRefusedBeforeBody: a conditional write asks before it sends its body. A server that refuses it and closes the connection is
// heard then; in the middle of a body it may not be.
func TestRefusedBeforeBody(t *testing.T) {
	t.Parallel()
	p, o := newProxy(t, patient)
	s := s3test.Open(t, o)
	var asked, not atomic.Int64
	p.inject(func(r *http.Request) fault {
		conditional := r.Header.Get("If-Match") != "" || r.Header.Get("If-None-Match") != ""
		switch asks := r.Header.Get("Expect") != ""; {
		case asks != (conditional && r.Method == http.MethodPut):
			t.Errorf("%s %s: conditional is %v, asks is %v", r.Method, r.URL.Path, conditional, asks)
		case asks:
			asked.Add(1)
		default:
			not.Add(1)
		}
		return none
	})
	add(t, s, "k", 0, random(9*mib))
	add(t, s, "k", 9*mib, random(mib))
	if asked.Load() != 3 || not.Load() == 0 { // a state when the upload begins, one when each Append ends
		t.Errorf("%d requests ask, %d do not", asked.Load(), not.Load())
	}
}

// TestReplacedWhileRead: a stream that breaks is not continued with another version of the blob.
func TestReplacedWhileRead(t *testing.T) {
	t.Parallel()
	p, o := newProxy(t, patient)
	s := s3test.Open(t, o)
	if _, err := s.Put(t.Context(), "k", bytes.NewReader(random(mib))); err != nil {
		t.Fatal(err)
	}
	p.inject(func(r *http.Request) fault {
		if r.Method == http.MethodGet && r.Header.Get("If-Match") == "" {
			return halfAnswer
		}
		return none
	})
	r, err := s.Open(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := s.Put(t.Context(), "k", bytes.NewReader(random(mib))); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "was replaced while it was read") {
		t.Errorf("reading goes on with %v", err)
	}
}
