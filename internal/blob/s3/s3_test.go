// SPDX-License-Identifier: Apache-2.0

package s3_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"firn.dev/firn/internal/blob"
	"firn.dev/firn/internal/blob/blobtest"
	"firn.dev/firn/internal/blob/s3"
	"firn.dev/firn/internal/blob/s3test"
	"firn.dev/firn/internal/errs"
)

const mib = 1 << 20

func TestStore(t *testing.T) {
	t.Parallel()
	blobtest.TestStore(t, func(t *testing.T) blob.Store { return s3test.Open(t, s3test.Options(t)) })
}

// random gives n bytes that no other call gives.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// want compares a range of a blob; a negative length means all the rest.
func want(t *testing.T, s *s3.Store, key string, offset, length int64, content []byte) {
	t.Helper()
	r, err := s.Open(t.Context(), key, offset, length)
	if err != nil {
		t.Fatalf("open %s: %v", key, err)
	}
	got, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	if !bytes.Equal(got, content) {
		t.Fatalf("%s at %d for %d gave %d bytes that differ from %d", key, offset, length, len(got), len(content))
	}
}

// add appends and checks the end.
func add(t *testing.T, s *s3.Store, key string, offset int, content []byte) {
	t.Helper()
	end, err := s.Append(t.Context(), key, int64(offset), bytes.NewReader(content))
	if err != nil || end != int64(offset+len(content)) {
		t.Fatalf("append at %d gave %d, %v", offset, end, err)
	}
}

// leftovers names what is at a place besides visible blobs and the probe: states, and uploads that are open.
func leftovers(t *testing.T, o s3.Options) []string {
	t.Helper()
	all := slices.Collect(func(yield func(string) bool) {
		c := s3test.Client(t, o)
		for object := range c.ListObjects(context.Background(), o.Bucket, minioList(o.Prefix+"/partial/")) {
			if !yield(object.Key) {
				return
			}
		}
		for upload := range c.ListIncompleteUploads(context.Background(), o.Bucket, o.Prefix+"/blobs/", true) {
			if !yield(upload.Key) {
				return
			}
		}
	})
	return all
}

// TestParts puts blobs around the size of a part.
func TestParts(t *testing.T) {
	t.Parallel()
	o := s3test.Options(t)
	s := s3test.Open(t, o)
	for i, size := range []int{8*mib - 1, 8 * mib, 8*mib + 1, 16 * mib, 40*mib + 5} {
		key, content := fmt.Sprintf("put/%d", i), random(size)
		info, err := s.Put(t.Context(), key, iotest.HalfReader(bytes.NewReader(content)))
		if err != nil || info.Size != int64(size) {
			t.Fatalf("put of %d bytes gave %+v, %v", size, info, err)
		}
		want(t, s, key, 0, -1, content)
		for _, at := range []int{1, 8*mib - 2, size - 1, size} {
			end := min(size, at+5)
			want(t, s, key, int64(at), 5, content[at:end])
		}
	}
	broken := io.MultiReader(bytes.NewReader(random(20*mib)), iotest.ErrReader(errors.New("broken")))
	if _, err := s.Put(t.Context(), "broken", broken); err == nil || err.Error() != "broken" {
		t.Errorf("put of a broken reader gave %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := io.MultiReader(bytes.NewReader(random(20*mib)), readFunc(func([]byte) (int, error) { cancel(); return 1, nil }))
	if _, err := s.Put(ctx, "stopped", stopped); !errs.Is(err, errs.Canceled) {
		t.Errorf("a put that was stopped gave %v", err)
	}
	if left := leftovers(t, o); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestAppendOverReplicas gathers blobs in chunks of all sizes, each by another store, as replicas and restarts do.
func TestAppendOverReplicas(t *testing.T) {
	t.Parallel()
	o := s3test.Options(t)
	replicas := []*s3.Store{s3test.Open(t, o), s3test.Open(t, o), s3test.Open(t, o)}
	for _, chunks := range [][]int{{1}, {5 * mib, 5 * mib, 5 * mib}, {8 * mib, 8 * mib}, {30 * mib, 1, 0, 17*mib - 1}, {3 * mib, 20 * mib, 8*mib + 3}} {
		t.Run(fmt.Sprint(chunks), func(t *testing.T) {
			t.Parallel()
			key := "u/" + strings.NewReplacer("[", "", "]", "", " ", "-").Replace(fmt.Sprint(chunks))
			var content []byte
			for i, n := range chunks {
				chunk := random(n)
				add(t, replicas[i%3], key, len(content), chunk)
				content = append(content, chunk...)
				if i == 1 { // the acknowledgement is lost: the chunk comes again, with other bytes, to another replica
					content = content[:len(content)-n]
					chunk = random(n + mib)
					add(t, replicas[(i+1)%3], key, len(content), chunk)
					content = append(content, chunk...)
				}
			}
			info, err := replicas[len(chunks)%3].Finish(t.Context(), key, int64(len(content)))
			if err != nil || info.Size != int64(len(content)) {
				t.Fatalf("finish gave %+v, %v", info, err)
			}
			want(t, replicas[0], key, 0, -1, content)
		})
	}
	t.Cleanup(func() {
		if left := leftovers(t, o); len(left) != 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

// TestAppendKeepsWhatBrokeOff: a client that goes away in the middle loses nothing that it sent.
func TestAppendKeepsWhatBrokeOff(t *testing.T) {
	t.Parallel()
	s := s3test.Open(t, s3test.Options(t))
	content := random(21 * mib)
	ctx, cancel := context.WithCancel(t.Context())
	gone := io.MultiReader(bytes.NewReader(content[:19*mib]), readFunc(func([]byte) (int, error) { cancel(); return 0, io.ErrUnexpectedEOF }))
	end, err := s.Append(ctx, "k", 0, gone)
	if !errors.Is(err, io.ErrUnexpectedEOF) || end != 19*mib {
		t.Fatalf("append of a broken reader gave %d, %v", end, err)
	}
	add(t, s, "k", 19*mib, content[19*mib:])
	if _, err := s.Finish(t.Context(), "k", int64(len(content))); err != nil {
		t.Fatal(err)
	}
	want(t, s, "k", 0, -1, content)
}

// TestAppendCut: what cannot be cut is refused, and both ends that a caller may know can be finished.
func TestAppendCut(t *testing.T) {
	t.Parallel()
	s := s3test.Open(t, s3test.Options(t))
	content := random(20 * mib)
	for i, size := range []int{10 * mib, 20 * mib, 8 * mib, 0} {
		key := fmt.Sprintf("k%d", i)
		add(t, s, key, 0, content[:10*mib])
		add(t, s, key, 10*mib, content[10*mib:])
		for _, never := range []int64{8*mib - 1, 11 * mib, 21 * mib} {
			if _, err := s.Finish(t.Context(), key, never); !errs.Is(err, errs.Conflict) {
				t.Errorf("finish at %d gave %v", never, err)
			}
			if _, err := s.Append(t.Context(), key, never, strings.NewReader("x")); !errs.Is(err, errs.Conflict) {
				t.Errorf("append at %d gave %v", never, err)
			}
		}
		if _, err := s.Finish(t.Context(), key, int64(size)); err != nil {
			t.Fatalf("finish at %d: %v", size, err)
		}
		want(t, s, key, 0, -1, content[:size])
	}
}

// TestTwoWriters: of two replicas that append to one blob at once, one is refused, and what the other was told it has is what
// it gets.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	o := s3test.Options(t)
	first, second := s3test.Open(t, o), s3test.Open(t, o)
	if !first.Fenced() {
		t.Error("the server of the tests ignores If-Match")
	}
	for _, began := range []int{0, 10 * mib} {
		key := fmt.Sprintf("k%d", began)
		content := random(30 * mib)
		if began > 0 {
			add(t, first, key, 0, content[:began])
		}
		inside, release := make(chan struct{}), make(chan struct{})
		slow := readFunc(func([]byte) (int, error) { close(inside); <-release; return 0, io.EOF })
		lost := make(chan error, 1)
		go func() {
			_, err := second.Append(context.Background(), key, int64(began), io.MultiReader(bytes.NewReader(random(5*mib)), slow))
			lost <- err
		}()
		<-inside
		add(t, first, key, began, content[began:])
		close(release)
		if err := <-lost; !errs.Is(err, errs.Conflict) {
			t.Fatalf("the second writer gets %v", err)
		}
		if _, err := first.Finish(t.Context(), key, int64(len(content))); err != nil {
			t.Fatal(err)
		}
		want(t, first, key, 0, -1, content)
	}
	// Parts that the loser overwrote are not taken for the winner's.
	content := random(10 * mib)
	add(t, first, "p", 0, content[:9*mib])
	inside, release := make(chan struct{}), make(chan struct{})
	slow := readFunc(func([]byte) (int, error) { close(inside); <-release; return 0, io.EOF })
	lost := make(chan error, 1)
	go func() {
		_, err := second.Append(context.Background(), "p", 0, io.MultiReader(bytes.NewReader(random(9*mib)), slow))
		lost <- err
	}()
	<-inside
	add(t, first, "p", 9*mib, content[9*mib:])
	close(release)
	if err := <-lost; !errs.Is(err, errs.Conflict) {
		t.Fatalf("the second writer gets %v", err)
	}
	if _, err := first.Finish(t.Context(), "p", 10*mib); !errs.Is(err, errs.Conflict) {
		t.Errorf("a blob of two writers' parts is finished: %v", err)
	}
}

// TestSweep removes what crashes left, and only that.
func TestSweep(t *testing.T) {
	t.Parallel()
	o := s3test.Options(t)
	s := s3test.Open(t, o)
	visible := random(9 * mib)
	if _, err := s.Put(t.Context(), "a/visible", bytes.NewReader(visible)); err != nil {
		t.Fatal(err)
	}
	add(t, s, "a/small", 0, random(100))
	add(t, s, "a/large", 0, random(9*mib))
	orphan(t, o, "a/orphan")
	if n, err := s.Sweep(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("sweep of what is an hour old gave %d, %v", n, err)
	}
	// Two states and two uploads, of which one belongs to a state. MinIO does not list uploads: it drops those of a day by itself.
	left, removed := leftovers(t, o), 3
	if len(left) == 2 {
		removed = 2
	} else if len(left) != 4 {
		t.Errorf("there are %q", left)
	}
	if n, err := s.Sweep(t.Context(), time.Now().Add(time.Hour)); n != removed || err != nil {
		t.Errorf("sweep gave %d, %v", n, err)
	}
	if left := leftovers(t, o); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	want(t, s, "a/visible", 0, -1, visible)
	if _, err := s.Append(t.Context(), "a/large", 9*mib, strings.NewReader("x")); !errs.Is(err, errs.NotFound) {
		t.Errorf("a swept blob goes on: %v", err)
	}
}

// TestListPages lists more than one answer holds.
func TestListPages(t *testing.T) {
	t.Parallel()
	s := s3test.Open(t, s3test.Options(t))
	var keys []string
	for i := range 1100 {
		keys = append(keys, fmt.Sprintf("%c/%d%s", 'a'+i%3, i/3, []string{"", "/x", "-y", ".z"}[i%4]))
	}
	work := make(chan string)
	done := make(chan error)
	for range 16 {
		go func() {
			var err error
			for key := range work {
				_, putErr := s.Put(context.Background(), key, strings.NewReader(key))
				err = errors.Join(err, putErr)
			}
			done <- err
		}()
	}
	for _, key := range keys {
		work <- key
	}
	close(work)
	for range 16 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(keys)
	var got []string
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info.Key)
	}
	if !slices.Equal(got, keys) {
		t.Errorf("list gave %d keys, want %d in order", len(got), len(keys))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.List(ctx, "") {
		if !errs.Is(err, errs.Canceled) {
			t.Errorf("a list that was stopped gave %v", err)
		}
	}
}

// TestPresign reads a blob by its URL, whole and in part, and not without the signature.
func TestPresign(t *testing.T) {
	t.Parallel()
	s := s3test.Open(t, s3test.Options(t))
	content := random(1000)
	if _, err := s.Put(t.Context(), "a/b", bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	signed, err := s.Presign(t.Context(), "a/b", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	bare, _, _ := strings.Cut(signed, "?")
	for _, c := range []struct {
		url, ranged string
		status      int
		content     []byte
	}{{signed, "", 200, content}, {signed, "bytes=10-19", 206, content[10:20]}, {bare, "", 403, nil}, {strings.Replace(signed, "a/b", "a/c", 1), "", 403, nil}} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.ranged != "" {
			r.Header.Set("Range", c.ranged)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || c.content != nil && !bytes.Equal(got, c.content) {
			t.Errorf("%s with range %q gave %s and %d bytes, %v", strings.TrimPrefix(c.url, bare), c.ranged, resp.Status, len(got), err)
		}
	}
	if _, err := s.Presign(t.Context(), "../x", time.Minute); !errs.Is(err, errs.Invalid) {
		t.Errorf("a bad key is signed: %v", err)
	}
}

// TestOpenFails: what is wrong with a bucket is said when the store opens, with its name and without credentials.
func TestOpenFails(t *testing.T) {
	t.Parallel()
	good := s3test.Options(t)
	file := filepath.Join(t.TempDir(), "credentials")
	text := fmt.Sprintf("[firn]\naws_access_key_id = %s\naws_secret_access_key = %s\n", good.AccessKey, good.SecretKey.Reveal())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		spoil func(*s3.Options)
		code  errs.Code
		says  string
	}{
		{"credentials in a file", func(o *s3.Options) { o.AccessKey, o.SecretKey, o.CredentialsFile, o.Profile = "", "", file, "firn" }, "", ""},
		{"no prefix", func(o *s3.Options) { o.Prefix = "" }, "", ""},
		{"no bucket", func(o *s3.Options) { o.Bucket = "firn-missing" }, errs.Unavailable, "bucket firn-missing at " + good.Endpoint + " does not exist: make it"},
		{"wrong secret", func(o *s3.Options) { o.SecretKey = "wrong-secret" }, errs.Unavailable, "refuses the credentials"},
		{"wrong key", func(o *s3.Options) { o.AccessKey = "wrong-access" }, errs.Unavailable, "refuses the credentials"},
		{"nobody there", func(o *s3.Options) { o.Endpoint = "http://127.0.0.1:1" }, errs.Unavailable, "bucket " + good.Bucket + " at http://127.0.0.1:1 cannot be reached: "},
		{"no credentials", func(o *s3.Options) { o.AccessKey, o.CredentialsFile = "", filepath.Join(t.TempDir(), "none") }, errs.Invalid, "set AWS_ACCESS_KEY_ID"},
		{"another profile", func(o *s3.Options) { o.AccessKey, o.CredentialsFile, o.Profile = "", file, "other" }, errs.Invalid, "profile other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := good
			c.spoil(&o)
			s, err := s3.Open(t.Context(), o)
			if errs.CodeOf(err) != c.code || c.says != "" && !strings.Contains(errs.MessageOf(err), c.says) {
				t.Errorf("open gave code %q: %v", errs.CodeOf(err), err)
			}
			if err == nil {
				if err := s.Ping(t.Context()); err != nil {
					t.Errorf("ping: %v", err)
				}
				return
			}
			wantNoCredentials(t, err, o)
		})
	}
}

// wantNoCredentials looks for credentials in everything that an error prints.
func wantNoCredentials(t *testing.T, err error, o s3.Options) {
	t.Helper()
	for text := fmt.Sprintf("%v %+v %#v", err, err, err); ; {
		for _, secret := range []string{o.AccessKey, o.SecretKey.Reveal(), "X-Amz-"} {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("the error holds credentials: %s", text)
			}
		}
		if err = errors.Unwrap(err); err == nil {
			return
		}
		text = fmt.Sprintf("%v %+v %#v", err, err, err)
	}
}
