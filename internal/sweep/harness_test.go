// SPDX-License-Identifier: Apache-2.0

package sweep_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"firn.dev/firn/internal/blob/dir"
	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry"
	"firn.dev/firn/internal/stage"
	"firn.dev/firn/internal/sweep"
)

// anybody may do everything: who may do what is tested elsewhere.
type anybody struct{}

func (anybody) Password(_ context.Context, _, user string, _ errs.Secret) (registry.Identity, error) {
	return registry.Identity{User: user}, nil
}

func (anybody) Token(context.Context, errs.Secret) (registry.Identity, error) {
	return registry.Identity{}, errs.New(errs.Unauthenticated, "tokens are not used here")
}

func (anybody) IssueRegistryToken(context.Context, registry.Identity, time.Duration) (errs.Secret, time.Time, error) {
	return "", time.Time{}, errs.New(errs.Unauthenticated, "tokens are not used here")
}

func (anybody) Allowed(catalog.Tx, registry.Identity, catalog.Privilege, *catalog.Object) (bool, error) {
	return true, nil
}

// world is a registry with its stores and a clock that can be moved ahead.
type world struct {
	store   *sqlstore.Store
	blobs   registry.Store
	door    *registry.Registry
	repo    catalog.ID
	handler http.Handler
	ahead   atomic.Int64 // nanoseconds
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// openWorld opens a catalog and a directory of blobs; an empty catalog gets an account and the repository DB.S.REPO.
func openWorld(database string, blobs registry.Store, grace time.Duration) (*world, func() error, error) {
	w := &world{blobs: blobs}
	var err error
	if w.store, err = sqlstore.Open(context.Background(), database, sqlstore.Options{Now: w.now}); err != nil {
		return nil, nil, err
	}
	repository := &catalog.Object{
		Kind: catalog.KindImageRepository, Name: catalog.Name{Database: "DB", Schema: "S", Object: "REPO"}, Spec: &catalog.ImageRepositorySpec{Encryption: "SNOWFLAKE_SSE"},
	}
	err = w.store.Update(context.Background(), func(tx catalog.Tx) error {
		for _, o := range []*catalog.Object{
			{ID: catalog.AccountID, Kind: catalog.KindAccount, Name: catalog.Name{Object: "FIRN"}, Spec: &catalog.AccountSpec{}},
			{Kind: catalog.KindDatabase, Name: catalog.Name{Object: "DB"}, Spec: &catalog.DatabaseSpec{}},
			{Kind: catalog.KindSchema, Name: catalog.Name{Database: "DB", Object: "S"}, Spec: &catalog.SchemaSpec{}},
			{Kind: catalog.KindStage, Name: catalog.Name{Database: "DB", Schema: "S", Object: "FILES"}, Spec: &catalog.StageSpec{}},
			repository,
		} {
			if err := tx.CreateObject(o); err != nil && !errs.Is(err, errs.Exists) {
				return err
			}
		}
		o, err := tx.Object(catalog.KindImageRepository, repository.Name)
		w.repo = o.ID
		return err
	})
	w.door = registry.New(registry.Options{
		Catalog: w.store, Blobs: w.blobs, Authenticator: anybody{}, Authorizer: anybody{}, Log: slog.New(slog.DiscardHandler), Now: w.now, Rand: rand.Reader, Grace: grace,
	})
	w.handler = w.door
	return w, w.store.Close, err
}

func newWorld(t *testing.T, database string, grace time.Duration) *world {
	t.Helper()
	blobs, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := blobs.Close(); err != nil {
			t.Error(err)
		}
	})
	return newWorldOver(t, database, blobs, grace)
}

func newWorldOver(t *testing.T, database string, blobs registry.Store, grace time.Duration) *world {
	t.Helper()
	w, end, err := openWorld(database, blobs, grace)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// options are what a sweeper of the world works with.
func (w *world) options(grace time.Duration) sweep.Options {
	return sweep.Options{
		Catalog: w.store, Blobs: w.blobs, Log: slog.New(slog.DiscardHandler), Now: w.now, Holder: "test",
		Prefixes: []string{registry.KeyPrefix, stage.KeyPrefix}, Grace: grace,
	}
}

func (w *world) sweeper(grace time.Duration) *sweep.Sweeper { return sweep.New(w.options(grace)) }

// answer is a response with its body.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do asks the registry. header holds names and values in turn.
func (w *world) do(method, path string, body []byte, header ...string) answer {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	r.SetBasicAuth("anybody", "x")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.Bytes()}
}

// want asks for something that must work, or tells what went wrong.
func (w *world) want(status int, method, path string, body []byte, header ...string) (answer, error) {
	a := w.do(method, path, body, header...)
	if a.status != status {
		return a, fmt.Errorf("%s %.120s: %d, want %d: %.300s", method, path, a.status, status, a.body)
	}
	return a, nil
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

const v2 = "/v2/db/s/repo/"

// large is a size that is kept in the blob store, not in a row.
const large = 70 << 10

// content gives n bytes that depend on the seed.
func content(seed string, n int) []byte {
	b := []byte(seed + "\n")
	return bytes.Repeat(b, n/len(b)+1)[:max(n, len(b))]
}

// pushBlob pushes a blob as clients do: not at all when the registry has it, else mounted, in one request, or in pieces.
func (w *world) pushBlob(image string, b []byte, how int, from string) error {
	d := digestOf(b)
	if w.do("HEAD", v2+image+"/blobs/"+d, nil).status == 200 {
		return nil
	}
	begin := v2 + image + "/blobs/uploads/"
	if from != "" {
		a := w.do("POST", begin+"?mount="+d+"&from=db/s/repo/"+from, nil)
		if a.status == 201 {
			return nil
		}
	}
	if how%2 == 0 {
		_, err := w.want(201, "POST", begin+"?digest="+d, b)
		return err
	}
	a, err := w.want(202, "POST", begin, nil)
	if err != nil {
		return err
	}
	half := len(b) / 2
	if a, err = w.want(202, "PATCH", a.header.Get("Location"), b[:half]); err != nil {
		return err
	}
	_, err = w.want(201, "PUT", a.header.Get("Location")+"?digest="+d, b[half:])
	return err
}

// document writes an image manifest over blobs; subject may be "".
func document(subject string, config []byte, layers ...[]byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[`,
		v1.MediaTypeImageManifest, v1.MediaTypeImageConfig, digestOf(config), len(config))
	for i, l := range layers {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"mediaType":%q,"digest":%q,"size":%d}`, v1.MediaTypeImageLayer, digestOf(l), len(l))
	}
	b.WriteString("]")
	if subject != "" {
		fmt.Fprintf(&b, `,"subject":{"mediaType":%q,"digest":%q,"size":1}`, v1.MediaTypeImageManifest, subject)
	}
	b.WriteString("}")
	return b.Bytes()
}

// index writes an index over one manifest.
func index(manifest []byte) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"platform":{"os":"linux","architecture":"amd64"}}]}`,
		v1.MediaTypeImageIndex, v1.MediaTypeImageManifest, digestOf(manifest), len(manifest))
}

// pushManifest pushes a document under a tag or, when it is "", by digest.
func (w *world) pushManifest(image, tag string, body []byte) error {
	kind := v1.MediaTypeImageManifest
	if bytes.Contains(body, []byte(`"manifests"`)) {
		kind = v1.MediaTypeImageIndex
	}
	reference := tag
	if reference == "" {
		reference = digestOf(body)
	}
	if tag == "" && w.do("HEAD", v2+image+"/manifests/"+reference, nil).status == 200 {
		return nil // clients do not send what is there
	}
	_, err := w.want(201, "PUT", v2+image+"/manifests/"+reference, body, "Content-Type", kind)
	return err
}

// push pushes an image of a small config and a large layer and gives its manifest.
func (w *world) push(image, tag, seed, subject string) ([]byte, error) {
	config, layer := content("config "+seed, 100), content("layer "+seed, large)
	for i, b := range [][]byte{config, layer} {
		if err := w.pushBlob(image, b, i, ""); err != nil {
			return nil, err
		}
	}
	m := document(subject, config, layer)
	return m, w.pushManifest(image, tag, m)
}

// pull reads a manifest by digest with all that it names, as far as it goes.
func (w *world) pull(image, digest string, blobs ...[]byte) error {
	a, err := w.want(200, "GET", v2+image+"/manifests/"+digest, nil)
	if err != nil {
		return err
	}
	if digestOf(a.body) != digest {
		return fmt.Errorf("manifest %s has another digest", digest)
	}
	for _, b := range blobs {
		a, err := w.want(200, "GET", v2+image+"/blobs/"+digestOf(b), nil)
		if err != nil {
			return err
		}
		if !bytes.Equal(a.body, b) {
			return fmt.Errorf("blob %s of %s has other content", digestOf(b), digest)
		}
	}
	return nil
}

// objects counts what the blob store has below a prefix.
func (w *world) objects(t *testing.T, prefix string) (n int) {
	t.Helper()
	for _, err := range w.blobs.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func must[V any](t *testing.T) func(v V, err error) V {
	return func(v V, err error) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
