// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/catalog/sqlstore"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/sql/rowset"
)

// jobBench is an account with an executor: database D with schema S, repository REPO with image app:v1, stage ST, pools POOL1 and
// GPUS, warehouse WH1, integration PYPI, environment MY_CRE, all of ACCOUNTADMIN; a runtime 1.0 for Python 3.11; and user ANN with
// role SCIENTIST, who may do nothing yet.
type jobBench struct {
	t     *testing.T
	store catalog.Store
	e     *Executor
	admin *catalog.Session
	ann   *catalog.Session
	check *atomic.Pointer[error] // what the next image check says; nil: fit
	// meanwhile is done while an image is checked; nil: nothing
	meanwhile *atomic.Pointer[func()]
	woken     *atomic.Int64
	logs      map[string]string // by job name
}

func newJobBench(t *testing.T) *jobBench {
	t.Helper()
	return newJobBenchOn(t, "sqlite::memory:")
}

// newJobBenchOn makes the bench on a database.
func newJobBenchOn(t *testing.T, database string) *jobBench {
	t.Helper()
	ctx := context.Background()
	store, err := sqlstore.Open(ctx, database, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := Bootstrap(ctx, store, "", time.Now()); err != nil {
		t.Fatal(err)
	}
	b := &jobBench{t: t, store: store, check: &atomic.Pointer[error]{}, meanwhile: &atomic.Pointer[func()]{}, woken: &atomic.Int64{}, logs: map[string]string{}}
	b.e = New(Options{
		Catalog: store, Images: catalogImages{store, b.check, b.meanwhile}, Stages: catalogStages{store}, Logs: textLogs(b.logs), Hosts: smallHost{},
		Node: "n1", Account: "FIRN", Version: "1.2.3", Registry: func() string { return "localhost:8085" },
		Wake: func() { b.woken.Add(1) }, Now: time.Now,
	})
	t.Cleanup(func() {
		if err := b.e.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	b.admin = b.session("ADMIN", "ACCOUNTADMIN")
	for _, text := range []string{
		"create database D", "create schema S", "create warehouse WH1", "create image repository REPO", "create stage ST",
		"create compute pool POOL1 min_nodes = 1 max_nodes = 4 instance_family = CPU_X64_M", "create compute pool GPUS min_nodes = 1 max_nodes = 1 instance_family = GPU_NV_S",
		"create network rule R mode = egress type = host_port value_list = ('index.example:443')",
		"create external access integration PYPI allowed_network_rules = (R) enabled = true",
		"create role SCIENTIST", "create user ANN", "grant role SCIENTIST to user ANN",
	} {
		b.run(b.admin, text)
	}
	b.push(catalog.Name{Database: "D", Schema: "S", Object: "REPO"}, "app", "v1", "sha256:"+strings.Repeat("a", 64))
	b.push(BaseRepository(), "container_runtime/cpu_x86_64", "1.0", "sha256:"+strings.Repeat("b", 64))
	b.run(b.admin, "create custom runtime environment MY_CRE image_path = '/d/s/repo/app:v1' base_image_type = CPU")
	b.ann = b.session("ANN", "SCIENTIST")
	b.ann.Database, b.ann.Schema = "D", "S"
	return b
}

func (b *jobBench) session(user, role string) *catalog.Session {
	b.t.Helper()
	s := &catalog.Session{
		User: user, Role: role, SecondaryRoles: "NONE", Parameters: map[string]string{}, Variables: map[string]string{}, Created: time.Now(),
		LastUsed: time.Now(), Expires: time.Now().Add(time.Hour),
	}
	b.update(func(tx catalog.Tx) error { return tx.PutSession(s) })
	return s
}

func (b *jobBench) update(fn func(catalog.Tx) error) {
	b.t.Helper()
	if err := b.store.Update(context.Background(), fn); err != nil {
		b.t.Fatal(err)
	}
}

// push puts an image under a tag.
func (b *jobBench) push(repository catalog.Name, image, tag, digest string) {
	b.t.Helper()
	b.update(func(tx catalog.Tx) error {
		o, err := tx.Object(catalog.KindImageRepository, repository)
		if err != nil {
			return err
		}
		err = tx.PutManifest(&catalog.Manifest{
			Repository: o.ID, Image: image, Digest: digest, MediaType: "application/vnd.oci.image.manifest.v1+json", Body: []byte("{}"), PushedBy: "ADMIN",
		})
		if err != nil {
			return err
		}
		return tx.PutTag(&catalog.Tag{Repository: o.ID, Image: image, Name: tag, Digest: digest, MovedBy: "ADMIN"})
	})
}

// try runs a statement. What it does to the session is kept.
func (b *jobBench) try(s *catalog.Session, text string, binds ...string) (*Result, error) {
	b.t.Helper()
	req := Request{Text: text, QueryID: uuid.NewString(), Binds: map[string]rowset.Bind{}}
	for i, v := range binds {
		kind := "TEXT"
		if _, err := strconv.Atoi(v); err == nil {
			kind = "FIXED"
		}
		req.Binds[strconv.Itoa(i+1)] = rowset.Bind{Type: kind, Values: []*string{&v}}
	}
	result, err := b.e.Execute(context.Background(), s, req)
	if err == nil {
		*s = *result.Session
	}
	return result, err
}

// run runs a statement that must succeed.
func (b *jobBench) run(s *catalog.Session, text string, binds ...string) []map[string]string {
	b.t.Helper()
	result, err := b.try(s, text, binds...)
	if err != nil {
		b.t.Fatalf("%s\n%v", text, err)
	}
	return table(result)
}

// table gives rows by column name; NULL is left out.
func table(result *Result) []map[string]string {
	var rows []map[string]string
	for _, r := range result.Rowset.Rows {
		row := map[string]string{}
		for i, c := range r {
			if c != nil {
				row[result.Rowset.Columns[i].Name] = *c
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// cell runs a statement and gives the first cell.
func (b *jobBench) cell(s *catalog.Session, text string, binds ...string) string {
	b.t.Helper()
	result, err := b.try(s, text, binds...)
	if err != nil {
		b.t.Fatalf("%s\n%v", text, err)
	}
	if len(result.Rowset.Rows) == 0 || result.Rowset.Rows[0][0] == nil {
		b.t.Fatalf("%s: no cell", text)
	}
	return *result.Rowset.Rows[0][0]
}

// refuses runs a statement that must fail with the number, and all the texts in its message.
func (b *jobBench) refuses(s *catalog.Session, number int, text string, want ...string) {
	b.t.Helper()
	_, err := b.try(s, text)
	e, ok := errors.AsType[*errs.Error](err)
	if !ok {
		b.t.Errorf("%s\ngot %v, want error %d", text, err, number)
		return
	}
	if number != 0 && e.Number != number {
		b.t.Errorf("%s\ngot number %d, want %d: %v", text, e.Number, number, err)
	}
	for _, w := range want {
		if !strings.Contains(strings.ToLower(errs.MessageOf(err)), strings.ToLower(w)) {
			b.t.Errorf("%s\ngot %q, want %q in it", text, errs.MessageOf(err), w)
		}
	}
}

// move does what the scheduler would.
func (b *jobBench) move(id string, to catalog.JobState, change func(*catalog.Job)) {
	b.t.Helper()
	job := b.job(id)
	b.update(func(tx catalog.Tx) error {
		return tx.TransitionJob(job.ID, job.State, to, func(j *catalog.Job) {
			if change != nil {
				change(j)
			}
		})
	})
}

// job finds a job by the id that clients have.
func (b *jobBench) job(id string) *catalog.Job {
	b.t.Helper()
	name := id[strings.LastIndexByte(id, '.')+1:]
	var job *catalog.Job
	b.update(func(tx catalog.Tx) error {
		for j, err := range tx.FindJobs(catalog.JobFilter{}) {
			if err != nil {
				return err
			}
			if j.Name == name {
				job = j
			}
		}
		return nil
	})
	if job == nil {
		b.t.Fatalf("no job %s", name)
	}
	return job
}

// grantAll gives SCIENTIST what a job needs.
func (b *jobBench) grantAll() {
	b.t.Helper()
	for _, text := range jobGrants() {
		b.run(b.admin, "grant "+text+" to role SCIENTIST")
	}
}

func jobGrants() []string {
	return []string{
		"usage on database D", "usage on schema D.S", "create service on schema D.S", "usage on compute pool POOL1", "read on stage D.S.ST",
		"write on stage D.S.ST", "usage on custom runtime environment MY_CRE", "read on image repository D.S.REPO", "usage on warehouse WH1",
		"usage on integration PYPI",
	}
}

// catalogImages resolves paths by the catalog, and judges as it is told.
type catalogImages struct {
	store     catalog.Store
	check     *atomic.Pointer[error]
	meanwhile *atomic.Pointer[func()]
}

func (c catalogImages) Resolve(ctx context.Context, path string) (ImageRef, error) {
	name, ok := repositoryOf(path)
	if !ok {
		return ImageRef{}, errs.New(errs.Invalid, "image path '%s' is not /db/schema/repository/image:tag", path)
	}
	parts := strings.SplitN(strings.Trim(path, "/"), "/", 4)
	if image, digest, found := strings.Cut(parts[3], "@"); found {
		return c.resolveDigest(ctx, name, image, digest)
	}
	image, tag, found := strings.Cut(parts[3], ":")
	if !found {
		tag = "latest"
	}
	ref := ImageRef{Image: image, Tag: tag, Path: repositoryPath(name) + "/" + image + ":" + tag, Labels: map[string]string{labelPython: "3.11"}}
	return ref, c.store.View(ctx, func(tx catalog.Tx) error {
		o, err := tx.Object(catalog.KindImageRepository, name)
		if err != nil {
			return errs.New(errs.NotFound, "image repository %s does not exist", repositoryPath(name))
		}
		t, err := tx.Tag(o.ID, image, tag)
		if err != nil {
			return errs.New(errs.NotFound, "image %s does not exist: push it first", ref.Path)
		}
		ref.Repository, ref.Digest, ref.TagDigest = o, t.Digest, t.Digest
		return nil
	})
}

func (c catalogImages) resolveDigest(ctx context.Context, name catalog.Name, image, digest string) (ImageRef, error) {
	ref := ImageRef{
		Image: image, Digest: digest, TagDigest: digest, Path: repositoryPath(name) + "/" + image + "@" + digest, Labels: map[string]string{labelPython: "3.11"},
	}
	return ref, c.store.View(ctx, func(tx catalog.Tx) (err error) {
		if ref.Repository, err = tx.Object(catalog.KindImageRepository, name); err != nil {
			return err
		}
		_, err = tx.Manifest(ref.Repository.ID, image, digest)
		return err
	})
}

func (c catalogImages) Check(ctx context.Context, _ ImageRef, baseType string) (ImageVerdict, error) {
	policy, err := c.policy(ctx)
	if err != nil {
		return ImageVerdict{}, err
	}
	if meanwhile := c.meanwhile.Load(); meanwhile != nil {
		(*meanwhile)()
	}
	if err := c.check.Load(); err != nil {
		return ImageVerdict{}, *err
	}
	return ImageVerdict{Policy: policy, Report: []byte(`{"result":"pass","policy":{"name":"default","sha256":"f00"}}`), BaseType: baseType, BaseImage: "/snowflake/images/snowflake_images/container_runtime/cpu_x86_64:1.0", Python: "3.11"}, nil
}

func (c catalogImages) Policy(text string) (PolicyInfo, error) {
	p, err := imagecheck.AccountPolicy(text)
	return PolicyInfo{Name: p.Name, SHA256: p.Sum()}, err
}

func (c catalogImages) Terms(ctx context.Context) ([]byte, error) {
	text, err := c.policy(ctx)
	if err != nil {
		return nil, err
	}
	terms, err := imagecheck.NewTerms("1.2.3", text, nil)
	if err != nil {
		return nil, err
	}
	return json.Marshal(terms)
}

func (c catalogImages) policy(ctx context.Context) (string, error) {
	text := ""
	err := c.store.View(ctx, func(tx catalog.Tx) error {
		o, err := tx.ObjectByID(catalog.AccountID)
		if err == nil {
			text = o.Spec.(*catalog.AccountSpec).Parameters[catalog.PolicyParameter]
		}
		return err
	})
	return text, err
}

// catalogStages keeps a file's content in its key.
type catalogStages struct{ store catalog.Store }

func (s catalogStages) Open(ctx context.Context, stage catalog.ID, path string) (io.ReadCloser, *catalog.File, error) {
	var f *catalog.File
	err := s.store.View(ctx, func(tx catalog.Tx) (err error) {
		f, err = tx.File(stage, path)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return io.NopCloser(strings.NewReader(f.Key)), f, nil
}

func (s catalogStages) Copy(context.Context, catalog.ID, string, catalog.ID, string) error {
	return errs.New(errs.Internal, "COPY FILES shares bytes in its own transaction")
}

// textLogs gives the logs of a job by its name, one line per second.
type textLogs map[string]string

func (l textLogs) Logs(_ context.Context, job *catalog.Job, _, tail int, _ time.Time, timestamps bool) (io.ReadCloser, error) {
	text, ok := l[job.Name]
	if !ok {
		return nil, errs.New(errs.NotFound, "Container Status: PENDING")
	}
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if tail > 0 && len(lines) > tail {
		lines = lines[len(lines)-tail:]
	}
	var out bytes.Buffer
	for i, line := range lines {
		if timestamps {
			out.WriteString(time.Date(2026, 1, 2, 3, 4, i, 0, time.UTC).Format(time.RFC3339Nano) + " ")
		}
		out.WriteString(line)
	}
	return io.NopCloser(&out), nil
}

// smallHost has 4 cores, 16 GiB and no GPU.
type smallHost struct{}

func (smallHost) Clamp(_ context.Context, cpu float64, memory int64, gpus int) (float64, int64, int, error) {
	return min(cpu, 4), min(memory, 16*gib), 0, nil
}
